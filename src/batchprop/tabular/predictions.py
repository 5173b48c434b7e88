"""A model's predictions as a table, computed and written at once or in blocks."""

import re
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self, TypeAlias, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from joblib import cpu_count
from pandas.api import types
from sklearn.pipeline import Pipeline

from batchprop.data.arrow import get_column
from batchprop.data.memory import default_memory, exceeds_memory
from batchprop.data.reader import read_tables
from batchprop.data.rejects import BadRowError
from batchprop.data.scanner import scan
from batchprop.data.tables import Table, check_separator_used
from batchprop.errors import BatchpropError, DataError, ParameterError, RowError, UnseenValueWarning, warn
from batchprop.estimators.threads import share_blas_threads
from batchprop.files import create_file, create_text
from batchprop.tabular.dtypes import simplify_column
from batchprop.tabular.encoding import Features, encode_features
from batchprop.tabular.frames import replace_columns
from batchprop.tabular.observer import Observer
from batchprop.tabular.options import check_names, read_names
from batchprop.tabular.schema import infer_value_type, is_index_name, is_read_as_text
from batchprop.tabular.training_table import table_names
from batchprop.tabular.unseen import UnseenCounter

Write: TypeAlias = Callable[[pd.DataFrame], None]
_Result = TypeVar("_Result")

OUTPUT_DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".parquet": "", ".pq": ""}
"""The suffixes of prediction files, with their delimiter; a Parquet file has none."""

MAX_BLOCK_ROWS = 65_536
"""The largest number of rows to predict at a time."""

_MAX_FEATURE_BYTES = 1 << 25
"""Of a block: the allocator keeps as much for the next one. To fetch larger arrays from the system anew for
each block took as long as to fill them in."""

_COPIES_OF_A_ROW = 32  # Numbers, 8 bytes each, have fewer copies at a time; words take more than 8 bytes.
_THREADS = 2  # pandas holds Python's lock in part of the work: more were not measured
_ROW_GROUP_ROWS = 1 << 17
_ROW_GROUP_BYTES = 1 << 26


def text_columns(model: Pipeline) -> list[str]:
    """Return the columns to read as text, whatever a file makes of their values."""
    columns = model["columns"]
    spellings = columns.spellings or {}
    return [name for name, kind in columns.kinds.items() if is_read_as_text(kind, spellings.get(name, ""))]


def kept_columns(names: Sequence[str], keep: Sequence[str]) -> tuple[str, ...]:
    """Return the columns to put before the predictions: the index that pandas wrote, and those to keep.

    Raises:
        DataError: the table lacks one; the message suggests a similar name.

    >>> kept_columns(["Unnamed: 0", "age", "id"], ["id"])
    ('Unnamed: 0', 'id')
    """
    empty = pd.DataFrame(columns=list(names))
    for name in keep:
        get_column(empty, name, "column to keep:")
    return (*(name for name in names if is_index_name(name) and name not in keep), *keep)


def read_kept(keep: object) -> tuple[str, ...]:
    """Return the names of the columns to keep; text has commas between them.

    Raises:
        ParameterError: they are no names, or one is named twice.

    >>> read_kept("id, name"), read_kept(["last, first"])
    (('id', 'name'), ('last, first',))
    """
    if keep is None:
        return ()
    names = read_names("keep", keep)
    check_names("keep", names)
    return names


def block_size(model: Pipeline, memory: int) -> int:
    """Return how many rows to predict at a time, to stay within a part of the memory.

    Args:
        model: a pipeline that `load_pipeline` returned.
        memory: in bytes.
    """
    # Both the columns and the features of a row are in memory at a time, and the blocks of all threads.
    n_features = int(model[-1].n_features_in_)
    width = len(model["columns"].kinds) + n_features
    rows = memory // (8 * _COPIES_OF_A_ROW * _THREADS * width)
    return max(1, min(MAX_BLOCK_ROWS, rows, _MAX_FEATURE_BYTES // (4 * n_features)))


def check_proba(model: Pipeline) -> None:
    """Check that a model predicts classes; numbers have no probabilities.

    Raises:
        ParameterError: it predicts numbers.
    """
    if not hasattr(model, "classes_"):
        target = model["columns"].target
        raise ParameterError(
            f"proba=True needs classes, and this model predicts {target!r}, a number: leave it out"
        )


def distinct_names(names: Sequence[str]) -> list[str]:
    """Return names of which no two are equal: one that an earlier one has gets a number.

    >>> distinct_names(["probability hi", "probability hi", "probability lo"])
    ['probability hi', 'probability hi (2)', 'probability lo']
    """
    # The keys of a dict are in order, and quick to look up.
    result = dict[str, None]()
    for name in names:
        others = (name if number == 1 else f"{name} ({number})" for number in count(1))
        result[next(other for other in others if other not in result)] = None
    return list(result)


def warn_unseen(unseen: UnseenCounter) -> None:
    """Warn of the columns with values that the training had not."""
    for note in unseen.notes():
        warn(note, UnseenValueWarning)


def encode_frame(model: Pipeline, frame: pd.DataFrame, unseen: UnseenCounter) -> Features:
    """Return the features (n, k) of rows, and count the values that the training had not."""
    columns = model["columns"].cast(frame)
    unseen.add(columns)
    return encode_features(model["features"], columns)


def predict_frame(
    model: Pipeline, frame: pd.DataFrame, *, proba: bool = False, unseen: UnseenCounter | None = None
) -> pd.DataFrame:
    """Predict the target of each row.

    Args:
        model: a pipeline that `load_pipeline` returned.
        frame: the rows (n), with the training columns in any order.
        proba: add the probability of each class.
        unseen: counts the values that the training had not; without it there are warnings of them.

    Returns:
        A column named as the target (n,), then one `probability CLASS` for each class.

    Raises:
        ParameterError: ``proba`` is set for a model that predicts numbers.
        DataError: a column is missing, or holds a value that is not allowed; the network's outputs for a row
            overflow.
    """
    target = model["columns"].target
    if proba:
        check_proba(model)
    counter = unseen or UnseenCounter(model)
    encoded = encode_frame(model, frame, counter)
    try:
        answers = model[-1].predict_proba(encoded) if proba else model[-1].predict(encoded)
    except RowError as error:
        label = frame.index[error.row]  # the row's number in the table, of which the frame may be a block
        row = int(label) if isinstance(label, int | np.integer) else error.row
        raise RowError(
            f"the outputs of the network for row {row + 1} are not finite: with its values the sums exceed "
            "the largest number; correct the row or leave it out",
            row,
        ) from error
    if unseen is None:
        warn_unseen(counter)
    if not proba:
        return pd.DataFrame({target: answers})
    names = distinct_names([target, *(f"probability {label!s}" for label in model.classes_)])
    columns = [model.classes_[answers.argmax(axis=1)], *answers.T]
    return pd.DataFrame(dict(zip(names, columns, strict=True)))


def add_columns(
    predictions: pd.DataFrame, frame: pd.DataFrame, keep: Sequence[str], first: int | None
) -> pd.DataFrame:
    """Put row numbers and columns of the data before the predictions.

    Args:
        predictions: of the rows (n), in the form of ``predict_frame``.
        frame: the rows.
        keep: the columns of the data; with the target among them, the predictions are "predicted TARGET".
        first: the number of the first row; None for no column of row numbers.

    Returns:
        The row numbers, the kept columns, and the predictions (n,).

    Raises:
        DataError: a column holds lists or records.
    """
    if not keep and first is None:
        return predictions
    target, *shares = map(str, predictions.columns)
    answer = f"predicted {target}" if target in keep else target
    # Columns of the data and answers have their names; probabilities and row numbers give way.
    names = distinct_names([*keep, answer, *shares, "row"])
    columns = [
        *(_copy_column(frame[name]) for name in keep),
        *(predictions[name].array for name in predictions),
    ]
    numbers = {} if first is None else {names[-1]: first + np.arange(len(frame))}
    return pd.DataFrame(numbers | dict(zip(names[:-1], columns, strict=True)))


def _copy_column(column: "pd.Series[Any]") -> Any:
    if not types.is_object_dtype(column):
        return column.array
    if infer_value_type(simplify_column(column).dropna()) == "nested":
        raise DataError(f"the column {str(column.name)!r} to keep holds lists or records: keep others")
    # All blocks of a column need one type, and one without a value would have none.
    return column.astype("string").array


class TableRows(NamedTuple):
    """The rows of a table.

    Attributes:
        n_rows: the number of rows.
        frames: the rows in order, in blocks; the index counts them from 0.
        locate: the place of a row by its number: its file, "line" or "row", and its number there.
    """

    n_rows: int
    frames: Iterator[pd.DataFrame]
    locate: Callable[[int], tuple[Path, str, int]]


@contextmanager
def predict_blocks(
    model: Pipeline,
    files: Table,
    *,
    proba: bool = False,
    keep: Sequence[str] = (),
    number: bool = False,
    memory: int | None = None,
    separator: str | None = None,
    observer: Observer | None = None,
) -> Iterator[Iterator[pd.DataFrame]]:
    """Predict all rows of a table, in blocks.

    Args:
        model: a pipeline that `load_pipeline` returned.
        files: of the table.
        proba: add the probability of each class.
        keep: columns of the table to put before the predictions.
        number: put the number of each row, counted from 1 over all files, before them.
        memory: the memory budget in bytes; None for a quarter of the free memory.
        separator: between the fields of CSV files, as for ``read_table``.
        observer: called during the passes over the table.

    Yields:
        Tables in the form of ``predict_frame`` or ``add_columns``, in the order of the rows.

    Raises:
        DataError: a row cannot be read, or holds an invalid value; the message names its file and line.
        ParameterError: ``proba`` is set for a model that predicts numbers.
    """
    observer = observer or Observer()
    if proba:
        check_proba(model)
    check_separator_used(separator, files)
    kinds, names = model["columns"].kinds, table_names(files, separator)
    model["columns"].check_names(names)
    # As text, they stay as the file spells them.
    text, keep = keep, kept_columns(names, keep)
    columns = list(dict.fromkeys([*kinds, *keep]))
    memory, unseen = memory or default_memory(), UnseenCounter(model)
    with (
        iter_rows(model, files, columns, memory, observer, text=text, separator=separator) as rows,
        observer.watch_prediction(rows.n_rows) as count_rows,
        closing(
            _predict_rows(
                model,
                rows,
                count_rows,
                unseen,
                proba=proba,
                parallel=rows.n_rows > block_size(model, memory),
            )
        ) as predicted,
    ):
        yield (
            add_columns(table, frame, keep, frame.index[0] + 1 if number else None)
            for frame, table in predicted
        )
        warn_unseen(unseen)


def _predict_rows(
    model: Pipeline,
    rows: TableRows,
    count_rows: Callable[[int], None],
    unseen: UnseenCounter,
    *,
    proba: bool,
    parallel: bool,
) -> Generator[tuple[pd.DataFrame, pd.DataFrame]]:
    predicted = predict_frames(model, rows.frames, unseen, proba=proba, parallel=parallel)
    try:
        for frame, predictions in predicted:
            yield frame, predictions
            count_rows(len(frame))
    except RowError as error:
        file, unit, number = rows.locate(error.row)
        raise DataError(f"{file}, {unit} {number}: {error}") from error


def predict_frames(
    model: Pipeline, frames: Iterator[pd.DataFrame], unseen: UnseenCounter, *, proba: bool, parallel: bool
) -> Generator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Yield blocks of rows with their predictions, in order; the error is that of the first faulty block.

    Args:
        model: a pipeline that `load_pipeline` returned.
        frames: the blocks.
        unseen: counts the values that the training had not.
        proba: add the probability of each class.
        parallel: whether there are several blocks, to predict in threads.
    """

    def predict(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, UnseenCounter]:
        counter = unseen.empty()
        return frame, predict_frame(model, frame, proba=proba, unseen=counter), counter

    threads = min(_THREADS, cpu_count()) if parallel else 1
    with closing(_map_in_threads(predict, frames, threads)) as results:
        for frame, predictions, counter in results:
            unseen.update(counter)
            yield frame, predictions


def _map_in_threads(
    function: Callable[[pd.DataFrame], _Result], frames: Iterator[pd.DataFrame], threads: int
) -> Generator[_Result]:
    if threads == 1:
        yield from map(function, frames)
        return
    waiting = deque[Future[_Result]]()
    with share_blas_threads(threads), ThreadPoolExecutor(threads) as pool:
        try:
            while (future := _submit_next(pool, function, frames)) is not None:
                waiting.append(future)
                # The next block is read while others are predicted; more would take memory.
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _submit_next(
    pool: ThreadPoolExecutor, function: Callable[[pd.DataFrame], _Result], frames: Iterator[pd.DataFrame]
) -> Future[_Result] | None:
    try:
        return pool.submit(function, next(frames))
    except StopIteration:
        return None
    except (BatchpropError, OSError) as error:
        # Raised in its turn: a block before may hold an error of its own.
        failed = Future[_Result]()
        failed.set_exception(error)
        return failed


@contextmanager
def iter_rows(
    model: Pipeline,
    files: Table,
    columns: Sequence[str],
    memory: int,
    observer: Observer,
    *,
    text: Sequence[str] = (),
    separator: str | None = None,
) -> Iterator[TableRows]:
    """Read a table at once, or scan it to read it in blocks if it is larger than memory.

    Args:
        model: provides the text columns: a file of one row does not show whether 1 is a code.
        files: of the table.
        columns: the columns that the model needs.
        memory: the largest amount to use, in bytes.
        observer: called during the scan.
        text: further text columns.
        separator: between the fields of CSV files, as for ``read_table``.

    Yields:
        The rows, which can be read within the block.

    Raises:
        DataError: a file, a column or a row cannot be read.
    """
    n, words = block_size(model, memory), [*text_columns(model), *text]
    rules = model["columns"].text_rules
    if not exceeds_memory(files, memory, separator):
        with _keep_all_rows():
            whole = read_tables(files, text=words, separator=separator, rules=rules)
        frame = whole.frame[list(columns)]
        frames = (frame.iloc[start : start + n] for start in range(0, len(frame), n))
        yield TableRows(
            len(frame),
            frames,
            lambda row: (whole.files[whole.file_index[row]], whole.unit, int(whole.row_numbers[row])),
        )
        return
    with _keep_all_rows(), observer.watch_pass("Scanning the table", None):
        table = scan(files, text=words, separator=separator, rules=rules, memory=memory)
    with table:
        yield TableRows(table.n_rows, table.iter_frames(columns=columns, rows=n), table.locate)


@contextmanager
def _keep_all_rows() -> Iterator[None]:
    """Drop the advice to skip a bad row from its error: every row needs a prediction."""
    try:
        yield
    except BadRowError as error:
        raise DataError(error.reason) from error


_FORMULA = re.compile(r"(?=[=+\-@\t\r\n])(?![+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z)")
"""The start of a text that a spreadsheet would run, unless all of it is a number."""

_LINE_END = re.compile(r'("(?:[^"]|"")*")|\r\n')


def to_csv(table: pd.DataFrame, delimiter: str = ",", *, names: bool = True, safe: bool = False) -> str:
    """Write a table as CSV text; a number has as many digits as tell it apart from any other of its type.

    Args:
        table: the table.
        delimiter: between the fields.
        names: whether to begin with the names of the columns.
        safe: whether to put an apostrophe before text that a spreadsheet would run as a formula.
    """
    text = {
        name: pa.array(table[name]).cast(pa.string()).to_numpy(zero_copy_only=False)
        for name in table.columns
        if isinstance(table[name].dtype, np.dtype) and table[name].dtype.kind == "f"
    }
    table, header = replace_columns(table, text), list(map(str, table.columns))
    if safe:
        others = set(header) - set(text)
        table = replace_columns(table, {name: _quote_formulas(table[name]) for name in others})
        header = [_quote_formula(name) for name in header]

    def write(end: str) -> str:
        return table.to_csv(index=False, header=header if names else False, sep=delimiter, lineterminator=end)

    written = write("\n")
    if "\r" in written:
        # Only what occurs in the line's end is quoted, and readers take a bare return for one.
        written = _LINE_END.sub(lambda match: match[1] or "\n", write("\r\n"))
    return written


def _quote_formulas(column: pd.Series) -> pd.Series:
    """Return a column whose texts no spreadsheet runs; other columns as they are."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biufmM":
        return column
    return column.map(_quote_formula).astype(object)


def _quote_formula(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def csv_appender(put: Callable[[str], object], delimiter: str = ",", *, safe: bool = False) -> Write:
    """Return a function that appends tables of the same columns to one CSV text.

    Args:
        put: called with the text.
        delimiter: between the fields.
        safe: as in ``to_csv``.

    >>> write = csv_appender(lambda text: print(text, end=""))
    >>> write(pd.DataFrame({"kind": ["cat"]})), write(pd.DataFrame({"kind": ["dog"]}))
    kind
    cat
    dog
    (None, None)
    """
    first = True

    def add(table: pd.DataFrame) -> None:
        nonlocal first
        put(to_csv(table, delimiter, names=first, safe=safe))
        first = False

    return add


@contextmanager
def prediction_writer(path: Path, *, safe_csv: bool = False) -> Iterator[Write]:
    """Yield a function that appends tables of the same columns, in the format of the suffix.

    The file is complete when the block ends. With ``safe_csv`` no spreadsheet runs its text.
    """
    delimiter = OUTPUT_DELIMITERS[path.suffix.lower()]
    if delimiter:
        with create_text(path) as file:
            yield csv_appender(file.write, delimiter, safe=safe_csv)
    else:
        with _RowGroups(path) as groups:
            yield groups.add


class _RowGroups:
    """A Parquet file that is written in row groups of about 2¹⁷ rows or 64 MiB, whichever is less."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sink: BinaryIO | None = None
        self._file: pyarrow.parquet.ParquetWriter | None = None
        self._schema: pa.Schema | None = None
        self._waiting = list[pa.Table]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        try:
            if failure is None:
                self._group()
            if self._file is not None:
                # On a full disk the footer cannot be written either; the first error is the one to report.
                with suppress(*(() if failure is None else (OSError, pa.ArrowException))):
                    self._file.close()
        finally:
            if self._sink is not None:
                self._sink.close()

    def add(self, table: pd.DataFrame) -> None:
        """Write full row groups, and buffer the rest; the first table sets the types."""
        part = pa.Table.from_pandas(table, schema=self._schema, preserve_index=False)
        self._schema = part.schema
        self._waiting.append(part)
        # One row group per block would be small, and slow to read.
        rows = sum(each.num_rows for each in self._waiting)
        if rows >= _ROW_GROUP_ROWS or sum(each.nbytes for each in self._waiting) >= _ROW_GROUP_BYTES:
            self._group()

    def _group(self) -> None:
        if not self._waiting:
            return
        # The schema is known only with the first table.
        if self._file is None:
            self._sink = create_file(self._path)
            self._file = pyarrow.parquet.ParquetWriter(self._sink, self._schema)
        together = pa.concat_tables(self._waiting)
        self._waiting = []
        self._file.write_table(together, row_group_size=2 * _ROW_GROUP_ROWS)


def write(table: pd.DataFrame, path: Path, *, safe_csv: bool = False) -> None:
    """Write a table to a file in the format of its suffix; for ``safe_csv`` see ``prediction_writer``."""
    with prediction_writer(path, safe_csv=safe_csv) as add:
        add(table)
