"""What each column of a table is for: to predict from, to split the rows by, or not at all."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types

from batchprop.batches import weight_unit
from batchprop.data.arrow import get_column
from batchprop.data.frames import to_python
from batchprop.data.text_rules import USUAL, TextRules
from batchprop.errors import DataError, RowError
from batchprop.tabular.dtypes import to_seconds
from batchprop.tabular.options import TrainOptions
from batchprop.tabular.schema import (
    VALUE_TYPES,
    as_values,
    clean_typed,
    infer_value_type,
    is_date,
    to_numbers,
)
from batchprop.tabular.spelling import (
    SPELLINGS,
    SpellingCandidates,
    clean,
    is_number_gap,
    is_text,
    parse,
    plain_spelling,
)
from batchprop.tabular.target import number_candidates, row_name
from batchprop.tabular.transformers import cast_column

_MAX_PLAIN_WEIGHT = (
    1e30  # the largest weight whose sums and products with the target are far from overflowing
)


def feature_names(names: Sequence[str], options: TrainOptions) -> list[str]:
    """Return the columns to predict from.

    Args:
        names: of all columns.
        options: of the training.

    Raises:
        DataError: the table lacks a column that an option names.

    >>> feature_names(["id", "age", "ill"], TrainOptions(target="ill", drop=("id",)))
    ['age']
    """
    empty = pd.DataFrame(columns=list(names))
    for role, what in (("target", "target column"), ("weights", "weights column")):
        if (name := getattr(options, role)) is not None:
            get_column(empty, name, what)
    for role in ("group", "time", "drop", "columns", "type"):
        value = options.column_types if role == "type" else getattr(options, role)
        for name in (value,) if isinstance(value, str) else value or ():
            get_column(empty, name, f"column for `{role}`:")
    other = {options.target, options.weights, options.group, *(options.drop or ())}
    chosen = set(names if options.columns is None else options.columns)
    return [name for name in names if name in chosen and name not in other]


def read_groups(column: pd.Series, rules: TextRules = USUAL) -> npt.NDArray[np.object_]:
    """Return the group of each row (n,) as a word: 7 and 7.0 are one group, in each file.

    Args:
        column: the groups.
        rules: how text is read.

    Raises:
        DataError: a group is missing.

    >>> read_groups(pd.Series([7.0, 8.0], name="house")).tolist()
    ['7', '8']
    """
    column = clean(column, rules, labels=True)
    _check_known(column, "group", "give each row a group")
    return np.asarray(cast_column(column, "category", rules=rules), dtype=object)


def decide_spelling(
    blocks: Iterable[pd.Series],
    role: Literal["time", "weights"],
    wanted: str | None = None,
    rules: TextRules = USUAL,
) -> str:
    """Return how the text of a whole column spells times or weights; "" if it is typed.

    Args:
        blocks: of the column, in order, whose index numbers the rows from 0.
        role: of the column.
        wanted: the type given for it, or None.
        rules: how text is read.

    Raises:
        DataError: no spelling fits all of it, or its dates may begin with the day or the month.

    >>> decide_spelling([pd.Series(["1.500"]), pd.Series(["0,5"])], "weights")
    'comma'
    """
    kind = None if wanted == "text" else wanted
    if role == "weights" and is_date(kind):
        raise DataError(
            "the weights column is to be read as dates, and a weight is a number: leave its type out"
        )
    if role == "weights":
        candidates = number_candidates(
            rules, kind if kind is not None and kind.startswith("number") else "number"
        )
    else:
        candidates = SpellingCandidates(kind, rules=rules)
    first: pd.Series | None = None
    for block in blocks:
        words = clean_typed(block, kind, rules).dropna()
        if words.empty:
            continue
        if not is_text(words):
            return ""
        first = words if first is None else first
        candidates.narrow(words)
        if not candidates.parsed:
            raise _odd_value(block[words.index], role, rules)
    if first is None:
        return ""
    spelling = candidates.decide(str(first.name))
    if spelling is None or SPELLINGS[spelling].kind == "boolean":
        raise _odd_value(first, role, rules)
    return spelling


def _odd_value(column: pd.Series, role: str, rules: TextRules) -> DataError:
    """Return the error of text, none of it missing, that is no time or no weight."""
    if role == "time":
        return _no_time(column)
    plain = to_numbers(column, rules).isna()
    return _no_weight(column[plain] if plain.any() else column)


def _no_time(column: pd.Series) -> DataError:
    return DataError(
        f"the column {str(column.name)!r} for `time` holds {to_python(column.iloc[0])!r}, and times are "
        "numbers, or dates like 2020-02-29: name another column"
    )


def _no_weight(column: pd.Series) -> RowError:
    label = column.index[0]
    return RowError(
        f"the weights column {str(column.name)!r} holds {column.iloc[0]!s:.60} in {row_name(column)}: "
        "a weight is a number, 0 or more",
        int(label) if isinstance(label, int | np.integer) else -1,
    )


def read_times(
    column: pd.Series, rules: TextRules = USUAL, spelling: str | None = None, wanted: str | None = None
) -> npt.NDArray[Any]:
    """Return the time of each row (n,) as numbers in order.

    Args:
        column: the times.
        rules: how text is read.
        spelling: of text, by `decide_spelling`; None to decide it from this column.
        wanted: the type given for the column, or None.

    Raises:
        DataError: a time is missing, or is neither a date nor a number.

    >>> read_times(pd.Series(["2020-03-01", "2020-02-29"], name="sold")).argsort().tolist()
    [1, 0]
    """
    spelling = decide_spelling([column], "time", wanted, rules) if spelling is None else spelling
    column = clean_typed(column, None if wanted == "text" else wanted, rules)
    _check_known(column, "time", "fill it in")
    if is_text(column):
        words, kind = column, SPELLINGS[spelling].kind
        column = cast_column(words, kind, spelling, rules)
        _check_known(column, "time", "fill it in")
        column = as_values(column, words, spelling)
    elif types.is_timedelta64_dtype(column):
        column = to_seconds(column)
    found = infer_value_type(column)
    if wanted is not None and not column.empty and found != VALUE_TYPES.get(wanted.partition(":")[0], found):
        raise DataError(
            f"the column {str(column.name)!r} for `time` holds {found}, and is to be read as {wanted}: "
            "give it another type"
        )
    if found == "numbers" or column.empty:
        return np.asarray(column)
    if found == "dates":
        # In microseconds, as blocks of one table may have dates of several resolutions.
        return cast_column(column, "date").to_numpy("datetime64[us]").astype(np.int64)
    raise _no_time(column)


def read_weights(
    column: pd.Series, rules: TextRules = USUAL, spelling: str | None = None, wanted: str | None = None
) -> npt.NDArray[np.float64]:
    """Return the rows' weights as float64 (k,).

    Args:
        column: numbers; the index numbers the rows from 0.
        rules: how text is read.
        spelling: of text, by `decide_spelling`; "" for the plain one, None to decide it from this column.
        wanted: the type given for the column, or None.

    Raises:
        DataError: a weight is missing, negative, or infinite.

    >>> read_weights(pd.Series([1, -1], name="times"))
    Traceback (most recent call last):
    batchprop.errors.RowError: the weights column 'times' holds -1 in row 2: a weight is a number, 0 or more
    """
    spelling = decide_spelling([column], "weights", wanted, rules) if spelling is None else spelling
    cleaned = clean(column, rules)
    if cleaned.empty:
        return np.empty(0)
    what = "durations" if types.is_timedelta64_dtype(cleaned) else "dates"
    if what == "durations" or types.is_datetime64_any_dtype(cleaned):
        raise DataError(
            f"the weights column {str(column.name)!r} holds {what}: a weight is a number, 0 or more"
        )
    if is_text(cleaned):
        spelling = spelling or plain_spelling("number", rules)
        numbers = parse(cleaned, spelling, rules)
        numbers = numbers.mask(is_number_gap(numbers, spelling, rules))
    elif infer_value_type(cleaned.dropna()) == "nested":
        raise _no_weight(column[cleaned.notna()])
    else:
        numbers = pd.to_numeric(cleaned, errors="coerce")
    weights = numbers.to_numpy(float, na_value=np.nan)
    wrong = ~((weights >= 0) & np.isfinite(weights))
    if wrong.any():
        raise _no_weight(column[wrong])
    return weights


def unit_of_weights(*blocks: npt.NDArray[np.float64]) -> float:
    """Return the largest weight as the unit of all, where their sums may overflow or vanish, else 1.

    >>> unit_of_weights(np.array([1e300]), np.array([1.0])), unit_of_weights(np.array([9.0]))
    (1e+300, 1.0)
    """
    largest = max((float(weights.max(initial=0.0)) for weights in blocks), default=0.0)
    return float(weight_unit(largest, _MAX_PLAIN_WEIGHT))


def _check_known(column: pd.Series, role: str, remedy: str) -> None:
    missing = column.isna().to_numpy()
    if missing.any():
        rows = "1 row" if missing.sum() == 1 else f"{missing.sum():,} rows"
        first = int(column.index[int(missing.argmax())])
        raise RowError(
            f"the column {str(column.name)!r} for `{role}` is empty in {rows}, first in row {first + 1}: "
            f"{remedy}",
            first,
        )
