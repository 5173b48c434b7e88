"""The table of a command: read, its target and weights taken out, its columns told apart."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.datasets import load_digits

from batchprop.errors import DataError
from batchprop.tables.columns import LARGEST, Column, Target, Task, describe, find, read_target
from batchprop.tables.lines import line_numbers
from batchprop.tables.reading import read
from batchprop.tables.splitting import check_enough


@dataclass(frozen=True)
class Data:
    """A table ready to train on.

    Attributes:
        name: what it is called.
        path: the file; None for the digits.
        frame: n rows, the target and the weights taken out; its index is the rows' places in the file.
        columns: what each of its columns is.
        target: what to predict (n,).
        weights: how much each row counts (n,), or None.
        without_target: how many rows were left out because their target is missing.
    """

    name: str
    path: Path | None
    frame: pd.DataFrame
    columns: tuple[Column, ...]
    target: Target
    weights: Any = None
    without_target: int = 0

    @property
    def places(self) -> tuple[str, npt.NDArray[np.intp]]:
        """What a row's place is called, and each row's: its line in a text file, its number elsewhere."""
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
) -> Data:
    """Read the table, take the target and the weights out of it, and tell what its columns are.

    Args:
        path: the file; None is for the digits.
        target: the column to predict.
        task: what it holds, or None to tell by its values.
        weights: the column of weights, or None.
        to_train: whether there have to be rows enough to learn from.

    Raises:
        DataError: the file, the target or the weights cannot be used.
    """
    name, frame = _table(path)
    target = target or "digit"
    column = find(frame, target, "target column")
    counts = None if weights is None else _weights(frame, weights)
    known = column.notna().to_numpy()
    wanted = read_target(column[known], task)
    if to_train:
        check_enough(wanted)
    features = frame[known].drop(columns=[target, *filter(None, [weights])])
    return Data(
        name,
        path,
        features,
        describe(features),
        wanted,
        None if counts is None else counts[known],
        without_target=int((~known).sum()),
    )


def _table(path: Path | None) -> tuple[str, pd.DataFrame]:
    if path is not None:
        return path.name, read(path)
    digits = load_digits(as_frame=True)
    return "digits (from scikit-learn)", digits.frame.rename(columns={"target": "digit"})


def _weights(frame: pd.DataFrame, name: str) -> npt.NDArray[np.float64]:
    weights = pd.to_numeric(find(frame, name, "weights column"), errors="coerce").to_numpy(float)
    wrong = ~((weights >= 0) & (weights <= LARGEST))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"the weights column {name!r} holds {frame[name].iloc[row]} in row {row + 1}: "
            f"a weight is a number, 0 or more, up to {LARGEST:g}"
        )
    return weights
