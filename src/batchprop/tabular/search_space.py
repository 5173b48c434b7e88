"""What ``tune`` searches: the options of a network for tables, and the values that they may take.

Every option is one of ``train_table``. Numbers within a range are arguments of a compiled program. Each value
of the others compiles another program, so there are few.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from batchprop.tabular.options import TrainOptions, format_text, parse_hidden
from batchprop.tabular.target import Task

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


class Choice(NamedTuple):
    """An option that takes one of a few values; each is another shape, and another program."""

    values: tuple[Any, ...]


class Range(NamedTuple):
    """An option that takes any number of a range, drawn evenly, or evenly in its logarithm."""

    low: float
    high: float
    log: bool = False


SPACE: Mapping[str, Choice | Range] = {
    "hidden": Choice(("128", "256", "512", "128,128", "256,256")),
    "bins": Choice((0, 8, 16, 32)),
    "batch_size": Choice((32, 64, 128)),
    "learning_rate": Range(3e-4, 1e-2, log=True),
    "dropout": Range(0.05, 0.5),
    "alpha": Range(1e-6, 1e-1, log=True),
    # The output's formula holds it, so each of its values is another program.
    "label_smoothing": Choice((0.0, 0.1)),
}
"""The options that are searched; "hidden" is written as on the command line."""

_OF_CLASSES = "label_smoothing"


def values_of(options: TrainOptions, task: Task) -> dict[str, Any]:
    """Return the values that options have of the searched ones.

    >>> values_of(TrainOptions(hidden=(256,)), "regression")["hidden"]
    '256'
    """
    values = {
        name: getattr(options, name) for name in SPACE if task == "classification" or name != _OF_CLASSES
    }
    values["hidden"] = format_text(options.hidden)
    return values | ({_OF_CLASSES: options.label_smoothing or 0.0} if _OF_CLASSES in values else {})


def distributions(first: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    """Return the search space as Optuna's distributions; the values of the first trial are always in it."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return {
        name: CategoricalDistribution(tuple(dict.fromkeys((*space.values, first[name]))))
        if isinstance(space, Choice)
        else FloatDistribution(min(space.low, first[name]), max(space.high, first[name]), log=space.log)
        for name, space in SPACE.items()
        if name in first
    }


def is_in_space(values: Mapping[str, Any], first: Mapping[str, Any]) -> bool:
    """Whether values are those of a trial: of each option one that it may take, of the same type.

    >>> first = values_of(TrainOptions(hidden=(256,)), "regression")
    >>> is_in_space(first, first), is_in_space(first | {"bins": 8.0}, first)
    (True, False)
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    space = distributions(first)
    if values.keys() != space.keys():
        return False
    return all(
        (isinstance(each, CategoricalDistribution) and repr(values[name]) in map(repr, each.choices))
        or (
            isinstance(each, FloatDistribution)
            and type(values[name]) in {int, float}
            and each.low <= values[name] <= each.high
        )
        for name, each in space.items()
    )


def as_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of the search space as options of ``train_table``.

    >>> as_options({"hidden": "128,128", "dropout": 0.1})
    {'hidden': (128, 128), 'dropout': 0.1}
    """
    return {name: parse_hidden(value) if name == "hidden" else value for name, value in values.items()}
