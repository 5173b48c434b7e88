"""Statistics of the target of a table that comes in blocks; the task follows the rule of `read_target`.

Index legend: n rows in all, k of a block.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from batchprop.data.sketches import Floats, FrequentItems, QuantileSketch, WeightedSamples
from batchprop.data.sources import MAX_ABS_TARGET
from batchprop.errors import DataError
from batchprop.tabular.schema import ValueType, infer_value_type
from batchprop.tabular.target import (
    Form,
    Task,
    are_integers,
    as_labels,
    as_numbers,
    check_largest,
    check_target,
    infer_integer_task,
)

_MAX_ABS = 1e100

MAX_LABELS = 100_000
"""The largest number of classes; distinct whole numbers are counted up to it."""

_TYPE_OF_FORM: dict[Form, ValueType] = {
    "truth": "booleans",
    "whole": "numbers",
    "short": "numbers",
    "text": "text",
}
_TYPE_NAMES: dict[ValueType, str] = {"booleans": "true and false", "numbers": "numbers"}


@dataclass(frozen=True)
class TargetSpec:
    """The target's statistics after a pass over the table, and the reader of its later blocks.

    Attributes:
        name: the column's.
        task: "classification" or "regression".
        reason: the reason for the task, in words.
        rows: the number of rows, n.
        weight: the sum of the rows' weights; without weights their number.
        form: the format of the class labels; None for numbers.
        classes: the labels in order (c,); None for numbers.
        counts: the number of rows of each (c,); None for numbers.
        class_weights: the sum of the weights of each's rows (c,); without weights their number.
        mean: of the numbers; nan for classes, as the next four.
        weighted_mean: by the rows' weights.
        deviation: their standard deviation, √(Σ (y − mean)² / n).
        low: the smallest.
        high: the largest.
        distribution: their distribution, for `quantile`; None for classes.
    """

    name: str
    task: Task
    reason: str
    rows: int
    weight: float
    form: Form | None = None
    classes: npt.NDArray[Any] | None = None
    counts: npt.NDArray[np.int64] | None = None
    class_weights: Floats | None = None
    mean: float = np.nan
    weighted_mean: float = np.nan
    deviation: float = np.nan
    low: float = np.nan
    high: float = np.nan
    distribution: WeightedSamples | None = None

    def quantile(self, q: float) -> float:
        """Return the quantile q of the numbers, in [0, 1]: exact up to 16 384 rows, then approximate.

        Raises:
            DataError: the target holds classes.
        """
        if self.distribution is None:
            raise DataError(f"the target {self.name!r} holds classes, which have no quantiles")
        return self.distribution.quantile(q)

    def read(self, column: pd.Series) -> npt.NDArray[Any]:
        """Return the labels or the numbers (k,) of a block, as `read_target` would for the whole column.

        Args:
            column: values of the target, none of them missing; the index numbers the rows from 0.

        Raises:
            DataError: a value is of another kind than the training values.
        """
        column = column.rename(self.name)
        check_target(column)
        if self.task == "regression":
            values = as_numbers(column, self.name)
            check_largest(_max_abs(values), self.name)
            return values
        form = self.form or "text"
        _check_form(column, form)
        return as_labels(column, form)


def _check_form(column: pd.Series, form: Form) -> None:
    if column.empty:
        return
    value_type = infer_value_type(column)
    expected = _TYPE_OF_FORM[form]
    if (value_type == "mixed" and expected == "text") or (value_type == expected and form != "whole"):
        return
    if value_type != expected:
        raise DataError(
            f"the target {str(column.name)!r} holds {_format_first(column)} in row {_row_number(column)}, "
            f"where {_TYPE_NAMES.get(expected, 'text')} came before: make it of one kind in the whole table"
        )
    values = column.to_numpy(float)
    if not are_integers(values):
        fractions = column[[not are_integers(np.array([value])) for value in values]]
        raise DataError(
            f"the target {str(column.name)!r} holds {fractions.iloc[0]} in row {_row_number(fractions)}, "
            "where whole numbers that name classes came before: correct it, or use task='regression'"
        )


def _row_number(column: pd.Series) -> int:
    return int(str(column.index[0])) + 1


def _format_first(column: pd.Series) -> str:
    """Format the first value, text in quotes."""
    value = column.iloc[0]
    return repr(value) if isinstance(value, str) else str(value)


def _max_abs(values: Floats) -> float:
    return float(values[np.abs(values).argmax()]) if len(values) else 0.0


class RunningMoments:
    """The mean and the standard deviation of numbers, updated block by block in one pass.

    With a block's mean m and its sum of squared deviations S: δ = m − mean, mean += δ k / n and
    squares += S + δ² k (n − k) / n, so that no large numbers are subtracted from each other.

    Source:
        Chan, Golub and LeVeque, Algorithms for computing the sample variance, 1983.

    >>> moments = RunningMoments()
    >>> moments.add(np.array([1e9, 1e9 + 2]))
    >>> moments.add(np.array([1e9 + 4]))
    >>> moments.mean - 1e9, round(moments.deviation**2, 3)
    (2.0, 2.667)
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = self._squares = 0.0

    def add(self, values: Floats) -> None:
        """Add numbers in (k,)."""
        k = len(values)
        if not k:
            return
        mean = float(values.mean())
        self.count += k
        delta = mean - self.mean
        self._squares += float(((values - mean) ** 2).sum())
        self._squares += delta**2 * k * (self.count - k) / self.count
        self.mean += delta * k / self.count

    @property
    def deviation(self) -> float:
        """√(squares / n)."""
        return float(np.sqrt(self._squares / max(self.count, 1)))


class TargetAccumulator:
    """The statistics of the target, computed block by block.

    Args:
        name: the column's.
        task: "classification" or "regression", or None to infer it from the values.

    >>> tally = TargetAccumulator("ill", None)
    >>> tally.add(pd.Series([0, 1, 1], name="ill"))
    >>> tally.add(pd.Series([1.0], name="ill"))
    >>> target = tally.finish()
    >>> (
    ...     target.task,
    ...     target.classes.tolist(),
    ...     target.counts.tolist(),
    ...     target.read(pd.Series([1.0])),
    ... )
    ('classification', [0, 1], [1, 3], array([1]))
    """

    def __init__(self, name: str, task: Task | None) -> None:
        self.name, self.task = name, task
        self.rows = 0
        self.weight = 0.0
        self._value_type: ValueType = "nothing"
        self._words = FrequentItems(MAX_LABELS)
        # Distinct numbers and their counts, while they may still become labels.
        self._distinct: pd.Series[int] | None = pd.Series(dtype=int, index=pd.Index([], dtype=float))
        self._fractions = False
        self._first: pd.Series | None = None
        self._moments, self._quantiles = RunningMoments(), QuantileSketch()
        # Where rows have weights: their sum for each label or distinct number, and Σ w (y − the first y).
        self._label_weights: pd.Series[float] | None = None
        self._first_number: float | None = None
        self._weighted_distance = 0.0

    def add(self, column: pd.Series, weights: Floats | None = None) -> None:
        """Add the targets of a block in (k,), whose index numbers the rows from 0, and their weights (k,).

        Raises:
            DataError: a value is missing or not a valid target.
        """
        self.rows += len(column)
        self.weight += len(column) if weights is None else float(weights.sum())
        if column.empty:
            return
        if column.isna().any():
            raise DataError(
                f"the target {self.name!r} is missing in row {_row_number(column[column.isna()])}: "
                "leave out the rows without a target"
            )
        check_target(column)
        self._check_type(column)
        if self._value_type == "numbers" or self.task == "regression":
            self._add_numbers(column, weights)
        if self._value_type != "numbers" and self.task != "regression":
            form: Form = "truth" if self._value_type == "booleans" else "text"
            labels = as_labels(column, form)
            self._words.add(pa.array(labels, pa.large_string()))
            self._add_label_weights(labels, weights)
            # Approximate counts would lose classes.
            if not self._words.exact:
                raise self._too_many_labels_error()

    def _check_type(self, column: pd.Series) -> None:
        value_type = infer_value_type(column)
        value_type = "text" if value_type in ("mixed", "nested") else value_type
        if self._first is None:
            self._value_type, self._first = value_type, column.iloc[:1]
        elif value_type != self._value_type:
            raise DataError(
                f"the target {self.name!r} holds {_format_first(self._first)} in row "
                f"{_row_number(self._first)} and {_format_first(column)} in row {_row_number(column)}: make "
                "it of one kind in the whole table"
            )

    def _add_label_weights(self, labels: npt.NDArray[Any], weights: Floats | None) -> None:
        if weights is not None:
            sums = pd.Series(weights).groupby(labels).sum()
            before = self._label_weights
            self._label_weights = sums if before is None else before.add(sums, fill_value=0.0)

    def _add_numbers(self, column: pd.Series, weights: Floats | None) -> None:
        values = as_numbers(column, self.name)
        if weights is not None:
            bounded = values.clip(-_MAX_ABS, _MAX_ABS)
            if self._first_number is None:
                self._first_number = float(bounded[0])
            # From the first number, so that a large offset takes no digits.
            self._weighted_distance += float(weights @ (bounded - self._first_number))
        if self.task != "classification":
            # Too large numbers are an error only at the end: the target may turn out to be classes.
            self._moments.add(values.clip(-_MAX_ABS, _MAX_ABS))
            self._quantiles.add(values)
        self._fractions |= bool(np.any(values != np.floor(values)))
        if self.task == "regression" or (self._fractions and self.task is None):
            # Fractions are classes only if requested.
            self._distinct = None
        if self._distinct is not None:
            counts = pd.Series(*np.unique(values, return_counts=True)[::-1])
            self._distinct = self._distinct.add(counts, fill_value=0).astype(int)
            self._add_label_weights(values, weights)
            if len(self._distinct) > MAX_LABELS:
                if self.task == "classification":
                    raise self._too_many_labels_error()
                self._distinct = None

    def _too_many_labels_error(self) -> DataError:
        return DataError(
            f"the target {self.name!r} holds more than {MAX_LABELS:,} different labels, too many for "
            "classes: choose another target, or use task='regression' if it holds numbers"
        )

    def finish(self) -> TargetSpec:
        """Return the statistics of the whole target.

        Raises:
            DataError: it holds numbers beyond 1e30.
        """
        task, reason = self._infer_task()
        if self.task is not None:
            task, reason = self.task, "as asked for"
        if task == "classification":
            return self._class_spec(reason)
        low, high = self._quantiles.low, self._quantiles.high
        check_largest(max(low, high, key=abs), self.name)
        return TargetSpec(
            self.name,
            task,
            reason,
            self.rows,
            self.weight,
            mean=self._moments.mean,
            weighted_mean=self._weighted_mean(),
            deviation=self._moments.deviation,
            low=low,
            high=high,
            distribution=self._quantiles.ranked(),
        )

    def _weighted_mean(self) -> float:
        if self._first_number is None or not self.weight:
            return self._moments.mean
        return self._first_number + self._weighted_distance / self.weight

    def _infer_task(self) -> tuple[Task, str]:
        if self._value_type != "numbers":
            return (
                "classification",
                "it holds true and false" if self._value_type == "booleans" else "it holds text",
            )
        if self._fractions:
            return "regression", "it holds fractions"
        if self._distinct is None:
            return "regression", f"it holds more than {MAX_LABELS:,} different whole numbers"
        return infer_integer_task(len(self._distinct), self.rows)

    def _class_spec(self, reason: str) -> TargetSpec:
        form, counts = self._label_form(), self._words.counted()
        weights = counts if self._label_weights is None else self._label_weights
        if self._value_type == "numbers" and self._distinct is not None:
            counts = _count_by_label(self._distinct, form)
            weights = counts if self._label_weights is None else _count_by_label(self._label_weights, form)
        weights = weights.reindex(counts.index)
        labels = np.array(counts.index.tolist(), dtype=np.int64 if form == "whole" else np.str_)
        order = np.argsort(labels)
        return TargetSpec(
            self.name,
            "classification",
            reason,
            self.rows,
            self.weight,
            form=form,
            classes=labels[order],
            counts=counts.to_numpy().astype(np.int64)[order],
            class_weights=weights.to_numpy().astype(float)[order],
        )

    def _label_form(self) -> Form:
        if self._value_type == "numbers" and self._distinct is not None:
            return "whole" if are_integers(self._distinct.index.to_numpy(float)) else "short"
        return "truth" if self._value_type == "booleans" else "text"


def _count_by_label(counts: "pd.Series[Any]", form: Form) -> "pd.Series[Any]":
    """Sum the counts of numbers by the labels that they make."""
    labels = as_labels(pd.Series(counts.index), form)
    # Different numbers may have the same text, and are then one class.
    return pd.Series(counts.to_numpy(), index=labels).groupby(level=0).sum()


def read_weights(column: pd.Series) -> Floats:
    """Return the rows' weights as float64 (k,).

    Args:
        column: numbers; the index numbers the rows from 0.

    Raises:
        DataError: a weight is missing, negative, or beyond 1e30.

    >>> read_weights(pd.Series([1, -1], name="times"))
    Traceback (most recent call last):
    batchprop.errors.DataError: the weights column 'times' holds -1 in row 2: a weight is a number, ...
    """
    weights: Floats = pd.to_numeric(column, errors="coerce").to_numpy(float)
    wrong = ~((weights >= 0) & (weights <= MAX_ABS_TARGET))
    if wrong.any():
        where = column[wrong]
        raise DataError(
            f"the weights column {str(column.name)!r} holds {where.iloc[0]} in row {_row_number(where)}: "
            f"a weight is a number, 0 or more, up to {MAX_ABS_TARGET:g}"
        )
    return weights
