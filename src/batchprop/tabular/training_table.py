"""The table of a training: read, with its target and weights separated and its columns classified."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types
from sklearn.datasets import load_digits

from batchprop.data.arrow import get_column
from batchprop.data.line_numbers import line_numbers
from batchprop.data.reader import LoadedTable, read_table, read_tables
from batchprop.data.rejects import RejectedRow, RejectedRows
from batchprop.data.sources import MAX_ABS_TARGET
from batchprop.errors import DataError
from batchprop.tabular.dtypes import simplify_column
from batchprop.tabular.options import TrainOptions
from batchprop.tabular.schema import ColumnSchema, infer_schema, infer_value_type
from batchprop.tabular.split import check_enough
from batchprop.tabular.target import Target, Task, read_target
from batchprop.tabular.target_statistics import TargetSpec

FRAME = "the DataFrame"
"""The name of a table without a file, in messages and reports."""


@dataclass(frozen=True)
class TrainingTable:
    """A table ready to train on.

    Attributes:
        name: its name.
        path: the file; None for the digits.
        frame: n rows, without the target and the weights; its index is the rows' positions in the file.
        columns: the schema of each of its columns.
        target: what to predict (n,).
        weights: how much each row counts (n,), or None.
        left_out: the number of unusable rows.
        target_stats: the target's statistics over all training rows, if most of them are not in the frame.
        row_locator: the name of the row numbers, and each row's number, if the file does not define them.
        skipped: the rows that were skipped.
    """

    name: str
    path: Path | None
    frame: pd.DataFrame
    columns: tuple[ColumnSchema, ...]
    target: Target
    weights: Any = None
    left_out: int = 0
    target_stats: TargetSpec | None = None
    row_locator: tuple[str, npt.NDArray[Any]] | None = None
    skipped: Sequence[RejectedRow] = ()

    @property
    def why_left_out(self) -> tuple[str, str]:
        """The reason why rows were left out, in the present and in the past tense."""
        if self.skipped:
            return "cannot be used and are left out", "could not be used and were left out (skipped.csv)"
        return "have no target and are left out", "have no target and were left out"

    @property
    def classes(self) -> npt.NDArray[Any]:
        """The distinct values of the target (c,), in order."""
        known: npt.NDArray[Any] | None = None if self.target_stats is None else self.target_stats.classes
        return np.unique(self.target.values) if known is None else known

    def weights_of(self, rows: Any) -> Any:
        """Return how much each of some rows counts (k,), or None."""
        return None if self.weights is None else self.weights[rows]

    @property
    def row_numbers(self) -> tuple[str, npt.NDArray[Any]]:
        """The name of the row numbers, and each row's: its line in a text file, else its row."""
        if self.row_locator is not None:
            return self.row_locator
        rows = self.frame.index.to_numpy()
        lines = None if self.path is None else line_numbers(self.path)
        return ("row", rows + 1) if lines is None else ("line", lines[rows])


def load(
    path: Path | None,
    target: str | None,
    task: Task | None,
    weights: str | None = None,
    *,
    to_train: bool = True,
    text: Collection[str] = (),
) -> TrainingTable:
    """Read a table, split off the target and the weights, and classify its columns.

    Args:
        path: the file; None is for the digits.
        target: the column to predict.
        task: the task, or None to infer it from the values.
        weights: the column of weights, or None.
        to_train: whether to check that there are enough rows to learn from.
        text: columns to read as text, regardless of their values.

    Raises:
        DataError: the file, the target or the weights cannot be used.
    """
    name, frame = _table(path, text)
    return _make_table(name, path, frame, target or "digit", task, weights, to_train=to_train)


def load_training_table(data: tuple[Path, ...] | pd.DataFrame | None, options: TrainOptions) -> TrainingTable:
    """Read the table of a training, from one or more files, that fits in memory.

    Args:
        data: its files, folders and patterns; a table in memory; None for the digits.
        options: of the training.

    Raises:
        DataError: a file, a row, the target or the weights cannot be used.
    """
    task, weights = options.given_task, options.weights
    if data is None or options.target is None:
        return load(None, options.target, task, weights)
    if isinstance(data, pd.DataFrame):
        return _from_frame(data, options)
    whole = read_tables(data, options.target, on_bad_row=options.on_bad_row, max_skipped=options.max_skipped)
    table = _make_table(dataset_name(whole.files), data[0], whole.frame, options.target, task, weights)
    return replace(table, left_out=len(whole.skipped), skipped=whole.skipped, row_locator=_row_locator(whole))


def _from_frame(frame: pd.DataFrame, options: TrainOptions) -> TrainingTable:
    target = str(options.target)
    # scikit-learn keeps the names of columns only if all of them are text.
    names = [str(name) for name in frame.columns]
    if (duplicates := pd.Index(names)[pd.Index(names).duplicated()]).size:
        raise DataError(f"the DataFrame has two columns named {duplicates[0]!r}: rename one")
    frame = frame.set_axis(names, axis=1).reset_index(drop=True)
    rejects = RejectedRows(options.on_bad_row, options.max_skipped)
    for row in np.flatnonzero(get_column(frame, target, "target column").isna()):
        reason = f"its target {target!r} is missing"
        rejects.add(Path(FRAME), int(row) + 1, reason, remedy="fill it in", unit="row")
    rejects.check_share(len(frame))
    table = _make_table(FRAME, Path(FRAME), frame, target, options.given_task, options.weights)
    rows = table.frame.index.to_numpy() + 1
    return replace(table, skipped=rejects, row_locator=("row", rows))


def dataset_name(files: Sequence[Path]) -> str:
    """Return the name of a dataset: its file, or the number of files.

    >>> dataset_name([Path("a/x.csv")]), dataset_name([Path("a/x.csv"), Path("a/y.csv")])
    ('x.csv', '2 files from x.csv to y.csv')
    """
    if len(files) == 1:
        return files[0].name
    return f"{len(files):,} files from {files[0].name} to {files[-1].name}"


def _row_locator(whole: LoadedTable) -> tuple[str, npt.NDArray[Any]]:
    if len(whole.files) == 1:
        return whole.unit, whole.row_numbers
    pairs = zip(whole.file_index.tolist(), whole.row_numbers.tolist(), strict=True)
    return "place", np.array([f"{whole.files[i].name}, {whole.unit} {row}" for i, row in pairs])


def _make_table(
    name: str,
    path: Path | None,
    frame: pd.DataFrame,
    target: str,
    task: Task | None,
    weights: str | None,
    *,
    to_train: bool = True,
) -> TrainingTable:
    """Split a table into columns, target and weights, and classify the columns."""
    column = get_column(frame, target, "target column")
    counts = None if weights is None else _weights(frame, weights)
    # Rows without a target cannot be trained on or scored.
    known = column.notna().to_numpy()
    wanted = read_target(simplify_column(column[known]), task)
    if to_train:
        check_enough(wanted)
    features = frame[known].drop(columns=[target, *filter(None, [weights])])
    return TrainingTable(
        name,
        path,
        features,
        infer_schema(features),
        wanted,
        None if counts is None else counts[known],
        left_out=int((~known).sum()),
    )


def _table(path: Path | None, text: Collection[str]) -> tuple[str, pd.DataFrame]:
    if path is not None:
        return path.name, read_table(path, text=text)
    digits = load_digits(as_frame=True)
    return "digits (from scikit-learn)", digits.frame.rename(columns={"target": "digit"})


def _weights(frame: pd.DataFrame, name: str) -> npt.NDArray[np.float64]:
    column = simplify_column(get_column(frame, name, "weights column"))
    present = column.dropna()
    if types.is_datetime64_any_dtype(column) or types.is_timedelta64_dtype(column):
        raise DataError(f"the weights column {name!r} holds dates: a weight is a number, 0 or more")
    if infer_value_type(present) == "nested":
        raise DataError(
            f"the weights column {name!r} holds {present.iloc[0]!r:.60}: a weight is a number, 0 or more"
        )
    weights = pd.to_numeric(column, errors="coerce").to_numpy(float, na_value=np.nan)
    wrong = ~((weights >= 0) & (weights <= MAX_ABS_TARGET))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"the weights column {name!r} holds {frame[name].iloc[row]} in row {row + 1}: "
            f"a weight is a number, 0 or more, up to {MAX_ABS_TARGET:g}"
        )
    return weights
