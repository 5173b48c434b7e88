"""Sample and class weights of 0 and of any size, in every way to fit.

A row of weight 0 equals its absence, whatever a regressor's target holds there; weights of any size train as
ones do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_matrix
from sklearn.metrics import accuracy_score, r2_score

import batchprop as bp
from batchprop.data.sources import ArraySource
from batchprop.errors import InputError
from tests.estimators.tables import CLASS_TARGETS, TARGETS, declared, estimator, quiet, refused, table

pytestmark = quiet

ENGINES = ("numpy", "jax")
BOUNDS = {"float64": 1e-10, "float32": 2e-5}
LOSSES = ("squared_error", "poisson", "absolute_error", "huber", "quantile")
FILLS = (np.nan, np.inf, -np.inf, 1e20, 9.97e36, 1e300, -9999.0)
SIZES = (1e-300, 1e-40, 1e-12, 1e12, 1e37, 1e300)


def in_turn(values: tuple[Any, ...]) -> list[tuple[Any, str, str]]:
    """Every value on both engines, in each type of numbers on one of them."""
    dtypes = tuple(BOUNDS)
    return [
        (value, engine, dtypes[(turn + number) % 2])
        for turn, value in enumerate(values)
        for number, engine in enumerate(ENGINES)
    ]


ROWS = 300
"""More than 1,000 numbers in X: a fit in float32 is then computed in float32."""
KEPT = np.arange(ROWS) % 4 != 0
WEIGHTS = np.where(KEPT, np.random.default_rng(0).uniform(0.5, 2, ROWS), 0.0)
PLAIN: dict[str, Any] = {"shuffle": False, "batch_size": ROWS, "max_iter": 4, "tol": 0}


def numbers(loss: str) -> tuple[np.ndarray, np.ndarray]:
    return table("counts" if loss == "poisson" else "single", ROWS)


def regressor(loss: str, **parameters: Any) -> Any:
    return estimator("single", loss=loss, **PLAIN | parameters)


def spoilt(y: np.ndarray, fill: float) -> np.ndarray:
    """The fill value in every row of weight 0."""
    return np.where(KEPT if y.ndim == 1 else KEPT[:, None], y, fill)


def same(actual: Any, expected: Any, bound: float) -> None:
    """The same curves and weights."""
    assert_allclose(actual.loss_curve_, expected.loss_curve_, rtol=bound, atol=bound)
    for name in ("coefs_", "intercepts_"):
        for ours, theirs in zip(getattr(actual, name), getattr(expected, name), strict=True):
            assert np.isfinite(ours).all()
            assert_allclose(ours, theirs, rtol=bound, atol=bound)


@pytest.mark.filterwarnings("ignore:Got .batch_size.*is cut:UserWarning")
@pytest.mark.parametrize(("loss", "engine", "dtype"), in_turn(LOSSES))
def test_a_row_of_weight_0_equals_its_absence(loss: str, engine: str, dtype: str) -> None:
    X, y = numbers(loss)
    model = regressor(loss, engine=engine, dtype=dtype)
    expected = regressor(loss, engine=engine, dtype=dtype).fit(X[KEPT], y[KEPT], WEIGHTS[KEPT])
    for fill in FILLS:
        same(model.fit(X, spoilt(y, fill), WEIGHTS), expected, BOUNDS[dtype])
    assert_allclose(model.score(X[KEPT], y[KEPT]), expected.score(X[KEPT], y[KEPT]), rtol=BOUNDS[dtype] * 100)


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("engine", ENGINES)
def test_an_input_of_weight_0_may_overflow(engine: str, dtype: str) -> None:
    X, y = numbers("squared_error")
    huge = np.where(KEPT[:, None], X, 1e38 if dtype == "float32" else 1e308)
    fits = [
        regressor("squared_error", engine=engine, dtype=dtype, batch_size=50).fit(given, y, WEIGHTS)
        for given in (huge, X)
    ]
    same(fits[0], fits[1], BOUNDS[dtype])


@pytest.mark.filterwarnings("ignore:Got .batch_size.*is cut:UserWarning")
@pytest.mark.parametrize("solver", ["lbfgs", "sgd", "adamw"])
@pytest.mark.parametrize("target", TARGETS)
def test_every_target_and_solver_leaves_out_rows_of_weight_0(target: str, solver: str) -> None:
    X, y = table(target, ROWS)
    parameters = {**PLAIN, "solver": solver, "dtype": "float64"}
    ours, theirs = (estimator(target, **parameters) for _ in range(2))
    y_given = y if target in CLASS_TARGETS else spoilt(y, 9.97e36)
    same(ours.fit(X, y_given, WEIGHTS), theirs.fit(X[KEPT], y[KEPT], WEIGHTS[KEPT]), 1e-8)


@pytest.mark.parametrize(
    "container", [list, pd.Series, lambda y: pd.DataFrame({"y": y})["y"], lambda y: y.astype(object)]
)
def test_fill_values_of_weight_0_are_accepted_in_every_container(container: Any) -> None:
    X, y = numbers("squared_error")
    expected = regressor("squared_error").fit(X, spoilt(y, 0.0), WEIGHTS)
    actual = regressor("squared_error").fit(csr_matrix(X), container(spoilt(y, np.nan)), list(WEIGHTS))
    same(actual, expected, 1e-4)
    with refused("y contains NaN, first in row 1"):
        regressor("squared_error").fit(X, np.where(np.arange(ROWS) == 1, np.nan, y), WEIGHTS)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("scoring", [None, "loss", "neg_mean_absolute_error", "neg_max_error"])
def test_fill_values_do_not_enter_the_validation(engine: str, scoring: Any) -> None:
    X, y = numbers("squared_error")
    parameters = {"early_stopping": True, "scoring": scoring, "engine": engine, "batch_size": 40}
    fits = [
        regressor("squared_error", **parameters).fit(X, spoilt(y, fill), WEIGHTS)
        for fill in (0.0, np.nan, 1e30)
    ]
    for fit in fits[1:]:
        same(fit, fits[0], 1e-6)
        assert_allclose(fit.validation_loss_curve_, fits[0].validation_loss_curve_, rtol=1e-6)
        assert_allclose(fit.validation_scores_, fits[0].validation_scores_, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:Got .batch_size.*is cut:UserWarning")
@pytest.mark.parametrize("engine", ENGINES)
def test_partial_fit_and_streams_leave_out_rows_of_weight_0(engine: str) -> None:
    X, y = numbers("poisson")
    parts = [slice(0, 100), slice(100, 300)]
    ours, theirs = (regressor("poisson", engine=engine, dtype="float64", batch_size="auto") for _ in "ab")
    for part in parts:
        ours.partial_fit(X[part], spoilt(y, -9999.0)[part], WEIGHTS[part])
        kept = np.flatnonzero(KEPT[part]) + part.start
        theirs.partial_fit(X[kept], y[kept], WEIGHTS[kept])
    same(ours, theirs, 1e-10)
    within = regressor("poisson", engine=engine, dtype="float64").fit(X, spoilt(y, 1.0), WEIGHTS)
    for early in (False, True):
        streams = [
            regressor("poisson", engine=engine, dtype="float64", early_stopping=early).fit(
                [(X[part], spoilt(y, fill)[part], WEIGHTS[part]) for part in parts]
            )
            for fill in (1.0, np.nan, -9999.0, 1e300)
        ]
        for stream in streams[1:]:
            same(stream, streams[0], 1e-12)
        if not early:
            assert_allclose(streams[0].loss_curve_, within.loss_curve_, rtol=1e-9)


@pytest.mark.parametrize(("size", "engine", "dtype"), in_turn(SIZES))
def test_weights_of_any_size_train_as_ones(size: float, engine: str, dtype: str) -> None:
    X, y = table("multiclass", ROWS)
    parameters = {"engine": engine, "dtype": dtype, "alpha": 0.1, "max_iter": 3}
    for early in (False, True):
        fits = [
            estimator("multiclass", early_stopping=early, **parameters).fit(X, y, np.full(ROWS, weight))
            for weight in (1.0, size)
        ]
        same(fits[1], fits[0], 0.0)
        if early:
            assert fits[1].validation_scores_ == fits[0].validation_scores_
            assert fits[1].validation_loss_curve_ == fits[0].validation_loss_curve_


@pytest.mark.parametrize("size", [1e-300, 1e37, 1e300])
def test_weights_of_any_size_in_every_way_to_fit(size: float) -> None:
    X, y = table("binary", ROWS)
    of_rows, mapping = np.full(ROWS, size), {"no": size, "yes": size}
    lbfgs = [estimator("binary", solver="lbfgs", alpha=0.1).fit(X, y, w) for w in (None, of_rows)]
    same(lbfgs[1], lbfgs[0], 0.0)
    parts = [estimator("binary").partial_fit(X, y, w, **declared("binary", y)) for w in (None, of_rows)]
    same(parts[1], parts[0], 0.0)
    classes = [estimator("binary", class_weight=each, alpha=0.1).fit(X, y) for each in (None, mapping)]
    same(classes[1], classes[0], 0.0)
    both = estimator("binary", class_weight=mapping, alpha=0.1).fit(X, y, of_rows)
    same(both, classes[0], 0.0)
    streams = [estimator("binary", alpha=0.1).fit(ArraySource(X, y, w)) for w in (np.ones(ROWS), of_rows)]
    same(streams[1], streams[0], 0.0)
    step, plain = (lbfgs[0].backprop(X, y, w) for w in (of_rows, None))
    assert_allclose(step.loss, plain.loss, rtol=1e-12)


def test_weights_of_very_different_sizes_train_and_stream_alike() -> None:
    X, y = table("single", ROWS)
    weights = 10.0 ** np.random.default_rng(0).uniform(-300, 300, ROWS)
    parameters = {"shuffle": False, "batch_size": 50, "dtype": "float64", "alpha": 0}
    within = estimator("single", **parameters).fit(X, y, weights)
    stream = estimator("single", **parameters).fit(
        [(X[part], y[part], weights[part]) for part in (slice(0, 100), slice(100, 300))]
    )
    assert_allclose(stream.loss_curve_, within.loss_curve_, rtol=1e-12)
    compiled = estimator("single", engine="jax", **parameters).fit(X, y, weights)
    assert_allclose(compiled.loss_curve_, within.loss_curve_, rtol=1e-9)


@pytest.mark.parametrize("target", CLASS_TARGETS)
def test_balanced_class_weights_do_not_count_rows_of_weight_0(target: str) -> None:
    X, y = table(target, ROWS)
    parameters = {**PLAIN, "dtype": "float64", "class_weight": "balanced"}
    weights = np.where(KEPT, 1.0, 0.0)
    weights[np.flatnonzero(X[:, 0] > 1)] = 0
    kept = weights > 0
    ours = estimator(target, **parameters).fit(X, y, weights)
    parameters["batch_size"] = int(kept.sum())
    same(ours, estimator(target, **parameters).fit(X[kept], y[kept], weights[kept]), 1e-10)
    stream = estimator(target, **parameters | {"batch_size": ROWS}).fit([(X, y, weights)])
    assert_allclose(stream.loss_curve_, ours.loss_curve_, rtol=1e-10)


def test_all_weights_0_in_a_stream_are_refused() -> None:
    X, y = table("single", ROWS)
    with refused("sample_weight is zero in every row, so nothing is left"):
        estimator("single").fit([(X, y, np.zeros(ROWS))])
    held = estimator("single", early_stopping=True)
    with pytest.raises(InputError, match="sample_weight is zero in every row of the validation set"):
        held.fit([(X, y, np.where(np.arange(ROWS) == 0, 1.0, 0.0))])


def test_weights_that_leave_no_row_of_a_weighted_class_are_refused() -> None:
    X, y = table("binary", ROWS)
    with refused("sample_weight times class_weight is zero in every row, so nothing is left"):
        estimator("binary", class_weight={"no": 0, "yes": 1}).fit(X, y, np.where(y == "no", 1.0, 0.0))


@pytest.mark.parametrize("dtype", BOUNDS)
def test_scores_leave_out_rows_of_weight_0(dtype: str) -> None:
    X, y = (each.astype(dtype) for each in numbers("squared_error"))
    model = regressor("squared_error").fit(X, y)
    expected = r2_score(y[KEPT], model.predict(X[KEPT]), sample_weight=WEIGHTS[KEPT])
    for fill in FILLS:
        for size in (1.0, 1e-300, 1e300):
            with np.errstate(over="ignore"):
                given = spoilt(y, fill).astype(dtype)
            assert_allclose(model.score(X, given, WEIGHTS * size), expected, rtol=1e-6)
    X, labels = table("multioutput", ROWS)
    clf = estimator("multioutput").fit(X, labels)
    right = (clf.predict(X) == labels).all(axis=1)
    assert_allclose(clf.score(X, labels, WEIGHTS * 1e307), np.average(right, weights=WEIGHTS))
    X, words = table("binary", ROWS)
    clf = estimator("binary").fit(X, words)
    assert_allclose(
        clf.score(X, list(words), WEIGHTS * 1e-307),
        accuracy_score(words, clf.predict(X), sample_weight=WEIGHTS),
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_monitors_leave_out_rows_of_weight_0(engine: str) -> None:
    X, y = numbers("squared_error")
    monitor = ["noise_scale", "gradient_norms", "gradient_snr", "update_ratio"]
    parameters = {"engine": engine, "dtype": "float64", "alpha": 0, "batch_size": "full"}
    ours, theirs = (regressor("squared_error", **parameters) for _ in "ab")
    ours.fit(X, spoilt(y, np.nan), WEIGHTS * 1e-300, monitor=monitor)
    theirs.fit(X[KEPT], y[KEPT], WEIGHTS[KEPT], monitor=monitor)
    for name, values in theirs.monitor_.items():
        assert_allclose(ours.monitor_[name], values, rtol=1e-7, err_msg=name)


@pytest.mark.parametrize("fill", [np.nan, np.inf, 9.97e36, 1e300])
@pytest.mark.parametrize("engine", ENGINES)
def test_examples_of_fill_values_do_not_disturb_the_others(engine: str, fill: float) -> None:
    X, y = numbers("squared_error")
    fits = [
        regressor("squared_error", engine=engine).fit(X, spoilt(y, value), WEIGHTS, record_examples=True)
        for value in (fill, 5.0)
    ]
    same(fits[0], fits[1], 1e-5)
    spoilt_rows, rows = (fit.examples_ for fit in fits)
    assert_allclose(spoilt_rows["loss"][KEPT], rows["loss"][KEPT], rtol=1e-4)
    assert not np.isfinite(spoilt_rows["loss"][~KEPT]).any()
    assert_array_equal(spoilt_rows["given_label"][~KEPT], fill)
    assert (rows["given_label"][~KEPT] == 5).all()


# ---- influence


def test_influence_of_a_row_is_in_proportion_to_its_weight() -> None:
    X, y = table("multiclass")
    model = estimator("multiclass", dtype="float64").fit(X, y)
    plain, weights = bp.influence(model, X[:40], y[:40], X[40:50], y[40:50]), np.arange(40.0)
    expected = plain * (weights / weights[1:].mean())[:, None]
    for size in (1.0, 1e-300, 1e300):
        actual = bp.influence(
            model, X[:40], y[:40], X[40:50], y[40:50], sample_weight=weights * size, chunk=7
        )
        assert_allclose(actual, expected, rtol=1e-9)
    assert_array_equal(actual[0], 0)
    equal = bp.influence(model, X[:40], y[:40], X[40:50], y[40:50], sample_weight=np.full(40, 1e300))
    assert_array_equal(equal, plain)


def test_a_row_of_weight_0_has_no_influence_whatever_it_holds() -> None:
    X, y = table("single")
    weights = np.where(np.arange(120) % 3 == 0, 0.0, 1.0)
    kept = weights > 0
    model = estimator("single", dtype="float64").fit(X, y, weights, record_examples=True)
    given = np.where(kept, y, np.nan)
    result = bp.influence(model, X, given, X[:5], y[:5], sample_weight=weights)
    assert_array_equal(result[~kept], 0)
    assert_allclose(result[kept], bp.influence(model, X[kept], y[kept], X[:5], y[:5]), rtol=1e-12)
    lists = bp.influence(
        model, X.tolist(), given.tolist(), X[:5].tolist(), y[:5].tolist(), sample_weight=list(weights)
    )
    assert_array_equal(lists, result)


def test_a_class_of_weight_0_has_no_influence() -> None:
    X, y = table("multiclass")
    weighted, plain = (
        estimator("multiclass", dtype="float64", class_weight=each).fit(X, y)
        for each in ({10: 0.0, 11: 1.0, 12: 3.0}, None)
    )
    plain.coefs_, plain.intercepts_ = weighted.coefs_, weighted.intercepts_
    of_rows = np.select([y == 10, y == 11], [0.0, 1.0], 3.0)
    expected = bp.influence(plain, X, y, X[:5], y[:5], sample_weight=of_rows)
    actual = bp.influence(weighted, X, y, X[:5], y[:5])
    assert_array_equal(actual[y == 10], 0)
    assert_allclose(actual, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("weights", "parts"),
    [
        (
            np.ones(7),
            [
                "sample_weight has shape (7,)",
                "give 120 finite numbers of at least 0, one for each training row",
            ],
        ),
        (np.full(120, -1.0), ["sample_weight[0]=-1 is not allowed"]),
        (np.full(120, np.inf), ["sample_weight[0]=inf is not allowed"]),
        (["a"] * 120, ["sample_weight is ['a'", "give 120 finite numbers of at least 0"]),
    ],
)
def test_influence_refuses_unusable_weights(weights: Any, parts: list[str]) -> None:
    X, y = table("single")
    model = estimator("single", max_iter=1).fit(X, y)
    with refused(*parts):
        bp.influence(model, X, y, X[:2], y[:2], sample_weight=weights)
