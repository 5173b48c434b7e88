"""Features beyond scikit-learn's MLPs: targets, weights, dropout, solvers, schedules, batches, dtypes."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import d2_pinball_score
from sklearn.utils import compute_sample_weight

import batchprop as bp
from batchprop.activations import ACTIVATIONS, Activation
from batchprop.errors import InputError
from tests.estimators.tables import CLASS_TARGETS, TARGETS, declared, estimator, quiet, table

pytestmark = quiet

LOSSES = ("squared_error", "poisson", "absolute_error", "huber", "quantile")
SCHEDULES = ("constant", "cosine", "warmup_cosine", "one_cycle")


def check_learns(model: Any, X: np.ndarray, y: np.ndarray) -> None:
    """Assert that a fit lowers the loss by at least 10%."""
    curve = model.fit(X, y).loss_curve_
    assert np.isfinite(curve).all()
    assert curve[-1] < 0.9 * curve[0]


# ---- targets


@pytest.mark.parametrize("target", TARGETS)
def test_fit_and_partial_fit_learn_every_target_type(target: str) -> None:
    X, y = table(target)
    model = estimator(target, max_iter=60)
    check_learns(model, X, y)
    assert model.score(X, y) > 0.6
    assert model.predict(X).shape == y.shape
    pieces = estimator(target)
    for epoch in range(40):
        for start in (0, 50):
            piece = slice(start, start + 50)
            pieces.partial_fit(X[piece], y[piece], **(declared(target, y) if epoch == start == 0 else {}))
    assert pieces.loss_curve_[-1] < 0.9 * pieces.loss_curve_[0]
    assert pieces.score(X, y) > 0.5
    assert pieces.t_ == 40 * 100
    assert pieces.predict(X).dtype == y.dtype


def test_multioutput_multiclass_targets() -> None:
    X, y = table("multioutput")
    clf = estimator("multioutput", max_iter=60).fit(X, y)
    assert [labels.tolist() for labels in clf.classes_] == [[0, 1, 2], [5, 7, 9]]
    assert (clf.n_outputs_, clf.out_activation_) == (6, "softmax")
    first, second = clf.predict_proba(X)
    np.testing.assert_allclose(first.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(clf.classes_[1][second.argmax(axis=1)], clf.predict(X)[:, 1])
    for logarithms, P in zip(clf.predict_log_proba(X), (first, second), strict=True):
        np.testing.assert_allclose(np.exp(logarithms), P, rtol=1e-5)
    right = (clf.predict(X) == y).all(axis=1)
    assert clf.score(X, y) == right.mean()
    assert clf.score(X, y, sample_weight=right.astype(float)) == 1


@pytest.mark.parametrize(
    ("target", "engine", "dtype"),
    [
        *((target, "numpy", "float32") for target in CLASS_TARGETS),
        *((target, "numpy", "float64") for target in CLASS_TARGETS[:2]),
        *((target, "jax", "float32") for target in CLASS_TARGETS[2:]),
    ],
)
def test_predict_log_proba_is_the_logarithm_of_predict_proba(target: str, engine: str, dtype: str) -> None:
    X, y = table(target)
    clf = estimator(target, engine=engine, dtype=dtype, max_iter=30).fit(X, y)
    rounded = False
    # From probabilities near one half to such that round to 0 and to 1.
    for scale in 10.0 ** np.arange(-2, 7):
        rows = (scale * X).astype(dtype)
        P, logarithms = clf.predict_proba(rows), clf.predict_log_proba(rows)
        assert type(P) is type(logarithms)
        several = isinstance(P, list)
        for block, logarithm in zip(P, logarithms, strict=True) if several else [(P, logarithms)]:
            assert logarithm.dtype == block.dtype
            # Two classes have 1 - P and P: a probability below the digits of 1 rounds to 0.
            eps = float(np.finfo(dtype).eps)
            np.testing.assert_allclose(np.exp(logarithm.astype(float)), block, rtol=1e-4, atol=eps)
            there = block > 0
            np.testing.assert_array_equal(logarithm[there], np.log(block[there]))
            # Where the probability is 0, the logits still say how unlikely a class is.
            assert np.isfinite(logarithm).all()
            assert (logarithm <= 0).all()
            rounded |= not there.all()
    assert rounded


def test_multioutput_text_targets() -> None:
    X, y = table("multioutput")
    words = np.array(["low", "middle", "high"])[y % 3]
    clf = estimator("multioutput", max_iter=30).fit(X, words)
    assert set(clf.predict(X)[:, 0]) <= set(words[:, 0])


def test_numeric_strings_are_converted() -> None:
    X, y = table("single")
    curves = [estimator("single").fit(X, as_text).loss_curve_ for as_text in (y, y.astype(str))]
    np.testing.assert_allclose(curves[1], curves[0])


def test_changing_the_solver_resets_the_optimiser_state() -> None:
    X, y = table("single")
    reg = estimator("single").partial_fit(X, y).set_params(solver="sgd").partial_fit(X, y)
    fresh = estimator("single", solver="sgd", max_iter=1)
    first = estimator("single").partial_fit(X, y)
    fresh.fit(X, y, coefs_init=first.coefs_, intercepts_init=first.intercepts_)
    np.testing.assert_allclose(reg.coefs_[0], fresh.coefs_[0], rtol=1e-6)


def test_overflowing_predictions_score_nan_as_in_scikit_learn() -> None:
    X, y = table("single")
    reg = estimator("single", max_iter=1).fit(X, y)
    assert np.isnan(reg._default_score(y, np.full((len(y), 1), np.inf), None))


# ---- weights


@pytest.mark.parametrize("target", CLASS_TARGETS)
def test_balanced_class_weight_equals_sample_weights(target: str) -> None:
    X, y = table(target)
    balanced = estimator(target, class_weight="balanced").fit(X, y)
    weighted = estimator(target).fit(X, y, sample_weight=compute_sample_weight("balanced", y))
    np.testing.assert_allclose(balanced.loss_curve_, weighted.loss_curve_, rtol=1e-12)


def test_class_weight_equals_sample_weights() -> None:
    X, y = table("multiclass")
    own = np.linspace(0.5, 1.5, len(y))
    by_class = estimator("multiclass", class_weight={10: 3.0, 12: 0}).fit(X, y, sample_weight=own)
    weights = np.select([y == 10, y == 12], [3.0, 0.0], 1.0) * own
    by_row = estimator("multiclass").fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(by_class.coefs_[0], by_row.coefs_[0], rtol=1e-12)


def test_class_weight_accepts_a_dict_per_target() -> None:
    X, y = table("multilabel")
    listed = estimator("multilabel", class_weight=[{1: 2.0}, {0: 3.0}, {}]).fit(X, y)
    weights = np.where(y[:, 0] == 1, 2.0, 1.0) * np.where(y[:, 1] == 0, 3.0, 1.0)
    np.testing.assert_allclose(
        listed.loss_curve_, estimator("multilabel").fit(X, y, sample_weight=weights).loss_curve_
    )


def test_class_weights_apply_in_partial_fits_that_lack_a_class() -> None:
    X, y = table("multiclass")
    piece = y != 10
    by_class = estimator("multiclass", class_weight={10: 5.0, 11: 2.0})
    by_class.partial_fit(X[piece], y[piece], classes=[10, 11, 12])
    by_row = estimator("multiclass")
    by_row.partial_fit(X[piece], y[piece], np.where(y[piece] == 11, 2.0, 1.0), classes=[10, 11, 12])
    np.testing.assert_allclose(by_class.coefs_[0], by_row.coefs_[0], rtol=1e-12)


# ---- regularisers


def test_label_smoothing_keeps_probabilities_below_one() -> None:
    X, y = table("multiclass")
    sure = estimator("multiclass", max_iter=300, n_iter_no_change=300).fit(X, y)
    smooth = estimator("multiclass", max_iter=300, n_iter_no_change=300, label_smoothing=0.3).fit(X, y)
    # The least loss has P = 0.7 + 0.1 for the true class.
    assert sure.predict_proba(X).max() > 0.99
    assert 0.7 < np.median(smooth.predict_proba(X).max(axis=1)) < 0.9


@pytest.mark.parametrize("dropout", [0.5, (0.2, 0.5), [0, 0.5], np.array([0.3, 0.0])], ids=str)
def test_dropout_is_reproducible_and_off_when_predicting(dropout: Any) -> None:
    X, y = table("multiclass")
    sizes = {"hidden_layer_sizes": (16, 16), "max_iter": 30}
    clf = estimator("multiclass", dropout=dropout, **sizes)
    check_learns(clf, X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), clf.predict_proba(X))
    again = estimator("multiclass", dropout=dropout, **sizes).fit(X, y)
    assert again.loss_curve_ == clf.loss_curve_
    assert estimator("multiclass", **sizes).fit(X, y).loss_curve_ != clf.loss_curve_
    other = estimator("multiclass", dropout=dropout, **sizes, shuffle=False).set_params(random_state=1)
    assert other.fit(X, y).loss_curve_ != clf.loss_curve_


def test_each_partial_fit_draws_new_dropout_masks() -> None:
    X, y = table("single")
    frozen = {"learning_rate_init": 1e-12, "shuffle": False, "solver": "sgd", "momentum": 0}
    reg = estimator("single", dropout=0.5, **frozen)
    for _ in range(3):
        reg.partial_fit(X, y)
    assert len({round(loss, 6) for loss in reg.loss_curve_}) == 3


def test_gradient_norm_is_clipped() -> None:
    X, y = table("single")
    plain = {"solver": "sgd", "momentum": 0, "learning_rate_init": 1.0, "batch_size": "full", "alpha": 0}
    reg = estimator("single", **plain, max_grad_norm=0.01, max_iter=1)
    before = estimator("single", **plain, max_iter=1, max_grad_norm=1e-12).fit(X, y)
    reg.fit(X, y)
    moved = [
        theta - start
        for theta, start in zip(
            [*reg.coefs_, *reg.intercepts_], [*before.coefs_, *before.intercepts_], strict=True
        )
    ]
    assert np.sqrt(sum((step**2).sum() for step in moved)) == pytest.approx(0.01, rel=1e-3)
    with pytest.raises(bp.errors.DivergedError):
        estimator("single", solver="sgd", learning_rate_init=50.0, max_iter=50).fit(1e3 * X, y)
    # The same with a small learning rate.
    estimator("single", solver="sgd", learning_rate_init=1e-3, max_iter=50, max_grad_norm=1.0).fit(1e3 * X, y)


def test_adamw_shrinks_weights() -> None:
    X, y = table("single")
    norms = [
        np.linalg.norm(estimator("single", solver="adamw", weight_decay=decay).fit(X, y).coefs_[0])
        for decay in (0.0, 1.0)
    ]
    assert norms[1] < norms[0]
    adam = estimator("single", solver="adam").fit(X, y)
    assert norms[0] == pytest.approx(np.linalg.norm(adam.coefs_[0]))


# ---- activations, losses, schedules


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_learns(activation: str) -> None:
    check_learns(estimator("single", activation=activation, max_iter=40), *table("single"))


def test_each_layer_can_have_its_own_activation() -> None:
    X, y = table("single")
    own = Activation("square", lambda Z: Z * Z, lambda Z: 2 * Z)
    reg = estimator("single", hidden_layer_sizes=(8, 6, 4), activation=["gelu", own, "tanh"])
    _, first, second, third, _ = reg.fit(X, y).activations(X)
    assert first.min() > -0.2
    np.testing.assert_allclose(second, (first @ reg.coefs_[1] + reg.intercepts_[1]) ** 2, rtol=1e-5)
    assert np.abs(third).max() <= 1


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw", "lbfgs"])
def test_every_solver_lowers_every_loss(loss: str, solver: str) -> None:
    target = "counts" if loss == "poisson" else "single"
    X, y = table(target)
    model = estimator(target, loss=loss, solver=solver, max_iter=30, batch_size=16)
    check_learns(model, X, y)
    assert model.out_activation_ == ("exp" if loss == "poisson" else "identity")
    assert (model.predict(X) > 0).all() or loss != "poisson"


@pytest.mark.parametrize(
    ("parameters", "wanted"),
    [
        ({"loss": "squared_error"}, 6.0),
        ({"loss": "absolute_error"}, 3.0),
        ({"loss": "quantile", "quantile": 0.5}, 3.0),
        ({"loss": "quantile", "quantile": 0.7}, 4.0),
        ({"loss": "quantile", "quantile": [0.3, 0.5, 0.7]}, [2.0, 3.0, 4.0]),
        ({"loss": "huber", "huber_delta": 1e3}, 6.0),
        # Where the residuals, clipped to ±1, sum to 0.
        ({"loss": "huber", "huber_delta": 1.0}, 3.0),
        ({"loss": "poisson"}, 6.0),
    ],
    ids=str,
)
def test_each_loss_converges_to_its_statistic(parameters: dict[str, Any], wanted: Any) -> None:
    y = np.array([1.0, 2.0, 3.0, 4.0, 20.0])
    reg = bp.MLPRegressor(
        **parameters,
        hidden_layer_sizes=(),
        alpha=0,
        learning_rate="cosine",
        learning_rate_init=0.3,
        max_iter=500,
        tol=0,
        n_iter_no_change=np.inf,
        random_state=0,
    )
    predicted = reg.fit(np.zeros((5, 1)), y).predict([[0.0]])
    np.testing.assert_allclose(predicted.ravel(), np.ravel(wanted), rtol=0.02)


def test_several_quantiles_have_a_column_each_and_never_cross() -> None:
    X, y = table("single", 400)
    model = estimator("single", loss="quantile", quantile=(0.1, 0.5, 0.9), max_iter=30)
    P = model.fit(X, y).predict(X)
    assert P.shape == (400, 3)
    assert (np.diff(P, axis=1) > 0).all()
    assert 0.6 < np.mean((P[:, 0] < y) & (y < P[:, 2])) < 0.95
    each = [d2_pinball_score(y, p, alpha=q) for p, q in zip(P.T, (0.1, 0.5, 0.9), strict=True)]
    assert model.score(X, y) == pytest.approx(np.mean(each))
    weights = np.r_[0.0, np.ones(399)]
    spoilt = np.where(weights, y, np.nan)
    assert np.isfinite(model.fit(X, spoilt, weights, record_examples=True).score(X, spoilt, weights))
    assert {"predicted_label_0", "predicted_label_2"} <= set(model.examples_)
    with pytest.raises(InputError, match=r"y has 2 columns: quantile=\[0.1, 0.5, 0.9\] is of one target"):
        model.fit(X, np.column_stack([y, y]))


@pytest.mark.parametrize(
    "learning_rate", [*SCHEDULES, pytest.param(lambda step: 0.1 / (1 + step), id="callable")]
)
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_every_schedule_learns(learning_rate: Any, solver: str) -> None:
    model = estimator("single", learning_rate=learning_rate, solver=solver, max_iter=20)
    check_learns(model, *table("single"))
    assert len(model.learning_rate_curve_) == 20


@pytest.mark.parametrize("name", SCHEDULES[1:])
def test_fixed_length_schedules_end_with_training(name: str) -> None:
    model = estimator("single", learning_rate=name, warmup_fraction=0.25, max_iter=20, batch_size=20)
    rates = model.fit(*table("single")).learning_rate_curve_
    assert max(rates) == pytest.approx(0.01, rel=0.05)
    assert rates[-1] < 1e-3
    assert (np.argmax(rates) in {4, 5}) == (name != "cosine")


# ---- batches


@pytest.mark.parametrize("target", ["single", "multiclass"])
def test_batch_size_full_uses_all_rows(target: str) -> None:
    X, y = table(target)
    full, all_rows = (estimator(target, batch_size=size).fit(X, y) for size in ("full", len(y)))
    np.testing.assert_array_equal(full.coefs_[0], all_rows.coefs_[0])


def test_full_batch_memory_does_not_grow_with_rows() -> None:
    width, peaks = 256, []
    for rows in (16_384, 65_536):
        X, y = np.ones((rows, 4), "float32"), np.ones(rows, "float32")
        tracemalloc.start()
        estimator("single", hidden_layer_sizes=width, batch_size="full", max_iter=1).fit(X, y)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # The size of one hidden matrix of the additional rows, if it were made at once.
    assert peaks[1] - peaks[0] < 0.1 * (65_536 - 16_384) * width * 4


# ---- dtypes and initial weights


@pytest.mark.parametrize("rows", [120, 3000])
@pytest.mark.parametrize("given", ["float32", "float64"])
@pytest.mark.parametrize("dtype", ["float32", "float64", None, np.float32])
def test_dtype_sets_the_training_precision(rows: int, given: str, dtype: Any) -> None:
    X, y = table("single", rows, given)
    reg = estimator("single", dtype=dtype, max_iter=2).fit(X, y)
    wanted = np.dtype(given if dtype is None else dtype)
    assert {array.dtype for array in [*reg.coefs_, *reg.intercepts_]} == {wanted}
    # Predictions have the dtype of the input.
    assert reg.predict(X).dtype == given
    # Integers are trained on as float64, as in scikit-learn.
    assert reg.set_params(dtype=None).fit(X.round().astype(int), y).coefs_[0].dtype == np.float64


def test_float32_loss_curve_is_close_to_float64() -> None:
    X, y = table("single", 3000)
    short, long = (estimator("single", dtype=dtype).fit(X, y).loss_curve_ for dtype in ("float32", "float64"))
    assert short != long
    np.testing.assert_allclose(short, long, rtol=1e-3)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_training_starts_from_given_weights(solver: str) -> None:
    X, y = table("multiclass")
    whole = estimator("multiclass", solver="sgd", momentum=0, shuffle=False, max_iter=6).fit(X, y)
    half = estimator("multiclass", solver="sgd", momentum=0, shuffle=False, max_iter=3).fit(X, y)
    first = [coef.copy() for coef in half.coefs_]
    other = estimator("multiclass", solver="sgd", momentum=0, shuffle=False, max_iter=3, random_state=9)
    other.set_params(dtype="float64").fit(X, y, coefs_init=half.coefs_, intercepts_init=half.intercepts_)
    np.testing.assert_allclose(other.loss_curve_, whole.loss_curve_[3:], rtol=1e-6)
    far = estimator("multiclass", solver=solver, max_iter=1)
    far.fit(X, y, coefs_init=half.coefs_, intercepts_init=half.intercepts_)
    for before, after in zip(first, half.coefs_, strict=True):
        np.testing.assert_array_equal(before, after)
    assert far.loss_ < whole.loss_curve_[0]
