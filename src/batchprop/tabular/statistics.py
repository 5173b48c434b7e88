"""Statistics of one column of a table that comes in blocks, for its schema and for the transformers.

Values are counted by their type: numbers, booleans, text, dates, or a mix of these. The type of a column is
known only after all of its rows.

Index legend: n rows in all, k of a block, c columns.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.api import types

from batchprop.data.sketches import (
    DistinctCounter,
    FrequentItems,
    QuantileSketch,
    WeightedSamples,
    hash_whole,
)
from batchprop.data.text_rules import USUAL, TextRules
from batchprop.errors import DataError
from batchprop.tabular.column_summary import ColumnSummary
from batchprop.tabular.dtypes import SECONDS, to_seconds
from batchprop.tabular.schema import (
    SOME_DISTINCT,
    VALUE_TYPES,
    ColumnSchema,
    ColumnStats,
    ValueType,
    as_values,
    classify_column,
    clean_typed,
    count_blanks,
    count_numeric,
    count_words,
    infer_value_type,
    is_date,
)
from batchprop.tabular.spelling import IN_SECONDS, SPELLINGS, ZONED, SpellingCandidates
from batchprop.tabular.transformers import MAX_ABS, MISSING, DateParts, cast_column, date_parts

FREQUENT = 1024
"""How many words of a column are kept if there are too many to count."""

_TYPE_NAMES = {"mixed": "text and numbers"}
_SCALAR_TYPES = {"numbers", "booleans", "text", "mixed"}


class MemoryBudget(NamedTuple):
    """How much of one column is kept, so that all columns together take bounded memory.

    Attributes:
        values: how many numbers are kept before quantiles become approximate.
        words: how many distinct words are counted.
        word_bytes: how much memory the words may take.
    """

    values: int
    words: int
    word_bytes: int

    @classmethod
    def split(cls, columns: int) -> "MemoryBudget":
        """Divide 2²² buffered numbers, 2²² words and a gigabyte of text among the columns.

        >>> MemoryBudget.split(30)
        MemoryBudget(values=16384, words=100000, word_bytes=35791394)
        >>> MemoryBudget.split(10_000)
        MemoryBudget(values=256, words=1024, word_bytes=1048576)
        """
        share = (1 << 22) // max(columns, 1)
        return cls(
            values=int(np.clip(1 << max(share.bit_length() - 1, 0), 1 << 8, QuantileSketch.SIZE)),
            words=int(np.clip(share, 1 << 10, 100_000)),
            word_bytes=max((1 << 30) // max(columns, 1), 1 << 20),
        )


class NumberStats:
    """The range and the quantiles of numbers, and whether they may be an id.

    Args:
        budget: how many numbers may be kept.
    """

    def __init__(self, budget: MemoryBudget) -> None:
        self.quantiles = QuantileSketch(budget.values)
        self.whole = True
        self.low: Any = np.inf
        self.high: Any = -np.inf
        self.infinite: pd.Series | None = None
        # None once a value is a fraction or repeats: only distinct whole numbers can be an id.
        self._distinct: DistinctCounter | None = DistinctCounter()

    def add(self, present: pd.Series) -> None:
        """Add numbers in (k,), none of them missing."""
        self._update_whole(present)
        values = present.to_numpy(float)
        low, high = values.min(), values.max()
        if self.whole:
            low, high = int(present.min()), int(present.max())
        self.low, self.high = min(self.low, low), max(self.high, high)
        if not -MAX_ABS <= low <= high <= MAX_ABS:
            # The error comes at the end: later text may still turn the column into categories.
            infinite = present[np.isinf(values)]
            if self.infinite is None and len(infinite):
                self.infinite = infinite.iloc[:1]
            values = values.clip(-MAX_ABS, MAX_ABS)
        self.quantiles.add(values)

    def _update_whole(self, present: pd.Series) -> None:
        self.whole = self.whole and types.is_integer_dtype(present)
        if not self.whole:
            self._distinct = None
        if self._distinct is not None:
            self._distinct.add(hash_whole(present.to_numpy()))
            if self._distinct.repeated_so_far:
                self._distinct = None

    @property
    def all_distinct(self) -> bool:
        """Whether all are distinct whole numbers."""
        return self._distinct is not None and not self._distinct.repeated

    @property
    def memory_items(self) -> int:
        """How many values are kept."""
        return self.quantiles.memory_items + (0 if self._distinct is None else self._distinct.memory_items)


class DateStats:
    """The quantiles of the parts of dates, and the first and the last date.

    Args:
        budget: how many values of each part may be kept.
    """

    def __init__(self, budget: MemoryBudget) -> None:
        self.parts = [QuantileSketch(budget.values) for _ in DateParts.PARTS]
        self.low: Any = None
        self.high: Any = None

    def add(self, present: pd.Series) -> None:
        """Add dates in (k,), none of them missing."""
        low, high = present.min(), present.max()
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)
        for part, values in zip(self.parts, date_parts(cast_column(present, "date")), strict=True):
            part.add(values)

    @property
    def first(self) -> float:
        """The first date, in days since 1970."""
        return self.parts[-1].low

    def distributions(self) -> list[WeightedSamples]:
        """Return the distribution of each part; the last is days since the first date."""
        *parts, days = [part.samples() for part in self.parts]
        return [*parts, WeightedSamples(days.values - self.first, days.weights)]


class TruthStats:
    """How many truth values are false, and how many true."""

    def __init__(self) -> None:
        self.counts = {"false": 0, "true": 0}

    def add(self, present: pd.Series) -> None:
        """Add booleans (k,), none of them missing."""
        true = int(present.sum())
        self.counts["true"] += true
        self.counts["false"] += len(present) - true


def _make_stats(kind: str, budget: MemoryBudget) -> NumberStats | DateStats | TruthStats:
    """Return the empty statistics of what a kind of spelling gives."""
    if kind == "boolean":
        return TruthStats()
    return NumberStats(budget) if kind == "number" else DateStats(budget)


class ColumnAccumulator:
    """The statistics of one column, computed block by block.

    Args:
        name: the column's.
        budget: how much may be kept of it.
        wanted: the type given for it, or None.
        rules: how text is read.

    >>> tally = ColumnAccumulator("age", MemoryBudget.split(1))
    >>> tally.add(pd.Series([30, 41]))
    >>> tally.add(pd.Series([np.nan, 30.5]))
    >>> tally.column()
    ColumnSchema(name='age', kind='number', note='30 to 41', missing=1, warning='', ...)
    """

    def __init__(
        self,
        name: str,
        budget: MemoryBudget,
        wanted: str | None = None,
        rules: TextRules = USUAL,
    ) -> None:
        self.name, self._wanted, self._rules = name, wanted, rules
        self.rows = self._empty = 0
        self._spelling: str | None = None
        self._budget = budget
        self.numbers, self.dates = NumberStats(budget), DateStats(budget)
        self._booleans = TruthStats()
        self._text = FrequentItems(budget.words, budget.word_bytes)
        self._candidates = SpellingCandidates(wanted, rules=rules)
        self._spelled = {key: _make_stats(SPELLINGS[key].kind, budget) for key in self._candidates.parsed}
        self._blanks = 0
        self._numerals = 0
        self._other: str | None = None
        self._first: Any = None
        # The first row of each type of value; dates of another zone are another type, as durations are.
        self._since: dict[tuple[ValueType, str], int] = {}
        self._adders = {
            "numbers": self.numbers.add,
            "booleans": self._booleans.add,
            "dates": self._add_dates,
            "text": self._add_text,
            "mixed": self._add_mixed,
        }

    def add(self, column: pd.Series) -> None:
        """Add the values of a block in (k,), whose index numbers the rows from 0.

        Raises:
            DataError: text follows too many numbers to count them as words.
        """
        present = clean_typed(column, self._wanted, self._rules).dropna()
        self.rows += len(column)
        self._empty += len(column) - len(present)
        if present.empty:
            return
        if self._wanted == "text" and infer_value_type(present) != "nested":
            present = cast_column(present, "category", rules=self._rules)
        if is_duration := types.is_timedelta64_dtype(present):
            present = to_seconds(present)
        value_type = infer_value_type(present)
        if not self._since:
            self._first = present.iloc[0]
        unit = SECONDS if is_duration else str(getattr(present.dtype, "tz", ""))
        self._since.setdefault((value_type, unit), int(present.index[0]) + 1)
        if self.value_type not in ("nested", "nothing"):
            self._adders[value_type](present)
        if self.value_type == "mixed" and not self.numbers.quantiles.exact:
            raise DataError(self._type_change_error())

    def _type_change_error(self) -> str:
        since = {value_type: row for (value_type, _), row in self._since.items()}
        numbers = since.pop("numbers")
        other, row = next(iter(since.items()))
        return (
            f"column {self.name!r} holds numbers in row {numbers} and {_TYPE_NAMES.get(other, other)} in row "
            f"{row}: make them all of one kind, or leave the column out"
        )

    def _add_dates(self, present: pd.Series) -> None:
        self.dates.add(present)

    def _add_text(self, present: pd.Series) -> None:
        words = count_words(present)
        self._blanks += count_blanks(words)
        numerals, other = count_numeric(words, self._rules)
        self._numerals, self._other = self._numerals + numerals, self._other or other
        self._text.add(pa.array(present, pa.large_string()))
        self._candidates.narrow(present)
        self._spelled = {key: self._spelled[key] for key in self._candidates.parsed}
        for key, statistics in self._spelled.items():
            values = self._candidates.parsed[key].dropna()
            if len(values):
                statistics.add(as_values(values, present, key))

    def _add_mixed(self, present: pd.Series) -> None:
        self._add_text(cast_column(present, "category", rules=self._rules))

    @property
    def value_type(self) -> ValueType:
        """The type of the values so far."""
        if not self._since:
            return "nothing"
        kinds = {value_type for value_type, _ in self._since}
        if len(self._since) == 1:
            return next(iter(kinds))
        return "mixed" if kinds <= _SCALAR_TYPES else "nested"

    def column(self) -> ColumnSchema:
        """Return the schema that `infer_schema` gives for the whole column."""
        column = classify_column(self._compute_stats())
        if column.kind == "number" and self.numbers.infinite is not None:
            # Casting the first infinite value raises the error that names its row.
            cast_column(self.numbers.infinite, "number")
        return column

    def _compute_stats(self) -> ColumnStats:
        value_type, spelling, stored, reading = self.value_type, None, "", ""
        other = self._candidates.odd if is_date(self._wanted) else self._other
        if value_type == "text" and self._wanted != "text":
            spelling = self._candidates.decide(self.name)
            stored, reading = self._candidates.to_stored(spelling), self._candidates.describe(spelling)
        elif value_type == "dates" and any(zone for _, zone in self._since):
            stored = ZONED
        elif value_type == "numbers" and ("numbers", SECONDS) in self._since:
            stored, reading = SECONDS, IN_SECONDS
        if spelling is not None:
            value_type = self._take_spelled(spelling)
        numbers = self.numbers
        whole = value_type == "numbers" and numbers.whole
        ordered = numbers if value_type == "numbers" else self.dates
        is_typed = value_type == "numbers" and not whole and spelling is None
        return ColumnStats(
            self.name,
            self.rows,
            self.missing,
            value_type,
            float(self._first) if is_typed else self._first,
            self._distinct(value_type),
            exact=self._text.exact,
            whole=whole,
            spelling=stored,
            reading=reading,
            low=ordered.low,
            high=ordered.high,
            true=self._booleans.counts["true"] / max(self.rows - self.missing, 1),
            numerals=self._numerals,
            other=other,
            words=1 + self._blanks / max(self.rows - self.missing, 1) if value_type == "text" else 1.0,
            type=self._wanted,
        )

    @property
    def missing(self) -> int:
        """The number of missing values, with the words that mean so among numbers and dates."""
        return self._empty + (0 if self._spelling is None else self._candidates.count_gaps(self._spelling))

    def _take_spelled(self, spelling: str) -> ValueType:
        """Take what the text spells for the values of the column."""
        statistics = self._spelled[spelling]
        self._spelling = spelling
        if isinstance(statistics, NumberStats):
            self.numbers = statistics
        elif isinstance(statistics, DateStats):
            self.dates = statistics
        else:
            self._booleans = statistics
            # Each way to write true is one word.
            self._text = FrequentItems(self._budget.words, self._budget.word_bytes)
            self._first = statistics.counts["true"] > 0
        return VALUE_TYPES[SPELLINGS[spelling].kind]

    def _distinct(self, value_type: ValueType) -> float:
        """Return the number of distinct values; for numbers and dates only 1, all or ``SOME_DISTINCT``."""
        if value_type in ("numbers", "dates"):
            ordered = self.numbers if value_type == "numbers" else self.dates
            if ordered.low == ordered.high:
                return 1
            # Between 1 and all, the number does not matter.
            return self.rows - self.missing if self.numbers.all_distinct else SOME_DISTINCT
        # Blocks of numbers or of booleans may come before blocks that hold the same among words.
        numbers = pd.Series(np.unique(self.numbers.quantiles.samples().values))
        booleans = self._booleans.counts
        words = {*cast_column(numbers, "category"), *(word for word in booleans if booleans[word])}
        return self._text.distinct + len(words.difference(self._text.counts().index) if words else ())

    def summarize(self) -> ColumnSummary:
        """Return what the transformers are fitted on."""
        column = self.column()
        summary = ColumnSummary(column, self.missing)
        if column.kind == "number":
            return summary._replace(distributions=[self.numbers.quantiles.samples()])
        if column.kind == "date":
            ends = pd.to_datetime(pd.Series([self.dates.low, self.dates.high]), utc=True)
            dates = ends.to_numpy("datetime64[us]")
            return summary._replace(distributions=self.dates.distributions(), dates=dates)
        return summary if column.kind == "left out" else summary._replace(words=self.words())

    def words(self) -> "pd.Series[int]":
        """Return the count of each word, missing values as their own word; the index is the words.

        If there are too many, only the most frequent, with slightly too small counts.
        """
        values, weights = self.numbers.quantiles.samples()
        parts = [
            self._text.counts(),
            pd.Series(weights, index=cast_column(pd.Series(values), "category")),
            pd.Series(self._booleans.counts),
        ]
        if not self._text.exact:
            # Counts of rare words are unreliable if some were dropped.
            parts[0] = parts[0].nlargest(FREQUENT)
        together = pd.concat([*parts, pd.Series({MISSING: self.missing})])
        counts: pd.Series[int] = together[together > 0].groupby(level=0).sum()
        return counts

    @property
    def memory_items(self) -> int:
        """How many values and words are kept."""
        return (
            self.numbers.memory_items
            + self._text.memory_items
            + sum(part.memory_items for part in self.dates.parts)
        )
