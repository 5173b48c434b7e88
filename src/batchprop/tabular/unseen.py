"""Values that a model predicts from and never saw in its training: they are counted, and told.

Index legend: k rows of a block.
"""

from collections.abc import Iterable, Iterator
from copy import copy
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from batchprop.tabular.encoding import factorize_words
from batchprop.tabular.transformers import MISSING

_SHOWN = 3


class UnseenCounter:
    """Counts the rows, column by column, whose value the training had not.

    These are words, which all share the place of rare words, numbers in columns of codes, and gaps in columns
    that had none.

    Args:
        model: a pipeline that `load_pipeline` returned.
    """

    def __init__(self, model: Pipeline) -> None:
        parts = {name: part for name, part, _ in model["features"].transformers_ if part != "drop"}
        names = {name: of for name, _, of in model["features"].transformers_}
        code_names: dict[str, str] = model["columns"].code_names
        self._owners = {words: name for name, words in code_names.items()}
        self._words = {
            name: words
            for part in ("text", "frequent")
            for name, words in _known_words(parts.get(part), names.get(part, ()))
        }
        self._numbers = {
            name
            for part in ("numbers", "dates")
            if part in parts
            for name in _never_missing(parts[part], list(names[part]))
            if name not in code_names  # whose words have the gaps, too
        }
        self._rows = 0
        self._counts = dict[str, int]()
        self._examples = dict[str, list[str]]()

    def add(self, columns: pd.DataFrame) -> None:
        """Count the rows of a block: its columns (k, c), each of its kind."""
        self._rows += len(columns)
        for name, words in self._words.items():
            codes, distinct = factorize_words(columns[name])
            counts = np.bincount(codes, minlength=len(distinct)) * ~pd.Index(distinct).isin(words)
            owner = self._owners.get(name, name)
            self._count(owner, int(counts.sum()), distinct[counts > 0][: _SHOWN + 1])
        for name in self._numbers:
            self._count(name, int(columns[name].isna().sum()), [MISSING])

    def empty(self) -> Self:
        """Return a counter for the same model that has no rows yet: each thread counts its own block."""
        other = copy(self)
        vars(other).update(_rows=0, _counts={}, _examples={})
        return other

    def update(self, other: Self) -> None:
        """Add the rows of another counter, which follow those of this one."""
        self._rows += other._rows
        for name, count in other._counts.items():
            self._count(name, count, other._examples[name])

    def _count(self, name: str, count: int, values: Iterable[str]) -> None:
        if count:
            self._counts[name] = self._counts.get(name, 0) + count
            examples = self._examples.setdefault(name, [])
            examples += [value for value in values if value not in examples]

    def notes(self) -> list[str]:
        """Return a sentence for each column with such rows.

        >>> from batchprop.tabular import train_table
        >>> pets = pd.DataFrame({"kind": ["cat", "dog"] * 20, "fur": [0.5, 1.0] * 20})
        >>> pipeline = train_table(pets, target="fur", epochs=1).pipeline
        >>> counter = UnseenCounter(pipeline)
        >>> counter.add(pd.DataFrame({"kind": ["cat", "eel", MISSING]}))
        >>> counter.notes()
        ['kind: 2 of 3 rows hold values not seen in training (eel, missing)']
        """
        notes = []
        for name, count in self._counts.items():
            examples = ["missing" if word == MISSING else word for word in self._examples[name]]
            shown = ", ".join(examples[:_SHOWN]) + (", ..." if len(examples) > _SHOWN else "")
            hold, of = ("holds a value", "row") if self._rows == 1 else ("hold values", "rows")
            notes.append(f"{name}: {count:,} of {self._rows:,} {of} {hold} not seen in training ({shown})")
        return notes


def _known_words(encoder: OneHotEncoder | None, names: Any) -> Iterator[tuple[str, set[str]]]:
    if encoder is not None:
        for name, words in zip(names, encoder.categories_, strict=True):
            yield name, set(words)


def _never_missing(part: Pipeline, names: list[str]) -> list[str]:
    """Return the columns that had no gap in training: the imputer marks gaps of the others."""
    imputer = part.named_steps["simpleimputer"]
    width = len(imputer.statistics_) // len(names)  # of a date there are several numbers
    with_gaps = {} if imputer.indicator_ is None else {int(i) // width for i in imputer.indicator_.features_}
    return [name for i, name in enumerate(names) if i not in with_gaps]
