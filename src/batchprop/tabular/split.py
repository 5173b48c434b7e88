"""Stratified splits into training, validation and test rows."""

from typing import Any

import numpy as np

from batchprop.batches import Indices
from batchprop.errors import DataError
from batchprop.tabular.target import Target

MIN_ROWS = 10

_MAX_NAMED = 3


def check_enough(target: Target) -> None:
    """Check that there are enough rows to learn from.

    Raises:
        DataError: fewer than 10 rows, or one class or number only.

    >>> check_enough(Target("ill", "classification", "", np.repeat(["no"], 20)))
    Traceback (most recent call last):
    batchprop.errors.DataError: the target 'ill' holds one class only, 'no', in all 20 rows: ...
    """
    rows = len(target.values)
    if rows < MIN_ROWS:
        raise DataError(
            f"{_rows(rows)} with a target {target.name!r}: at least {MIN_ROWS} are needed; add rows"
        )
    values = np.unique(target.values)
    if len(values) == 1:
        what = "one class only" if target.task == "classification" else "one number only"
        raise DataError(
            f"the target {target.name!r} holds {what}, {values.tolist()[0]!r}, in all {rows} rows: "
            "add rows of another, or choose another target"
        )


def check_each_class_twice(target: Target) -> None:
    """Check that each class has a row to train on and one to test on.

    Raises:
        DataError: a class has one row.

    >>> check_each_class_twice(
    ...     Target("ill", "classification", "", np.array(["no", "no", "yes"]))
    ... )
    Traceback (most recent call last):
    batchprop.errors.DataError: the target 'ill': class 'yes' has one row, too few to train and test on; ...
    """
    values, counts = np.unique(target.values, return_counts=True)
    if target.task == "classification" and counts.min() == 1:
        raise DataError(_too_few_error(target, values[counts == 1].tolist(), len(target.values)))


def _too_few_error(target: Target, single: list[Any], rows: int) -> str:
    named = ", ".join(map(repr, single[:_MAX_NAMED])) + (", ..." if len(single) > _MAX_NAMED else "")
    classes = f"class {named} has" if len(single) == 1 else f"{len(single)} classes ({named}) have"
    # A target of many whole numbers may be meant for a regression.
    numbers = "" if isinstance(single[0], str) or rows < MIN_ROWS else ", or use task='regression'"
    return (
        f"the target {target.name!r}: {classes} one row, too few to train and test on; "
        f"add rows, or remove or merge the class{numbers}"
    )


def _rows(count: int) -> str:
    return "there is 1 row" if count == 1 else f"there are {count} rows"


def stratified_split(
    target: Target, rows: Indices, fraction: float, random_state: int
) -> tuple[Indices, Indices]:
    """Hold out a fraction of the rows at random; the same of each class, and never its last row.

    Args:
        target: the stratification.
        rows: the rows to split (n,), as positions in the target.
        fraction: the share to hold out, between 0 and 1.
        random_state: the seed.

    Returns:
        The rows that stay, in order, and the held-out ones, in order.

    >>> target = Target("ill", "classification", "", np.repeat(["no", "yes"], [90, 10]))
    >>> stay, aside = stratified_split(target, np.arange(100), 0.2, random_state=0)
    >>> np.unique(target.values[aside], return_counts=True)[1].tolist()
    [18, 2]
    """
    generator = np.random.default_rng(random_state)
    aside = np.concatenate([_draw_holdout(group, fraction, generator) for group in _groups(target, rows)])
    return np.setdiff1d(rows, aside), np.sort(aside)


def _groups(target: Target, rows: Indices) -> list[Indices]:
    if target.task == "regression":
        return [rows]
    values = target.values[rows]
    return [rows[values == value] for value in np.unique(values)]


def _draw_holdout(group: Indices, fraction: float, generator: np.random.Generator) -> Indices:
    # At least one row is held out and at least one stays, so that each class can be trained on and tested.
    count = min(max(1, round(fraction * len(group))), len(group) - 1)
    return generator.permutation(group)[:count]
