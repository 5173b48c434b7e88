"""Statistics of the target of a table, computed block by block, and the one rule for its task.

Index legend: n rows in all, k of a block, c classes.
"""

import math
from copy import deepcopy
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from batchprop.data.sketches import QuantileSketch, WeightedSamples
from batchprop.data.text_rules import USUAL, TextRules
from batchprop.errors import DataError
from batchprop.tabular.scales import scale_to_1
from batchprop.tabular.spelling import DECIMALS, is_text, parse, split_spelling
from batchprop.tabular.target import (
    Floats,
    Target,
    TargetWords,
    Task,
    as_labels,
    check_largest,
    describe_equal_labels,
    group_by_number,
    infer_integer_task,
    inspect_words,
    moments_error,
    number_candidates,
    parse_numbers,
    read_numbers,
    row_name,
    target_values,
)

_MAX_ABS = 1e100

MAX_LABELS = 100_000
"""The largest number of classes; distinct whole numbers are counted up to it."""

_BLOCK_ROWS = 1 << 16
_N_PLAIN = 64
_PLAIN = ""
"""The key of the numbers that are spelled plainly, or typed, beside those of other spellings."""

_KINDS = {"b": "true and false", "i": "numbers", "u": "numbers", "f": "numbers", "U": "text"}


def read_target(
    column: pd.Series,
    task: Task | None = None,
    *,
    from_text: bool = False,
    rules: TextRules = USUAL,
) -> Target:
    """Infer the task, and return the target as labels of the column's own type, or as float64 numbers (n,).

    Text and booleans are classes; numbers with fractions are numbers; whole numbers are classes if there
    are at most 20 distinct ones and on average two rows or more of each. That holds for numbers in text, also
    for 1,200.00 or 12 %, but whole numbers with leading zeros are labels. Each label comes back as it is
    spelled, and 1 and 1.0 are two in text; labels of a CSV file are integers if all are spelled as such.

    Args:
        column: the target, without missing values.
        task: "classification" or "regression" to overrule the rule.
        from_text: whether it is the text of a CSV file, in which whole numbers are integers.
        rules: how text is read; words that mean "missing" among numbers may be in the target.

    Raises:
        DataError: the target holds dates, lists, infinities, numbers beyond 1e30, values of several types, or
            text where numbers are needed.

    >>> read_target(pd.Series([0, 1, 1, 0], name="ill")).task
    'classification'
    >>> read_target(pd.Series([0.5, 1.0, 2.5], name="price")).reason
    'it holds fractions'
    >>> read_target(pd.Series(["007", "7"] * 5, name="agent"), from_text=True).values[
    ...     :2
    ... ].tolist()
    ['007', '7']
    """
    spec = infer_target(column, task, from_text=from_text, rules=rules)
    return Target(spec.name, spec.task, spec.reason, spec.read(column), spec.reading, spec.unit)


def infer_target(
    column: pd.Series, task: Task | None, *, from_text: bool, rules: TextRules = USUAL
) -> "TargetSpec":
    """Return what `read_target` finds in a target, which reads the labels of other rows as well."""
    accumulator = TargetAccumulator(str(column.name), task, from_text=from_text, rules=rules)
    for start in range(0, len(column), _BLOCK_ROWS):
        accumulator.add(column.iloc[start : start + _BLOCK_ROWS])
    return accumulator.finish()


@dataclass(frozen=True)
class TargetSpec:
    """The target's statistics after a pass over the table, and the reader of its later blocks.

    Attributes:
        name: the column's.
        task: "classification" or "regression".
        reason: the reason for the task, in words.
        rows: the number of rows, n.
        weight: the sum of the rows' weights; without weights their number.
        words: what the words of a CSV file are; None for a target that has a type.
        spelling: how text spells the numbers; "" for typed and plain ones.
        classes: the labels in order (c,), of the column's own type; None for numbers.
        counts: the number of rows of each (c,); None for numbers.
        class_weights: the sum of the weights of each's rows (c,); without weights their number.
        mean: of the numbers; nan for classes, as the next four.
        weighted_mean: by the rows' weights.
        deviation: their standard deviation, √(Σ (y − mean)² / n).
        low: the smallest.
        high: the largest.
        distribution: their distribution, for `quantile`; None for classes.
        rules: how text is read.
        reading: what is special about the spelling of numbers or labels, for people.
        unit: of the numbers, as the file spells it; "" for none.
    """

    name: str
    task: Task
    reason: str
    rows: int
    weight: float
    words: TargetWords | None = None
    spelling: str = _PLAIN
    classes: npt.NDArray[Any] | None = None
    counts: npt.NDArray[np.int64] | None = None
    class_weights: Floats | None = None
    mean: float = np.nan
    weighted_mean: float = np.nan
    deviation: float = np.nan
    low: float = np.nan
    high: float = np.nan
    distribution: WeightedSamples | None = None
    rules: TextRules = USUAL
    reading: str = ""
    unit: str = ""

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
        is_spelled = self.words is not None and is_text(column)
        values = column.to_numpy(object) if is_spelled else target_values(column)
        if self.classes is None:
            numbers = (
                self._read_spelled(column, values)
                if self.spelling and values.dtype.kind in "OU"
                else read_numbers(column, values, self.rules)
            )
            check_largest(_max_abs(numbers), self.name)
            return numbers
        if values.dtype.kind not in "OU" and (self.classes.dtype.kind != "U" or not len(values)):
            return _like_classes(column, values, self.classes)
        if self.words is None and values.dtype.kind not in "OU":
            raise _kind_error(column, self.classes)
        return self._read_words(column, values, self.classes)

    def _read_spelled(self, column: pd.Series, values: npt.NDArray[Any]) -> Floats:
        """Return the numbers (k,) that text spells."""
        numbers = parse(pd.Series(values.astype(object), column.index), self.spelling).to_numpy(float)
        wrong = ~np.isfinite(numbers)
        if wrong.any():
            raise _spelling_error(column[wrong])
        return numbers

    def _read_words(
        self, column: pd.Series, values: npt.NDArray[Any], classes: npt.NDArray[Any]
    ) -> npt.NDArray[Any]:
        """Return the labels (k,) that words spell; one that is no class is that of an equal number."""
        codes, distinct = pd.factorize(
            values if values.dtype == object else values.astype(str).astype(object)
        )
        words, (exact, by_number) = list(map(str, distinct)), self._labels_by_word
        # Most blocks hold no other words, and need not be parsed.
        numbers = by_number if not exact.keys() >= {*words} and group_by_number(words) else {}
        labels = [
            exact[word] if word in exact else numbers.get(Decimal(word), word) if numbers else word
            for word in words
        ]
        if classes.dtype.kind == "U":
            return np.array(labels, dtype=str)[codes] if words else np.empty(0, classes.dtype)
        odd = [isinstance(label, str) and as_labels([label]).dtype.kind == "U" for label in labels]
        if any(odd):
            wrong = column[np.isin(codes, np.flatnonzero(odd))]
            is_number = classes.dtype.kind != "b" and parse_numbers(wrong.iloc[:1].astype(str)) is not None
            raise _fraction_error(wrong) if is_number else _kind_error(wrong, classes)
        return np.array([int(label) if isinstance(label, str) else label for label in labels], classes.dtype)[
            codes
        ]

    @cached_property
    def _labels_by_word(self) -> tuple[dict[str, Any], dict[Decimal, Any]]:
        """The labels by their words, and by the number that only one of them spells."""
        labels = [] if self.classes is None else self.classes.tolist()
        exact = {str(label): label for label in labels}
        groups = group_by_number(list(exact))
        return exact, {number: exact[words[0]] for number, words in groups.items() if len(words) == 1}


def _like_classes(column: pd.Series, values: npt.NDArray[Any], classes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return typed labels in the type of the classes."""
    if not len(values):
        return classes[:0]
    if _KINDS[values.dtype.kind] != _KINDS[classes.dtype.kind]:
        raise _kind_error(column, classes)
    if values.dtype.kind == "U":
        return values
    same = values.astype(classes.dtype)
    if (same != values).any():
        raise _fraction_error(column[same != values])
    return same


def _kind_error(column: pd.Series, classes: npt.NDArray[Any]) -> DataError:
    return DataError(
        f"the target {str(column.name)!r} holds {_format_first(column)} in {row_name(column)}, "
        f"where {_KINDS[classes.dtype.kind]} came before: make it of one kind in the whole table"
    )


def _fraction_error(column: pd.Series) -> DataError:
    return DataError(
        f"the target {str(column.name)!r} holds {column.iloc[0]} in {row_name(column)}, "
        "where whole numbers that name classes came before: correct it, or use task='regression'"
    )


def _spelling_error(column: pd.Series) -> DataError:
    return DataError(
        f"the target {str(column.name)!r} holds {_format_first(column)} in {row_name(column)}, where numbers "
        "are spelled in another way before: spell all of them in one way"
    )


def _format_first(column: pd.Series) -> str:
    """Format the first value, text in quotes."""
    value = column.iloc[0]
    return repr(value) if isinstance(value, str) else str(value)


def _max_abs(values: Floats) -> float:
    return float(values[np.abs(values).argmax()]) if len(values) else 0.0


class RunningMoments:
    """The mean and the standard deviation of numbers, updated block by block in one pass.

    With a block's mean m and its sum of squared deviations S: δ = m − mean, mean += δ k / n and
    squares += S + δ² k (n − k) / n, so that no large numbers are subtracted from each other. The roots of
    these are kept, as the squares of tiny numbers would be 0.

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
        self.mean = self._root = 0.0

    def add(self, values: Floats) -> None:
        """Add numbers in (k,)."""
        k = len(values)
        if not k:
            return
        mean = float(values.mean())
        self.count += k
        delta = mean - self.mean
        between = delta * math.sqrt(k * (self.count - k) / self.count)
        (near_1,), exponent = scale_to_1(values - mean)
        within = math.ldexp(math.sqrt(float((near_1**2).sum())), exponent)
        self._root = math.hypot(self._root, within, between)
        self.mean += delta * k / self.count

    @property
    def deviation(self) -> float:
        """√(squares / n)."""
        return self._root / math.sqrt(max(self.count, 1))


class NumberSums:
    """The statistics of numbers to predict, updated block by block."""

    def __init__(self) -> None:
        self.moments, self.quantiles = RunningMoments(), QuantileSketch()
        self.fractions = False
        # Where rows have weights: Σ w (y − the first y).
        self._first: float | None = None
        self._weighted_distance = 0.0

    def add(self, values: Floats, weights: Floats | None) -> None:
        """Add numbers in (k,), and their weights (k,)."""
        # Too large numbers are an error only at the end: the target may turn out to be classes.
        bounded = values.clip(-_MAX_ABS, _MAX_ABS)
        if weights is not None:
            if self._first is None:
                self._first = float(bounded[0])
            # From the first number, so that a large offset takes no digits.
            self._weighted_distance += float(weights @ (bounded - self._first))
        self.moments.add(bounded)
        self.quantiles.add(values)
        self.fractions |= bool(np.any(values != np.floor(values)))

    def weighted_mean(self, weight: float) -> float:
        """Return the mean by weights of this sum."""
        if self._first is None or not weight:
            return self.moments.mean
        return self._first + self._weighted_distance / weight


class TargetAccumulator:
    """The statistics of the target, computed block by block.

    Args:
        name: the column's.
        task: "classification" or "regression", or None to infer it from the values.
        from_text: whether it is the text of a CSV file, in which whole numbers are integers.
        rules: how text is read; words that mean "missing" among numbers may be in the target.

    >>> tally = TargetAccumulator("ill", None)
    >>> tally.add(pd.Series([False, True, True], name="ill"))
    >>> tally.add(pd.Series([True], name="ill"))
    >>> target = tally.finish()
    >>> target.task, target.classes.tolist(), target.counts.tolist()
    ('classification', [False, True], [1, 3])
    >>> target.read(pd.Series([True]))
    array([ True])
    """

    def __init__(
        self,
        name: str,
        task: Task | None,
        *,
        from_text: bool = False,
        rules: TextRules = USUAL,
    ) -> None:
        self.name, self.task = name, task
        self.rows = 0
        self.weight = 0.0
        self._from_text, self._rules = from_text, rules
        # What text is; None for other types.
        self._words: TargetWords | None = TargetWords() if from_text else None
        self._dtype: np.dtype[Any] | None = None
        self._first: pd.Series | None = None
        # The number of rows and their weight for each label or distinct number, while these may be classes.
        self._labels: pd.DataFrame | None = pd.DataFrame({"rows": [], "weight": []})
        # The numbers by each spelling that all words so far fit, and the first that must not be among them:
        # "None", "inf".
        self._numbers = {_PLAIN: NumberSums()}
        self._odd = dict[str, pd.Series]()
        self._candidates = number_candidates(rules)
        self._plain = pd.Series(dtype=object)

    def add(self, column: pd.Series, weights: Floats | None = None) -> None:
        """Add the targets of a block in (k,), whose index numbers the rows from 0, and their weights (k,).

        Raises:
            DataError: a value is missing or not a valid target.
        """
        self.rows += len(column)
        self.weight += len(column) if weights is None else float(weights.sum())
        if column.empty:
            return
        column = column.rename(self.name)
        if column.isna().any():
            raise DataError(
                f"the target {self.name!r} is missing in {row_name(column[column.isna()])}: "
                "leave out the rows without a target"
            )
        values, numbers = self._read(column)
        if self.task != "regression" and self._labels is not None:
            self._add_labels(values, weights)
        if self.task == "classification":
            return
        for key, of in numbers.items():
            self._numbers[key].add(of, weights)
        is_typed = self._words is None
        if is_typed and self.task is None and numbers and self._numbers[_PLAIN].fractions:
            # Typed fractions are classes only if requested; those in text may yet turn out to be words.
            self._labels = None

    def _read(self, column: pd.Series) -> tuple[npt.NDArray[Any], dict[str, Floats]]:
        """Return the values of a block, and the numbers among them by spelling, if all may be numbers."""
        if not self._from_text:
            values = target_values(column)
            self._check_kind(column, values)
            if values.dtype.kind != "U":
                is_number = values.dtype.kind in "iuf" or self.task == "regression"
                return values, {_PLAIN: read_numbers(column, values)} if is_number else {}
            column = pd.Series(values.astype(object), column.index, name=self.name)
        return column.to_numpy(object), self._read_words(column)

    def _read_words(self, column: pd.Series) -> dict[str, Floats]:
        """Return the numbers (k,) that text spells, 0 for what must not be among them, by spelling."""
        before, words = self._words or TargetWords(), inspect_words(column, self._rules)
        self._words = before.merge(words)
        numbers = parse_numbers(column, self._rules) if self._words.numbers else None
        if numbers is not None:
            self._plain = self._plain if len(self._plain) else column.iloc[:_N_PLAIN]
            is_regression = self.task == "regression"
            values = column.to_numpy(object)
            found = {_PLAIN: read_numbers(column, values, self._rules) if is_regression else numbers}
        else:
            if before.numbers:
                self._begin_spelled(before)
            self._candidates.narrow(column)
            found = {key: values.to_numpy(float) for key, values in self._candidates.parsed.items()}
            if not found and self.task == "regression":
                self._refuse_moments()
                read_numbers(column, column.to_numpy(object), self._rules)  # to name a word
                raise _spelling_error(column)
            self._numbers = {key: sums for key, sums in self._numbers.items() if key in found}
        for key, values in found.items():
            finite = np.isfinite(values)
            if not finite.all() and key not in self._odd:
                self._odd[key] = column[~finite].iloc[:1]
            found[key] = np.where(finite, values, 0.0)
        return found

    def _begin_spelled(self, before: TargetWords) -> None:
        """Take the plain numbers so far for numbers of another spelling."""
        sums = self._numbers.pop(_PLAIN)
        odd = self._odd.pop(_PLAIN, None)
        if not before.whole and self._rules.decimal is None:
            # A point before the decimals.
            self._candidates.parsed.pop("comma", None)
        if len(self._plain):
            # Most plain numbers need not be looked at once more: a few show that they have no unit.
            self._candidates.narrow(self._plain)
        self._numbers = {key: deepcopy(sums) for key in self._candidates.parsed}
        self._odd = {} if odd is None else dict.fromkeys(self._numbers, odd)

    def _check_kind(self, column: pd.Series, values: npt.NDArray[Any]) -> None:
        if self._first is None or self._dtype is None:
            self._dtype, self._first = values.dtype, column.iloc[:1]
        elif _KINDS[self._dtype.kind] != _KINDS[values.dtype.kind]:
            raise DataError(
                f"the target {self.name!r} holds {_format_first(self._first)} in {row_name(self._first)} "
                f"and {_format_first(column)} in {row_name(column)}: make it of one kind in the whole table"
            )
        elif values.dtype.kind != "U":
            self._dtype = np.result_type(self._dtype, values.dtype)

    def _add_labels(self, values: npt.NDArray[Any], weights: Floats | None) -> None:
        ones = np.ones(len(values))
        block = pd.DataFrame({"rows": ones, "weight": ones if weights is None else weights})
        sums = block.groupby(values).sum()
        self._labels = (
            sums if self._labels is None or self._labels.empty else self._labels.add(sums, fill_value=0.0)
        )
        if len(self._labels) > MAX_LABELS:
            if self.task == "classification" or self._spelling is None:
                raise self._too_many_labels_error()
            self._labels = None

    @property
    def _spelling(self) -> str | None:
        """The spelling of the numbers so far; None if the values are no numbers."""
        if self._words is None:
            return _PLAIN if self._dtype is not None and self._dtype.kind in "iuf" else None
        if self._words.padded and self.task != "regression":
            return None
        return _PLAIN if self._words.numbers else self._candidates.decide(self.name)

    def _too_many_labels_error(self) -> DataError:
        return DataError(
            f"the target {self.name!r} holds more than {MAX_LABELS:,} different labels, too many for "
            "classes: choose another target, or use task='regression' if it holds numbers"
        )

    def finish(self) -> TargetSpec:
        """Return the statistics of the whole target.

        Raises:
            DataError: it holds dates, infinities, whole numbers beyond 64 bits, or numbers beyond 1e30.
        """
        if self._words == TargetWords():
            # Nothing but "None", or no rows.
            self._words = TargetWords(numbers=False, integers=False, whole=False, dates=False, times=False)
        self._check_words()
        task, reason = self._infer_task() if self.task is None else (self.task, "as asked for")
        if task == "classification":
            return self._class_spec(reason)
        # Numbers of truth values, if asked for, are plain.
        spelling = self._spelling or _PLAIN
        sums, reading = self._numbers[spelling], self._candidates.describe(spelling) if spelling else ""
        unit = split_spelling(self._candidates.to_stored(spelling))[1].removesuffix("?")
        low, high = sums.quantiles.low, sums.quantiles.high
        check_largest(max(low, high, key=abs), self.name)
        if self._words is not None and spelling == _PLAIN and self._rules.decimal == ",":
            # Other rows may have points between thousands.
            spelling = DECIMALS[","]
        return TargetSpec(
            self.name,
            task,
            reason,
            self.rows,
            self.weight,
            words=self._words if self._from_text else None,
            spelling=spelling,
            mean=sums.moments.mean,
            weighted_mean=sums.weighted_mean(self.weight),
            deviation=sums.moments.deviation,
            low=low,
            high=high,
            distribution=sums.quantiles.samples(),
            rules=self._rules,
            reading=reading,
            unit=unit,
        )

    def _check_words(self) -> None:
        """Refuse what only the whole column shows: dates, and words among numbers."""
        words = self._words
        if words is None or not self.rows:
            return
        self._refuse_moments()
        if self.task == "classification" and not words.numbers:
            return
        if self.task != "classification" and not words.numbers and (units := self._candidates.mixed_units):
            raise DataError(
                f"the target {self.name!r} holds {units}: give all of them one, or use task='classification' "
                "if they name classes"
            )
        spelling = self._spelling
        if spelling is None or (self.task == "classification" and spelling != _PLAIN):
            return
        if (odd := self._odd.get(spelling)) is not None:
            raise DataError(
                f"the target {self.name!r} holds {odd.iloc[0]} in {row_name(odd)}, where numbers "
                "are: correct it, or leave it empty and the row is left out"
            )

    def _refuse_moments(self) -> None:
        words = self._words
        # Text such as "Q1 2023" may name classes, if somebody says so.
        if self.task == "classification" or words is None or words.numbers:
            return
        # "5 min" and "7 min" are numbers of one unit.
        if words.dates or (words.times and self._spelling is None):
            raise moments_error(self.name, "dates" if words.dates else "times", in_text=True)

    def _infer_task(self) -> tuple[Task, str]:
        if (spelling := self._spelling) is None:
            is_bool = self._dtype is not None and self._dtype.kind == "b"
            return "classification", "it holds true and false" if is_bool else "it holds text"
        if self._numbers[spelling].fractions:
            return "regression", "it holds fractions"
        if self._labels is None:
            return "regression", f"it holds more than {MAX_LABELS:,} different whole numbers"
        task, reason = infer_integer_task(self._count_distinct(spelling), self.rows)
        if task == "regression" and self._words is not None and self._words.wide:
            raise DataError(
                f"the target {self.name!r} holds whole numbers of more than 64 bits, which lose digits as "
                "numbers: use task='classification' if they name classes, or task='regression' to round them"
            )
        return task, reason

    def _count_distinct(self, spelling: str) -> int:
        if spelling == _PLAIN or self._labels is None:
            return len(self._count_classes()[0])
        return int(parse(pd.Series(self._labels.index), spelling).nunique())

    def _count_classes(self) -> tuple[npt.NDArray[Any], pd.DataFrame]:
        """Return the labels in order (c,), with the number and the weight of the rows of each."""
        if self._labels is None:
            raise self._too_many_labels_error()
        sums = self._labels
        if self._from_text:
            labels = as_labels(sums.index.tolist())
        elif self._dtype is None or self._dtype.kind == "U":
            labels = np.array(sums.index.tolist(), dtype=np.str_)
        else:
            labels = np.array(sums.index.tolist(), dtype=self._dtype)
        order = np.argsort(labels)
        return labels[order], sums.iloc[order]

    def _class_spec(self, reason: str) -> TargetSpec:
        labels, sums = self._count_classes()
        return TargetSpec(
            self.name,
            "classification",
            reason,
            self.rows,
            self.weight,
            words=self._words if self._from_text else None,
            classes=labels,
            counts=sums["rows"].to_numpy().astype(np.int64),
            class_weights=sums["weight"].to_numpy(float),
            rules=self._rules,
            reading=describe_equal_labels(labels.tolist()) if labels.dtype.kind == "U" else "",
        )
