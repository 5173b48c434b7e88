"""One column of a table that comes in blocks: what `describe` and the transformers need to know of it.

Whatever a block's type is, its values are counted as what they are: numbers, booleans, text, dates, or
single values of several sorts. What the column is, is told at the end, over all of its rows.

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
from batchprop.errors import DataError
from batchprop.tabular.schema import (
    ColumnSchema,
    ColumnStats,
    ValueType,
    classify_column,
    count_numeric,
    is_date_text,
    value_type,
)
from batchprop.tabular.transformers import MAX_ABS, MISSING, DateParts, cast_column, date_parts

FREQUENT = 1024
"""How many words of a column are kept at the end, if they were too many to count."""

_SEVERAL = 2
_CALLED = {"mixed": "text and numbers"}
_SINGLE = {"numbers", "booleans", "text", "mixed"}


class MemoryBudget(NamedTuple):
    """How much may be kept of one column, so that all of them together take bounded memory.

    Attributes:
        values: how many numbers are kept as they are before quantiles become approximate.
        words: how many distinct words are counted.
        word_bytes: how much memory the words may take.
    """

    values: int
    words: int
    word_bytes: int

    @classmethod
    def split(cls, columns: int) -> "MemoryBudget":
        """Share the room for all columns: 2²² buffered numbers, 2²² words, and a gigabyte of text at most.

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
    """Numbers as they come: their range, their quantiles, and whether they may be an id.

    Args:
        room: how many of them may be kept.
    """

    def __init__(self, room: MemoryBudget) -> None:
        self.quantiles = QuantileSketch(room.values)
        self.whole = True
        self.low: Any = np.inf
        self.high: Any = -np.inf
        self.infinite: pd.Series | None = None
        # Kept as long as every value is whole and none was seen twice.
        self._distinct: DistinctCounter | None = DistinctCounter()

    def add(self, present: pd.Series) -> None:
        """Take numbers in (k,), none of them missing."""
        self._note_whole(present)
        values = present.to_numpy(float)
        low, high = values.min(), values.max()
        if self.whole:
            low, high = int(present.min()), int(present.max())
        self.low, self.high = min(self.low, low), max(self.high, high)
        if not -MAX_ABS <= low <= high <= MAX_ABS:
            infinite = present[np.isinf(values)]
            if self.infinite is None and len(infinite):
                self.infinite = infinite.iloc[:1]
            values = values.clip(-MAX_ABS, MAX_ABS)
        self.quantiles.add(values)

    def _note_whole(self, present: pd.Series) -> None:
        self.whole = self.whole and types.is_integer_dtype(present)
        if not self.whole:
            self._distinct = None
        if self._distinct is not None:
            self._distinct.add(hash_whole(present.to_numpy()))
            if self._distinct.repeated_so_far:
                self._distinct = None

    @property
    def all_distinct(self) -> bool:
        """Whether they are whole numbers of which none was seen twice."""
        return self._distinct is not None and not self._distinct.repeated

    @property
    def held(self) -> int:
        """How many values are kept."""
        return self.quantiles.memory_items + (0 if self._distinct is None else self._distinct.memory_items)


class DateStats:
    """Dates as they come: the quantiles of their parts, the first and the last of them.

    Args:
        room: how many values of each part may be kept.
    """

    def __init__(self, room: MemoryBudget) -> None:
        self.parts = [QuantileSketch(room.values) for _ in DateParts.PARTS]
        self.low: Any = None
        self.high: Any = None

    def add(self, present: pd.Series) -> None:
        """Take dates in (k,), or text that reads as dates, none of them missing."""
        low, high = present.min(), present.max()
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)
        for part, values in zip(self.parts, date_parts(cast_column(present, "date")), strict=True):
            part.add(values)

    @property
    def first(self) -> float:
        """The first of them, in days since 1970."""
        return self.parts[-1].low

    def ranked(self) -> list[WeightedSamples]:
        """Return the distribution of each part; the last is days since the first date."""
        *parts, days = [part.ranked() for part in self.parts]
        return [*parts, WeightedSamples(days.values - self.first, days.weights)]


class ColumnAccumulator:
    """What is counted of one column, block by block.

    Args:
        name: the column's.
        room: how much may be kept of it.

    >>> tally = ColumnAccumulator("age", MemoryBudget.split(1))
    >>> tally.add(pd.Series([30, 41]))
    >>> tally.add(pd.Series([np.nan, 30.5]))
    >>> tally.column()
    ColumnSchema(name='age', kind='number', note='30 to 41', missing=1, warning='')
    """

    def __init__(self, name: str, room: MemoryBudget) -> None:
        self.name = name
        self.rows = self.missing = 0
        self._room = room
        self.numbers, self.dates = NumberStats(room), DateStats(room)
        self._truths = {"false": 0, "true": 0}
        self._text = FrequentItems(room.words, room.word_bytes)
        self._are_dates = True
        self._numerals = 0
        self._other: str | None = None
        self._first: Any = None
        # What values there are of, and the row where the first of them stands; zones of dates apart.
        self._since: dict[tuple[ValueType, str], int] = {}
        self._take = {
            "numbers": self.numbers.add,
            "booleans": self._take_booleans,
            "dates": self._take_dates,
            "text": self._take_text,
            "mixed": self._take_mixed,
        }

    def add(self, column: pd.Series) -> None:
        """Take the values of a block in (k,), whose index numbers the rows from 0.

        Raises:
            DataError: text came after so many numbers that they cannot be taken for words any more.
        """
        present = column.dropna()
        self.rows += len(column)
        self.missing += len(column) - len(present)
        if present.empty:
            return
        holds = value_type(present)
        if not self._since:
            self._first = present.iloc[0]
        self._since.setdefault((holds, str(getattr(present.dtype, "tz", ""))), int(present.index[0]) + 1)
        if self.holds not in ("nested", "nothing"):
            self._take[holds](present)
        if self.holds == "mixed" and not self.numbers.quantiles.exact:
            raise DataError(self._too_late())

    def _too_late(self) -> str:
        since = {holds: row for (holds, _), row in self._since.items()}
        numbers = since.pop("numbers")
        other, row = next(iter(since.items()))
        return (
            f"column {self.name!r} holds numbers in row {numbers} and {_CALLED.get(other, other)} in row "
            f"{row}: make them all of one kind, or leave the column out"
        )

    def _take_booleans(self, present: pd.Series) -> None:
        true = int(present.sum())
        self._truths["true"] += true
        self._truths["false"] += len(present) - true

    def _take_dates(self, present: pd.Series) -> None:
        self.dates.add(present)

    def _take_text(self, present: pd.Series) -> None:
        numerals, other = count_numeric(present)
        self._numerals, self._other = self._numerals + numerals, self._other or other
        words = self._text.add(pa.array(present, pa.large_string()))
        if not self._are_dates:
            return
        self._are_dates = is_date_text(words.to_pandas())
        if self._are_dates:
            self.dates.add(present)
        else:
            self.dates = DateStats(self._room)

    def _take_mixed(self, present: pd.Series) -> None:
        self._take_text(cast_column(present, "category"))

    @property
    def holds(self) -> ValueType:
        """What the values are, so far."""
        if not self._since:
            return "nothing"
        kinds = {holds for holds, _ in self._since}
        if len(self._since) == 1:
            return next(iter(kinds))
        return "mixed" if kinds <= _SINGLE else "nested"

    def column(self) -> ColumnSchema:
        """Tell what the column is, as `describe` would of the whole of it."""
        column = classify_column(self._facts())
        if column.kind == "number" and self.numbers.infinite is not None:
            cast_column(self.numbers.infinite, "number")
        return column

    def _facts(self) -> ColumnStats:
        holds, numbers = self.holds, self.numbers
        dates = holds == "text" and self._are_dates
        whole = holds == "numbers" and numbers.whole
        ordered = numbers if holds == "numbers" else self.dates
        return ColumnStats(
            self.name,
            self.rows,
            self.missing,
            holds,
            float(self._first) if holds == "numbers" and not whole else self._first,
            self._distinct(holds),
            exact=self._text.exact,
            whole=whole,
            dates=dates,
            low=ordered.low,
            high=ordered.high,
            true=self._truths["true"] / max(self.rows - self.missing, 1),
            numerals=self._numerals,
            other=self._other,
        )

    def _distinct(self, holds: ValueType) -> float:
        """The number of distinct values; of numbers and dates, only one and all of them decide anything."""
        if holds in ("numbers", "dates"):
            ordered = self.numbers if holds == "numbers" else self.dates
            if ordered.low == ordered.high:
                return 1
            return self.rows - self.missing if self.numbers.all_distinct else _SEVERAL
        numbers = np.unique(self.numbers.quantiles.ranked().values)
        return self._text.distinct + len(numbers) + sum(map(bool, self._truths.values()))

    def words(self) -> "pd.Series[int]":
        """Return how often each word comes, missing values as a word of their own; the index is the words.

        If there are too many to count, the most frequent ones: their counts are then a little too small.
        """
        values, weights = self.numbers.quantiles.ranked()
        parts = [
            self._text.counted(),
            pd.Series(weights, index=cast_column(pd.Series(values), "category")),
            pd.Series(self._truths),
        ]
        if not self._text.exact:
            parts[0] = parts[0].nlargest(FREQUENT)
        together = pd.concat([*parts, pd.Series({MISSING: self.missing})])
        counts: pd.Series[int] = together[together > 0].groupby(level=0).sum()
        return counts

    @property
    def held(self) -> int:
        """How many values and words are kept."""
        return (
            self.numbers.held + self._text.memory_items + sum(part.memory_items for part in self.dates.parts)
        )
