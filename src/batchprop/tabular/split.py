"""Splits into training, validation and test rows: at random, by group, or by time."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GroupShuffleSplit

from batchprop.batches import Indices
from batchprop.errors import DataError
from batchprop.format import pluralize
from batchprop.tabular.target import Target

MIN_ROWS = 10

_MAX_NAMED = 3
_GROUP_DRAWS = 20


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


def check_known_classes(name: str, values: npt.NDArray[Any], classes: npt.NDArray[Any], remedy: str) -> None:
    """Refuse a class that has validation or test rows, and no training rows.

    Args:
        name: of the target.
        values: the classes of validation and test rows (n,).
        classes: those of the training rows.
        remedy: what to do besides adding rows.

    Raises:
        DataError: a class has no training rows.

    >>> check_known_classes(
    ...     "ill", np.array(["no", "yes"]), np.array(["no"]), "draw others by another `seed`"
    ... )
    Traceback (most recent call last):
    batchprop.errors.DataError: the target 'ill': class 'yes' has no row among those to train on; ...
    """
    unknown = np.setdiff1d(values, classes).tolist()
    if unknown:
        raise DataError(
            f"the target {name!r}: class {unknown[0]!r} has no row among those to train on; add rows, remove "
            f"or merge the class, or {remedy}"
        )


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
    stays = np.ones(len(target.values), dtype=bool)
    stays[aside] = False
    return np.sort(rows[stays[rows]]), np.sort(aside)


def _groups(target: Target, rows: Indices) -> list[Indices]:
    if target.task == "regression":
        return [rows]
    values = target.values[rows]
    return [rows[values == value] for value in np.unique(values)]


def _draw_holdout(group: Indices, fraction: float, generator: np.random.Generator) -> Indices:
    # At least one row is held out and at least one stays, so that each class can be trained on and tested.
    count = min(max(1, round(fraction * len(group))), len(group) - 1)
    return generator.permutation(group)[:count]


def group_split(
    target: Target, groups: npt.NDArray[Any], rows: Indices, fraction: float, random_state: int
) -> tuple[Indices, Indices]:
    """Hold out a fraction of the groups at random: of several draws, the one with most even classes and rows.

    Args:
        target: the stratification.
        groups: the group of each row of the target (n,).
        rows: the rows to split (k,), as positions in the target.
        fraction: the share to hold out, between 0 and 1.
        random_state: the seed.

    Returns:
        The rows that stay, in order, and the held-out ones, in order.

    Raises:
        DataError: there is one group only.

    >>> target = Target("ill", "classification", "", np.tile(["no", "yes"], 6))
    >>> groups = np.repeat([7, 8, 9], 4)
    >>> stay, aside = group_split(target, groups, np.arange(12), 0.3, random_state=0)
    >>> len(aside), np.intersect1d(groups[stay], groups[aside]).tolist()
    (4, [])
    """
    codes = np.unique(groups[rows], return_inverse=True)[1]
    n_groups = int(codes.max()) + 1
    if n_groups == 1:
        raise DataError(
            f"there is one group only in {pluralize(len(rows), 'row')} to split, {groups[rows[0]]!r}, and "
            "the rows to train, validate and test on differ in theirs: name a `group` of more values"
        )
    classes = target.task == "classification"
    labels = np.unique(target.values[rows], return_inverse=True)[1] if classes else np.zeros(len(rows), int)
    counts = np.bincount(labels)

    def unevenness(draw: tuple[Indices, Indices]) -> tuple[int, float]:
        taken = np.bincount(labels[draw[1]], minlength=len(counts))
        # A class that none of the rows to train on has cannot be learned.
        return int(np.sum(taken == counts)), float(np.abs(taken - fraction * counts).sum())

    held = min(max(1, round(fraction * n_groups)), n_groups - 1)
    draws = GroupShuffleSplit(_GROUP_DRAWS, test_size=held, random_state=random_state)
    stay, aside = min(draws.split(codes, groups=codes), key=unevenness)
    return rows[stay], rows[aside]


def latest_split(times: npt.NDArray[Any], rows: Indices, fraction: float) -> tuple[Indices, Indices]:
    """Hold out the latest rows; those of one time stay together.

    Args:
        times: the time of each row (n,), in numbers.
        rows: the rows to split (k,), as positions in the times.
        fraction: the share to hold out, between 0 and 1.

    Returns:
        The rows that stay, in order, and the held-out ones, in order.

    Raises:
        DataError: all rows have one time.

    >>> [part.tolist() for part in latest_split(np.array([5, 1, 4, 3, 3]), np.arange(5), 0.4)]
    [[1, 3, 4], [0, 2]]
    """
    late = times[rows] >= latest_cut(*np.unique(times[rows], return_counts=True), fraction)
    return rows[~late], rows[late]


def latest_cut(times: npt.NDArray[Any], counts: npt.NDArray[Any], fraction: float) -> Any:
    """Return the time from which on the share of the rows is nearest to a fraction.

    Args:
        times: different times (n,), in order.
        counts: the number of rows of each (n,).
        fraction: between 0 and 1.

    Raises:
        DataError: there is one time only.

    >>> latest_cut(np.array([2018, 2019, 2020]), np.array([4, 5, 1]), 0.2)
    2020
    """
    if len(times) == 1:
        raise DataError(
            f"there is one time only in {pluralize(int(counts.sum()), 'row')} to split, and the rows to "
            "train, validate and test on differ in theirs: give `time` a column of more times, or leave "
            "it out"
        )
    shares = np.cumsum(counts[::-1])[::-1] / counts.sum()
    return times[1 + np.abs(shares[1:] - fraction).argmin()].item()
