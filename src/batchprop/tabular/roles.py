"""What each column of a table is for: to predict from, to split the rows by, or not at all."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from batchprop.data.arrow import get_column
from batchprop.data.text_rules import USUAL, TextRules
from batchprop.errors import DataError
from batchprop.tabular.dtypes import SECONDS
from batchprop.tabular.options import TrainOptions
from batchprop.tabular.schema import infer_value_type, to_numbers
from batchprop.tabular.spelling import clean, is_date_text, is_text, parse
from batchprop.tabular.transformers import cast_column


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
    column = clean(column, rules)
    _check_known(column, "group", "give each row a group")
    return np.asarray(cast_column(column, "category", rules=rules), dtype=object)


def read_times(column: pd.Series, rules: TextRules = USUAL) -> npt.NDArray[Any]:
    """Return the time of each row (n,) as numbers in order.

    Args:
        column: the times.
        rules: how text is read.

    Raises:
        DataError: a time is missing, or is neither a date nor a number.

    >>> read_times(pd.Series(["2020-03-01", "2020-02-29"], name="sold")).argsort().tolist()
    [1, 0]
    """
    _check_known(column, "time", "fill it in")
    if is_text(column) and (seconds := parse(column.str.strip(), SECONDS)).notna().all():
        column = seconds
    if rules.decimal == "," and is_text(column) and (numbers := to_numbers(column, rules)).notna().all():
        column = numbers
    kind = infer_value_type(column)
    if kind == "numbers":
        return np.asarray(column)
    if kind == "dates" or (kind == "text" and is_date_text(column)):
        # In microseconds, as blocks of one table may have dates of several resolutions.
        return cast_column(column, "date").to_numpy("datetime64[us]").astype(np.int64)
    raise DataError(
        f"the column {str(column.name)!r} for `time` holds {column.iloc[0]!r}, and times are numbers, or "
        "dates like 2020-02-29: name another column"
    )


def _check_known(column: pd.Series, role: str, remedy: str) -> None:
    missing = column.isna().to_numpy()
    if missing.any():
        rows = "1 row" if missing.sum() == 1 else f"{missing.sum():,} rows"
        first = column.index[int(missing.argmax())] + 1
        raise DataError(
            f"the column {str(column.name)!r} for `{role}` is empty in {rows}, first in row {first}: {remedy}"
        )
