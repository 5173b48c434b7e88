"""The bounds of the estimators' parameters, as data, and the one function that checks them."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.metrics import get_scorer_names

from batchprop.activations import ACTIVATIONS, Activation
from batchprop.engines.auto import ENGINES, PRECISIONS
from batchprop.errors import ParameterError, short_repr

AUTO_BATCH = 200
"""Rows in a batch with ``batch_size="auto"``, if there are so many."""

FIRST_BATCH = 32
"""The initial batch size with ``batch_size="noise"``."""


class Constraint(NamedTuple):
    """The constraint of a parameter.

    Attributes:
        allowed: in words, after "give".
        is_valid: whether a value is allowed.
        names: the names among the allowed values, to suggest the nearest.
    """

    allowed: str
    is_valid: Callable[[Any], bool]
    names: tuple[str, ...] = ()


def interval(low: float, high: float = math.inf, *, above: bool = False, below: bool = False) -> Constraint:
    """A finite number from ``low`` to ``high``; ``above`` and ``below`` leave out the ends."""

    def is_valid(value: Any) -> bool:
        # The last condition refuses NaN, and an integer too large for a float.
        largest: Any = sys.float_info.max
        if isinstance(value, bool) or not isinstance(value, Real) or not abs(value) <= largest:
            return False
        number = float(value)
        return (low < number if above else low <= number) and (number < high if below else number <= high)

    if high == math.inf:
        return Constraint(f"a finite number {'above' if above else 'of at least'} {low:g}", is_valid)
    start = f"{'above' if above else 'from'} {low:g}"
    end = {(True, True): "and below", (True, False): "and at most", (False, True): "to below"}
    return Constraint(f"a number {start} {end.get((above, below), 'to')} {high:g}", is_valid)


def integer(low: int) -> Constraint:
    """An integer of at least ``low``."""
    return Constraint(f"an integer of at least {low}", lambda value: _is_integer(value) and value >= low)


def str_options(*names: str) -> Constraint:
    """One of some names."""
    return Constraint(
        f"one of {', '.join(map(repr, names))}",
        lambda value: isinstance(value, str) and value in names,
        names,
    )


def exact_value(value: Any) -> Constraint:
    """Exactly this value."""
    return Constraint(
        repr(value), lambda other: other is value or (isinstance(other, float) and other == value)
    )


def any_of(*constraints: Constraint) -> Constraint:
    """Any value that one of the constraints allows."""
    return Constraint(
        ", or ".join(constraint.allowed for constraint in constraints),
        lambda value: any(constraint.is_valid(value) for constraint in constraints),
        tuple(name for constraint in constraints for name in constraint.names),
    )


def sequence_of(constraint: Constraint, allowed: str) -> Constraint:
    """A list, tuple or one-dimensional array whose entries all satisfy a constraint."""
    return Constraint(allowed, lambda value: _is_sequence(value) and all(map(constraint.is_valid, value)))


def _is_ascending(levels: Any) -> bool:
    return len(levels) > 0 and all(low < high for low, high in pairwise(levels))


LEVEL = interval(0, 1, above=True, below=True)
LEVELS = Constraint(
    "ascending numbers between 0 and 1, as [0.05, 0.5, 0.95]",
    lambda value: _is_sequence(value) and all(map(LEVEL.is_valid, value)) and _is_ascending(value),
)
"""The levels of several quantiles."""
QUANTILE = any_of(LEVEL, LEVELS)

BOOLEAN = Constraint("True or False", lambda value: isinstance(value, bool | np.bool_))
CALLABLE = Constraint("a callable", callable)
_ACTIVATION = any_of(
    str_options(*ACTIVATIONS), Constraint("an Activation", lambda value: isinstance(value, Activation))
)

_DTYPES = ("float32", "float64", np.float32, np.float64)

PARAMETER_CONSTRAINTS: dict[str, Constraint] = {
    "hidden_layer_sizes": any_of(
        integer(1), sequence_of(integer(1), "a sequence of them, one for each hidden layer, as (100, 50)")
    ),
    "activation": any_of(
        _ACTIVATION, sequence_of(_ACTIVATION, "a sequence of them, one for each hidden layer")
    ),
    "solver": str_options("adam", "adamw", "sgd", "lbfgs"),
    "alpha": interval(0),
    "batch_size": any_of(integer(1), str_options("auto", "full", "noise")),
    "learning_rate": any_of(
        str_options("constant", "invscaling", "adaptive", "cosine", "warmup_cosine", "one_cycle"),
        Constraint("a callable step -> learning rate", callable),
    ),
    "learning_rate_init": interval(0, above=True),
    "power_t": interval(0),
    "max_iter": integer(1),
    "shuffle": BOOLEAN,
    "random_state": Constraint(
        "None, an integer from 0 to 2**32 - 1, or a numpy.random.RandomState",
        lambda value: (
            value is None
            or isinstance(value, np.random.RandomState)
            or (_is_integer(value) and 0 <= value < 2**32)
        ),
    ),
    "tol": interval(0),
    "verbose": any_of(BOOLEAN, integer(0)),
    "warm_start": BOOLEAN,
    "momentum": interval(0, 1),
    "nesterovs_momentum": BOOLEAN,
    "early_stopping": BOOLEAN,
    "validation_fraction": interval(0, 1, below=True),
    "beta_1": interval(0, 1, below=True),
    "beta_2": interval(0, 1, below=True),
    "epsilon": interval(0, above=True),
    "n_iter_no_change": any_of(integer(1), exact_value(math.inf)),
    "max_fun": integer(1),
    "dropout": any_of(
        interval(0, 1, below=True),
        sequence_of(
            interval(0, 1, below=True), "a sequence of them, one for each hidden layer, as (0.2, 0.5)"
        ),
    ),
    "weight_decay": interval(0),
    "warmup_fraction": interval(0, 1, below=True),
    "max_grad_norm": any_of(interval(0, above=True), exact_value(None)),
    "scoring": any_of(
        exact_value(None),
        str_options("loss", *get_scorer_names())._replace(
            allowed="'loss', the name of a scikit-learn scorer"
        ),
        CALLABLE,
    ),
    "callbacks": any_of(
        exact_value(None), sequence_of(CALLABLE, "a sequence of callables record -> True to stop")
    ),
    "dtype": any_of(
        exact_value(None),
        Constraint(
            "'float32', 'float64'",
            lambda value: isinstance(value, str | type | np.dtype) and value in _DTYPES,
        ),
    ),
    "engine": str_options(*ENGINES),
    "device": any_of(
        exact_value(None),
        Constraint(
            "'cpu', 'gpu', 'tpu' or another of JAX's", lambda value: isinstance(value, str) and value != ""
        ),
    ),
    "precision": any_of(exact_value(None), str_options(*PRECISIONS)),
    "max_batch_size": integer(1),
    "privacy": any_of(
        exact_value(None),
        Constraint(
            "a batchprop.privacy.Privacy, as Privacy(epsilon=3, delta=1e-5)",
            lambda value: callable(getattr(value, "start", None)) and not isinstance(value, type),
        ),
    ),
    "on_divergence": str_options("error", "rewind"),
}
"""The constraints of both estimators' parameters."""


def check_parameters(estimator: BaseEstimator, rules: Mapping[str, Constraint]) -> None:
    """Check every parameter of an estimator.

    Args:
        estimator: its ``get_params`` are checked.
        rules: by parameter name.

    Raises:
        ParameterError: a value is not allowed; the message names it and the allowed values.

    Example:
        >>> from sklearn.linear_model import Ridge
        >>> check_parameters(Ridge(alpha=-1.0), {"alpha": interval(0)})
        Traceback (most recent call last):
        batchprop.errors.ParameterError: alpha=-1.0 is not allowed: give a finite number of at least 0
    """
    values = estimator.get_params(deep=False)
    for name, rule in rules.items():
        if rule.is_valid(values[name]):
            continue
        shown = short_repr(values[name])
        near = get_close_matches(shown.strip("'"), rule.names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ParameterError(f"{name}={shown} is not allowed: give {rule.allowed}{hint}")


def hidden_layer_widths(hidden_layer_sizes: int | Iterable[int]) -> tuple[int, ...]:
    """Return the hidden layers' widths, from one integer or from several.

    Example:
        >>> hidden_layer_widths(100), hidden_layer_widths([64, 32]), hidden_layer_widths(())
        ((100,), (64, 32), ())
    """
    if isinstance(hidden_layer_sizes, Iterable):
        return tuple(map(int, hidden_layer_sizes))
    return (int(hidden_layer_sizes),)


def _is_integer(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, Integral)


def _is_sequence(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim == 1
    return isinstance(value, Sequence) and not isinstance(value, str | Activation)
