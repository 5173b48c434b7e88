"""A model's predictions as a table, computed and written at once or in blocks."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Self, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from sklearn.pipeline import Pipeline

from batchprop.data.csv import CsvFile
from batchprop.data.files import get_delimiter
from batchprop.data.hive import folder_values
from batchprop.data.memory import default_memory, exceeds_memory
from batchprop.data.parquet import read_parquet_footer
from batchprop.data.reader import read_tables
from batchprop.data.rejects import BadRowError
from batchprop.data.scanner import scan
from batchprop.errors import DataError, ParameterError, RowError
from batchprop.tabular.observer import Observer

Write: TypeAlias = Callable[[pd.DataFrame], None]

OUTPUT_DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".parquet": "", ".pq": ""}
"""The suffixes of prediction files, with their delimiter; a Parquet file has none."""

MAX_BLOCK_ROWS = 16_384
"""The largest number of rows to predict at a time."""

_COPIES_OF_A_ROW = 32  # Numbers, 8 bytes each, have fewer copies at a time; words take more than 8 bytes.
_ROW_GROUP_ROWS = 1 << 17
_ROW_GROUP_BYTES = 1 << 26


def text_columns(model: Pipeline) -> list[str]:
    """Return the text columns of a model: without them, ``read`` would take 01 alone for a number."""
    return [name for name, kind in model["columns"].kinds.items() if kind == "category"]


def required_columns(model: Pipeline, file: Path) -> list[str]:
    """Return the columns of a model's training; raise if a file lacks one.

    Raises:
        DataError: it lacks one, or is not a table.
    """
    text = get_delimiter(file) is not None
    names = CsvFile(file).names if text else list(read_parquet_footer(file).names)
    model["columns"].check_names([*names, *folder_values(file)])
    return list(model["columns"].kinds)


def block_size(model: Pipeline, memory: int) -> int:
    """Return how many rows to predict at a time, to stay within a part of the memory.

    Args:
        model: a pipeline that `load_pipeline` returned.
        memory: in bytes.
    """
    # Both the columns and the features of a row are in memory at a time.
    width = len(model["columns"].kinds) + int(model[-1].n_features_in_)
    return max(1, min(MAX_BLOCK_ROWS, memory // (8 * _COPIES_OF_A_ROW * width)))


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


def predict_frame(model: Pipeline, frame: pd.DataFrame, *, proba: bool = False) -> pd.DataFrame:
    """Predict the target of each row.

    Args:
        model: a pipeline that `load_pipeline` returned.
        frame: the rows (n), with the training columns in any order.
        proba: add the probability of each class.

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
    encoded = model[:-1].transform(frame)
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
    if not proba:
        return pd.DataFrame({target: answers})
    shares = {f"probability {label}": answers[:, k] for k, label in enumerate(model.classes_)}
    return pd.DataFrame({target: model.classes_[answers.argmax(axis=1)], **shares})


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
    files: Sequence[Path],
    *,
    proba: bool = False,
    memory: int | None = None,
    observer: Observer | None = None,
) -> Iterator[Iterator[pd.DataFrame]]:
    """Predict all rows of a table, in blocks.

    Args:
        model: a pipeline that `load_pipeline` returned.
        files: of the table.
        proba: add the probability of each class.
        memory: the memory budget in bytes; None for a quarter of the free memory.
        observer: called during the passes over the table.

    Yields:
        Tables in the form of ``predict_frame``, in the order of the rows.

    Raises:
        DataError: a row cannot be read, or holds an invalid value; the message names its file and line.
        ParameterError: ``proba`` is set for a model that predicts numbers.
    """
    observer = observer or Observer()
    if proba:
        check_proba(model)
    columns = required_columns(model, files[0])
    with (
        iter_rows(model, files, columns, memory, observer) as rows,
        observer.watch_prediction(rows.n_rows) as count_rows,
    ):
        yield _predict_rows(model, rows, count_rows, proba=proba)


def _predict_rows(
    model: Pipeline, rows: TableRows, count_rows: Callable[[int], None], *, proba: bool
) -> Iterator[pd.DataFrame]:
    for frame in rows.frames:
        try:
            predictions = predict_frame(model, frame, proba=proba)
        except RowError as error:
            file, unit, number = rows.locate(error.row)
            raise DataError(f"{file}, {unit} {number}: {error}") from error
        yield predictions
        count_rows(len(frame))


@contextmanager
def iter_rows(
    model: Pipeline, files: Sequence[Path], columns: Sequence[str], memory: int | None, observer: Observer
) -> Iterator[TableRows]:
    """Read a table at once, or scan it to read it in blocks if it is larger than memory.

    Args:
        model: provides the text columns: a file of one row does not show whether 01 is a code.
        files: of the table.
        columns: the columns that the model needs.
        memory: the largest amount to use, in bytes; None for a quarter of the free memory.
        observer: called during the scan.

    Yields:
        The rows, which can be read within the block.

    Raises:
        DataError: a file, a column or a row cannot be read.
    """
    memory = memory or default_memory()
    n, words = block_size(model, memory), text_columns(model)
    if not exceeds_memory(files, memory):
        with _keep_all_rows():
            whole = read_tables(files, text=words)
        frame = whole.frame[list(columns)]
        frames = (frame.iloc[start : start + n] for start in range(0, len(frame), n))
        yield TableRows(
            len(frame),
            frames,
            lambda row: (whole.files[whole.file_index[row]], whole.unit, int(whole.row_numbers[row])),
        )
        return
    with _keep_all_rows(), observer.watch_pass("Scanning the table", None):
        table = scan(files, text=words, memory=memory)
    with table:
        yield TableRows(table.n_rows, table.iter_frames(columns=columns, rows=n), table.locate)


@contextmanager
def _keep_all_rows() -> Iterator[None]:
    """Drop the advice to skip a bad row from its error: every row needs a prediction."""
    try:
        yield
    except BadRowError as error:
        raise DataError(error.reason) from error


def to_csv(table: pd.DataFrame, delimiter: str = ",", *, names: bool = True) -> str:
    """Write a table as CSV text; float32 has 7 digits worth writing."""
    return table.to_csv(index=False, header=names, sep=delimiter, float_format="%.7g", lineterminator="\n")


def csv_appender(put: Callable[[str], object], delimiter: str = ",") -> Write:
    """Return a function that appends tables of the same columns to one CSV text.

    Args:
        put: called with the text.
        delimiter: between the fields.

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
        put(to_csv(table, delimiter, names=first))
        first = False

    return add


@contextmanager
def prediction_writer(path: Path) -> Iterator[Write]:
    """Yield a function that appends tables of the same columns, in the format of the suffix.

    The file is complete when the block ends.
    """
    delimiter = OUTPUT_DELIMITERS[path.suffix.lower()]
    if delimiter:
        with path.open("w", encoding="utf-8", newline="") as file:
            yield csv_appender(file.write, delimiter)
    else:
        with _RowGroups(path) as groups:
            yield groups.add


class _RowGroups:
    """A Parquet file that is written in row groups of about 2¹⁷ rows or 64 MiB, whichever is less."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: pyarrow.parquet.ParquetWriter | None = None
        self._schema: pa.Schema | None = None
        self._waiting = list[pa.Table]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure is None:
            self._group()
        if self._file is not None:
            # On a full disk the footer cannot be written either; the first error is the one to report.
            with suppress(*(() if failure is None else (OSError, pa.ArrowException))):
                self._file.close()

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
            self._file = pyarrow.parquet.ParquetWriter(self._path, self._schema)
        together = pa.concat_tables(self._waiting)
        self._waiting = []
        self._file.write_table(together, row_group_size=2 * _ROW_GROUP_ROWS)


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table to a file in the format of its suffix."""
    with prediction_writer(path) as add:
        add(table)
