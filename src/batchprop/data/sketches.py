"""Counting in one pass and in bounded memory: quantiles, how many distinct values, the most frequent words.

All of it is deterministic: the same rows in the same order give the same answers, however they are cut into
blocks (of the words, as long as they are counted exactly). Each is exact until it has to forget.

Index legend: n values in all, k of a block.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]

_HALF = 0.5
_MAX_PENDING_WORDS = 1 << 16
_N_REPRESENTATIVES = 128  # words that count once at least, as pruning may forget all of them
_SCHEMA = pa.schema([("word", pa.large_string()), ("count", pa.int64())])


class WeightedSamples(NamedTuple):
    """Numbers in order, and how many values each stands for.

    Attributes:
        values: (k,), increasing.
        weights: (k,), whole numbers of at least 1.
    """

    values: Floats
    weights: Counts

    def quantile(self, q: float) -> float:
        """Return the quantile q, as ``numpy.percentile`` would of all values: between two of them, linear.

        >>> WeightedSamples(np.array([1.0, 2.0]), np.array([3, 1])).quantile(0.75)
        1.25
        """
        ends = np.cumsum(self.weights)
        place = (ends[-1] - 1) * q
        below = int(place)
        places = np.array([below, min(below + 1, ends[-1] - 1)])
        low, high = self.values[np.searchsorted(ends, places, side="right")].tolist()
        t = place - below
        # The two forms differ in their rounding, and NumPy's choice between them is this one.
        return float(high - (high - low) * (1 - t) if t >= _HALF else low + (high - low) * t)

    def lower(self, levels: Floats) -> Floats:
        """Return the greatest value up to each quantile (k,), as ``numpy.quantile(..., method="lower")``.

        >>> WeightedSamples(np.array([1.0, 2.0]), np.array([3, 1])).lower(np.array([0.5, 0.9, 1.0]))
        array([1., 1., 2.])
        """
        ends = np.cumsum(self.weights)
        places = np.floor((ends[-1] - 1) * levels)
        below: Floats = self.values[np.searchsorted(ends, places, side="right")]
        return below

    @property
    def median(self) -> float:
        """The middle value, or the mean of the two in the middle."""
        ends = np.cumsum(self.weights)
        places = np.array([(ends[-1] - 1) // 2, ends[-1] // 2])
        low, high = self.values[np.searchsorted(ends, places, side="right")].tolist()
        return float((low + high) / 2)

    def five(self) -> Floats:
        """Return the least, the quartiles with the median between them, and the greatest (5,).

        >>> WeightedSamples(np.array([0.0, 1.0]), np.array([3, 1])).five().tolist()
        [0.0, 0.0, 0.0, 0.25, 1.0]
        """
        return np.array(
            [self.values[0], self.quantile(0.25), self.median, self.quantile(0.75), self.values[-1]]
        )

    def insert(self, value: float, weight: int) -> "WeightedSamples":
        """Return these and one more value, so many times."""
        if not weight:
            return self
        place = int(np.searchsorted(self.values, value))
        return WeightedSamples(np.insert(self.values, place, value), np.insert(self.weights, place, weight))


class QuantileSketch:
    """The distribution of numbers that are seen once: exact for as many as fit in it, close for any number.

    A full buffer is sorted and every other value goes on, for two: first the even ones, next time the odd.
    Two such halves of one weight are merged and halved in the same way. A rank is then wrong by at most the
    weight at each halving, and the two choices err to opposite sides: for n = 4·10⁷ and the usual size, at
    most 0.04% of n whatever the values and their order are, and about a tenth of that commonly.

    Args:
        size: how many values the buffer holds, an even number. ``size · (1 + log₂(n/size)/2)`` are kept at
            most.

    Source:
        Munro and Paterson, Selection and sorting with limited storage, 1980; Manku, Rajagopalan and
        Lindsay, Approximate medians and other quantiles in one pass, SIGMOD 1998.

    >>> sketch = QuantileSketch(size=4)
    >>> sketch.add(np.arange(101.0))
    >>> sketch.samples().quantile(0.5), sketch.samples().quantile(1.0)
    (42.0, 100.0)
    """

    SIZE = 1 << 14

    def __init__(self, size: int = SIZE) -> None:
        self._size = size
        self._buffer = np.empty(0)
        self._filled = 0
        self._levels: dict[int, Floats] = {}
        self._odd: dict[int, int] = {}
        # What a rank may be too great by, and too small by.
        self._off = [0, 0]
        self.count = 0
        self.low, self.high = np.inf, -np.inf

    def add(self, values: Floats) -> None:
        """Take numbers in (k,), none of them missing."""
        if not len(values):
            return
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        self.count += len(values)
        if not len(self._buffer):
            self._buffer = np.empty(self._size)
        while len(values):
            if self._filled == self._size:
                self._merge_levels()
            batch = values[: self._size - self._filled]
            self._buffer[self._filled : self._filled + len(batch)] = batch
            self._filled += len(batch)
            values = values[len(batch) :]

    def _merge_levels(self) -> None:
        """Empty the full buffer: as in counting with binary digits, two of a level make one of the next."""
        run, level = np.sort(self._buffer), 0
        while True:
            odd = self._odd.get(level, 0)
            self._odd[level] = 1 - odd
            self._off[odd] += 1 << level
            run, level = run[odd::2].copy(), level + 1
            if level not in self._levels:
                break
            run = np.sort(np.concatenate([self._levels.pop(level), run]))
        self._levels[level] = run
        self._filled = 0

    @property
    def exact(self) -> bool:
        """Whether every value is still there."""
        return self.count <= self._size

    @property
    def error(self) -> float:
        """By how much a rank may be wrong at most, as a share of all values."""
        return max(self._off) / max(self.count, 1)

    @property
    def memory_items(self) -> int:
        """How many numbers it keeps."""
        return len(self._buffer) + sum(len(run) for run in self._levels.values())

    def samples(self) -> WeightedSamples:
        """Return what is kept, in order, with its weights; the least and the greatest are exact.

        >>> QuantileSketch().samples().values.tolist()
        []
        """
        runs = [self._buffer[: self._filled], *self._levels.values()]
        weights = [1, *(1 << level for level in self._levels)]
        values = np.concatenate(runs)
        order = np.argsort(values, kind="stable")
        values = values[order]
        if len(values):
            values[0], values[-1] = self.low, self.high
        return WeightedSamples(values, np.repeat(weights, [len(run) for run in runs])[order])


class DistinctCounter:
    """How many distinct values there are, by their hashes: those below a limit, which is lowered.

    Exact until ``MOST`` hashes are held; then at least half as many are, drawn evenly from all distinct
    values, and the count is right to 0.6% (one standard deviation).

    Source:
        Gibbons, Distinct sampling for highly-accurate answers to distinct values queries, VLDB 2001.

    >>> some = DistinctCounter()
    >>> some.add(hash_whole(np.array([3, 4, 3])))
    >>> some.count, some.repeated
    (2.0, True)
    """

    MOST = 1 << 16

    def __init__(self) -> None:
        self._held: Hashes = np.empty(0, dtype=np.uint64)
        self._pending: list[Hashes] = []
        self._waiting = 0
        self._halvings = 0
        self.repeated_so_far = False

    def add(self, hashes: Hashes) -> None:
        """Take hashes in (k,)."""
        self._pending.append(self._below(hashes))
        self._waiting += len(self._pending[-1])
        # As many as are held, so that merging costs a constant per value.
        if self._waiting >= max(len(self._held), 1):
            self._settle()

    def _below(self, hashes: Hashes) -> Hashes:
        if not self._halvings:
            return hashes
        low: Hashes = hashes[hashes >> np.uint64(64 - self._halvings) == 0]
        return low

    def _settle(self) -> None:
        before = len(self._held) + self._waiting
        ordered = np.sort(np.concatenate([self._held, *self._pending]))
        self._held = ordered[np.diff(ordered, prepend=~ordered[:1]) != 0]
        self._pending, self._waiting = [], 0
        self.repeated_so_far |= len(self._held) < before
        while len(self._held) > self.MOST:
            self._halvings += 1
            self._held = self._below(self._held)

    @property
    def repeated(self) -> bool:
        """Whether a value was seen to come twice; of many values, only those whose hash is kept can be."""
        self._settle()
        return self.repeated_so_far

    @property
    def exact(self) -> bool:
        """Whether every distinct value is kept."""
        return not self._halvings

    @property
    def count(self) -> float:
        """The number of distinct values, or its estimate."""
        self._settle()
        return float(len(self._held)) * 2.0**self._halvings

    @property
    def memory_items(self) -> int:
        """How many hashes it keeps."""
        return len(self._held) + self._waiting


def hash_whole(values: npt.NDArray[Any]) -> Hashes:
    """Hash whole numbers (k,) of 64 bits one to one, so that every bit depends on every other.

    Source:
        Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.

    >>> len(np.unique(hash_whole(np.arange(1000)) >> np.uint64(32)))
    1000
    """
    mixed = values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    hashes: Hashes = mixed ^ (mixed >> np.uint64(31))
    return hashes


class FrequentItems:
    """How often each word comes: exact up to `most` distinct ones, then the most frequent ones.

    Of more words than may be kept, the count of the first one too many is taken from all of them, and those
    with nothing left are forgotten. A count is then too small by at most `lost` ≤ n / most, so that any word
    that stands in more than that many rows is kept.

    Args:
        most: how many words may be kept.
        most_bytes: how much memory they may take; beyond it, half of them are forgotten.

    Source:
        Misra and Gries, Finding repeated elements, 1982; Agarwal et al., Mergeable summaries, PODS 2012.

    >>> words = FrequentItems(most=2)
    >>> _ = words.add(pa.array(["a", "b", "a", None], pa.large_string()))
    >>> words.counts().to_dict(), words.distinct
    ({'a': 2, 'b': 1}, 2.0)
    """

    def __init__(self, most: int, most_bytes: int = 1 << 26) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._kept: pa.Table = _SCHEMA.empty_table()
        self._pending: list[pa.Table] = []
        self._waiting = self._bytes = 0
        self._hashes: DistinctCounter | None = None
        self._some: list[str] = []
        self.lost = 0

    def add(self, words: pa.Array) -> pa.ChunkedArray:
        """Take words in (k,), missing ones ignored, and return those that are distinct."""
        counts = pc.value_counts(words.drop_null())
        block = pa.table([counts.field("values"), counts.field("counts")], schema=_SCHEMA)
        self._take(block)
        return block["word"]

    def _take(self, block: pa.Table) -> None:
        if self._hashes is not None:
            self._hashes.add(_hash_words(block["word"]))
        self._pending.append(block)
        self._waiting += len(block)
        self._bytes += block.nbytes
        if self._waiting > max(_MAX_PENDING_WORDS, len(self._kept)) or self._bytes > self._most_bytes:
            self._compact()

    def _compact(self) -> None:
        if not self._pending:
            return
        together = pa.concat_tables([self._kept, *self._pending])
        coded = together["word"].combine_chunks().dictionary_encode()
        counts = np.bincount(coded.indices.to_numpy(), together["count"].to_numpy()).astype(np.int64)
        self._kept = pa.table([coded.dictionary, counts], schema=_SCHEMA)
        self._pending, self._waiting, self._bytes = [], 0, 0
        if len(self._kept) > self._most:
            self._prune(self._most)
        while self._kept.nbytes > self._most_bytes:
            self._prune(len(self._kept) // 2)

    def _prune(self, most: int) -> None:
        if self._hashes is None:
            self._hashes = DistinctCounter()
            self._hashes.add(_hash_words(self._kept["word"]))
            self._some = self._kept["word"][:_N_REPRESENTATIVES].to_pylist()
        counts = self._kept["count"].to_numpy()
        cut = int(np.partition(counts, len(counts) - most - 1)[len(counts) - most - 1])
        left = self._kept.filter(pa.array(counts > cut))
        self._kept = pa.table([left["word"], pc.subtract(left["count"], cut)], schema=_SCHEMA)
        self.lost += cut

    @property
    def exact(self) -> bool:
        """Whether every word is kept with its count."""
        self._compact()
        return self._hashes is None

    @property
    def distinct(self) -> float:
        """The number of distinct words, or its estimate."""
        self._compact()
        return float(len(self._kept)) if self._hashes is None else self._hashes.count

    @property
    def memory_items(self) -> int:
        """How many words it keeps."""
        n_kept: int = len(self._kept)
        return n_kept + self._waiting

    def counts(self) -> "pd.Series[int]":
        """Return the counts of the words that are kept, in the order of the words.

        Where none comes often all may have been forgotten: some words are there always, once at least.
        """
        self._compact()
        counts = dict.fromkeys(self._some, 1)
        counts |= zip(self._kept["word"].to_pylist(), self._kept["count"].to_pylist(), strict=True)
        words = sorted(counts)
        return pd.Series(
            [counts[word] for word in words], index=pd.Index(words, dtype=object), dtype=np.int64
        )


def _hash_words(words: pa.ChunkedArray) -> Hashes:
    objects = words.to_numpy().astype(object)
    hashes: Hashes = pd.util.hash_array(objects, categorize=False)
    return hashes
