"""A parameter out of range or of the wrong type: the error names it, its value, and what to give."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import batchprop as bp
from batchprop.errors import ParameterError, short_repr
from tests.estimators.tables import estimator, quiet, refused, table

pytestmark = quiet

WRONG: dict[str, tuple[str, list[Any]]] = {
    "hidden_layer_sizes": (
        "give an integer of at least 1, or a sequence of them, one for each hidden layer, as (100, 50)",
        [0, -1, 3.0, True, None, "10", (10, 0), [5, 2.5], np.ones((2, 2), int), {8}],
    ),
    "batch_size": (
        "give an integer of at least 1, or one of 'auto', 'full', 'noise'",
        [0, -5, 2.5, None, True],
    ),
    "dropout": (
        "give a number from 0 to below 1, or a sequence of them, one for each hidden layer, as (0.2, 0.5)",
        [-0.1, 1, 1.0, math.nan, None, "half", [0.5, 1.0]],
    ),
    "learning_rate_init": (
        "give a finite number above 0",
        [0, -1e-3, math.nan, math.inf, None, "0.1", True, 10**400],
    ),
    "learning_rate": ("give one of 'constant', 'invscaling'", [0.1, None, 3]),
    "alpha": ("give a finite number of at least 0", [-1e-9, math.nan, "0", None]),
    "power_t": ("give a finite number of at least 0", [-0.5, "x"]),
    "max_iter": ("give an integer of at least 1", [0, 2.5, "10", None, math.inf]),
    "shuffle": ("give True or False", [1, None, "yes"]),
    "random_state": (
        "give None, an integer from 0 to 2**32 - 1, or a numpy.random.RandomState",
        [-1, 0.5, "a"],
    ),
    "tol": ("give a finite number of at least 0", [-1, None]),
    "verbose": ("give True or False, or an integer of at least 0", [-1, "very"]),
    "warm_start": ("give True or False", [2]),
    "momentum": ("give a number from 0 to 1", [-0.1, 1.1, None]),
    "nesterovs_momentum": ("give True or False", ["on"]),
    "early_stopping": ("give True or False", [0, "auto"]),
    "validation_fraction": ("give a number from 0 to below 1", [-0.1, 1, 1.5]),
    "beta_1": ("give a number from 0 to below 1", [1, -0.1]),
    "beta_2": ("give a number from 0 to below 1", [1, "x"]),
    "epsilon": ("give a finite number above 0", [0, -1]),
    "n_iter_no_change": ("give an integer of at least 1, or inf", [0, 2.5, -math.inf, None]),
    "max_fun": ("give an integer of at least 1", [0, 1e4]),
    "weight_decay": ("give a finite number of at least 0", [-0.1, None]),
    "warmup_fraction": ("give a number from 0 to below 1", [1, -0.1]),
    "max_grad_norm": ("give a finite number above 0, or None", [0, -1, math.inf]),
    "activation": ("give one of 'identity', 'sigmoid'", [3, None, math.tanh, ["relu", 3]]),
    "scoring": ("give None, or 'loss', the name of a scikit-learn scorer, or a callable", [3, ["accuracy"]]),
    "callbacks": ("give None, or a sequence of callables record -> True to stop", [print, [3], "x"]),
    "engine": ("give one of 'auto', 'numpy', 'jax'", ["JAX", None, 1]),
    "device": ("give None, or 'cpu', 'gpu', 'tpu' or another of JAX's", ["", 0]),
    "precision": ("give None, or one of 'float32', 'tensorfloat32', 'bfloat16'", ["half", 32]),
    "privacy": ("give None, or a batchprop.privacy.Privacy", [3.0, "strong", True]),
    "on_divergence": ("give one of 'error', 'rewind'", [None, "raise", True]),
    "max_batch_size": ("give an integer of at least 1", [0, 1.5, None]),
    "dtype": ("give None, or 'float32', 'float64'", ["float16", int, 32, np.ones(3)]),
}
OF_ONE_CLASS: dict[str, tuple[str, list[Any]]] = {
    "label_smoothing": ("give a number from 0 to below 1", [1, -0.1, None]),
    "class_weight": ("give None, or one of 'balanced', or a dict {class: weight}", [3, ({},)]),
    "huber_delta": ("give a finite number above 0", [0, math.inf, "x"]),
    "quantile": (
        "give a number above 0 and below 1, or ascending numbers between 0 and 1",
        [0, 1, 50, [], [0.9, 0.1], [0.5, 1], "half"],
    ),
    "loss": ("give one of 'squared_error', 'poisson'", [None, 2]),
}


@pytest.mark.parametrize(
    ("target", "name", "value", "allowed"),
    [
        pytest.param(target, name, value, allowed, id=f"{target}-{name}-{value!r:.30}")
        for target in ("binary", "single")
        for name, (allowed, values) in (WRONG | OF_ONE_CLASS).items()
        for value in values
        if hasattr(estimator(target), name)
    ],
)
def test_parameter_out_of_range_or_of_the_wrong_type_is_refused(
    target: str, name: str, value: Any, allowed: str
) -> None:
    model = estimator(target).set_params(**{name: value})
    with refused(f"{name}={short_repr(value)} is not allowed: ", allowed, kind=ParameterError):
        model.fit(*table(target))
    assert not hasattr(model, "coefs_")


def test_every_parameter_has_a_constraint() -> None:
    given = set(bp.MLPClassifier().get_params()) | set(bp.MLPRegressor().get_params())
    assert given == set(WRONG | OF_ONE_CLASS) | {"solver"}


@pytest.mark.parametrize(
    ("name", "value", "near"),
    [
        ("activation", "rely", "relu"),
        ("activation", "sigmoidal", "sigmoid"),
        ("solver", "addam", "adam"),
        ("learning_rate", "cosinus", "cosine"),
        ("batch_size", "fully", "full"),
        ("scoring", "acuracy", "accuracy"),
        ("class_weight", "balance", "balanced"),
    ],
)
def test_unknown_option_suggests_the_nearest_name(name: str, value: str, near: str) -> None:
    with refused(f"{name}={value!r} is not allowed: give ", f"did you mean {near!r}?"):
        estimator("binary", **{name: value}).fit(*table("binary"))


def test_unknown_loss_is_refused() -> None:
    with refused("loss='squared' is not allowed", "did you mean 'squared_error'?"):
        estimator("single", loss="squared").fit(*table("single"))


@pytest.mark.parametrize("name", ["activation", "dropout"])
def test_list_of_the_wrong_length_for_the_hidden_layers_is_refused(name: str) -> None:
    entry = {"activation": "relu", "dropout": 0.5}[name]
    with refused(f"{name}=[{entry!r}, {entry!r}] has 2 entries for 3 hidden layers: give one for all, or 3"):
        estimator("single", hidden_layer_sizes=(4, 4, 4), **{name: [entry] * 2}).fit(*table("single"))


@pytest.mark.parametrize(("name", "value"), [("dropout", 0.5), ("max_grad_norm", 1.0)])
def test_lbfgs_refuses_options_that_randomise_the_loss(name: str, value: float) -> None:
    with refused(f"{name}={value} does not go with solver='lbfgs'", "use solver='adam' or 'sgd'"):
        estimator("single", solver="lbfgs", **{name: value}).fit(*table("single"))


@pytest.mark.parametrize("rate", [-1.0, math.nan, math.inf, "fast", None])
def test_schedule_that_returns_an_invalid_rate_is_refused(rate: object) -> None:
    with refused(f"the schedule gave a learning rate of {rate!r} for step 0"):
        estimator("single", learning_rate=lambda _: rate).fit(*table("single"))
