"""The heads: losses against other libraries, dZ against finite differences, and extreme scores."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import special
from sklearn import metrics

from batchprop import heads
from batchprop.errors import InputError, ParameterError
from batchprop.heads import HEADS, Head
from tests.core.problems import HEAD_MAKERS, one_hot, targets

every_head = pytest.mark.parametrize("name", HEAD_MAKERS)
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])

K, M = 5, 40
RNG = np.random.default_rng(0)
Z = 2 * RNG.normal(size=(K, M))
FAR = np.array(list(product([-1e4, 0.0, 1e4], repeat=K))).T


def make_head_and_targets(name: str) -> tuple[Head, Any]:
    """Make a head and matching targets for Z."""
    return HEAD_MAKERS[name](K), targets(name, np.random.default_rng(1), K, M)


@every_head
def test_dz_matches_finite_differences(name: str) -> None:
    head, Y = make_head_and_targets(name)
    dZ, far = head.dZ(head.output(Z), Y), 1e-6
    for row in range(K):
        nudge = np.zeros((K, 1))
        nudge[row] = far
        slope = (head.losses(Z + nudge, Y) - head.losses(Z - nudge, Y)) / (2 * far)
        assert_allclose(dZ[row], slope, rtol=1e-6, atol=1e-8)


@every_head
@both_dtypes
def test_extreme_scores_stay_finite_without_warnings(name: str, dtype: str) -> None:
    head = HEAD_MAKERS[name](K)
    Y = targets(name, np.random.default_rng(1), K, FAR.shape[1]).astype(dtype)
    with np.errstate(all="raise", under="ignore"):
        P = head.output(FAR.astype(dtype))
        losses = head.losses(FAR.astype(dtype), Y)
        dZ = head.dZ(P, Y)
    for array, shape in ((P, FAR.shape), (losses, FAR.shape[1:]), (dZ, FAR.shape)):
        assert np.isfinite(array).all()
        assert array.dtype == np.dtype(dtype)
        assert array.shape == shape
    assert np.all(losses >= 0)


@every_head
def test_losses_are_never_negative(name: str) -> None:
    head, Y = make_head_and_targets(name)
    assert np.all(head.losses(Z, Y) >= 0)


@pytest.mark.parametrize("name", ["softmax", "sigmoid", "squared_error", "poisson"])
def test_dz_of_a_canonical_pair_is_the_residual(name: str) -> None:
    head, Y = make_head_and_targets(name)
    P = head.output(Z)
    assert np.array_equal(head.dZ(P, Y), P - Y)


def test_softmax_matches_scikit_learn_and_scipy() -> None:
    head, Y = make_head_and_targets("softmax")
    P = head.output(Z)
    assert_allclose(P, special.softmax(Z, axis=0), rtol=1e-12)
    assert_allclose(head.losses(Z, Y).mean(), metrics.log_loss(Y.argmax(axis=0), P.T, labels=range(K)))
    assert_allclose(heads.log_softmax(Z), special.log_softmax(Z, axis=0), rtol=1e-12)


def test_sigmoid_matches_scikit_learn_and_scipy() -> None:
    head, Y = make_head_and_targets("sigmoid")
    P = head.output(Z)
    assert_allclose(P, special.expit(Z), rtol=1e-12)
    assert_allclose(heads.log_sigmoid(Z), special.log_expit(Z), rtol=1e-12)
    one_by_one = sum(metrics.log_loss(y, p, labels=[0, 1]) for y, p in zip(Y, P, strict=True))
    assert_allclose(head.losses(Z, Y).mean(), one_by_one)


def test_poisson_matches_scikit_learn() -> None:
    head, Y = make_head_and_targets("poisson")
    P = head.output(Z)
    one_by_one = sum(metrics.mean_poisson_deviance(y, p) for y, p in zip(Y, P, strict=True))
    assert_allclose(P, np.exp(Z), rtol=1e-12)
    assert_allclose(head.losses(Z, Y).mean(), one_by_one / 2)


@pytest.mark.parametrize(
    ("head", "metric"),
    [
        (heads.squared_error(), lambda y, p: metrics.mean_squared_error(y, p) / 2),
        (heads.absolute_error(), metrics.mean_absolute_error),
        (heads.quantile(0.9), lambda y, p: metrics.mean_pinball_loss(y, p, alpha=0.9)),
        (heads.quantile(0.2), lambda y, p: metrics.mean_pinball_loss(y, p, alpha=0.2)),
        (heads.huber(0.7), lambda y, p: special.huber(0.7, y - p).mean()),
        (heads.huber(3.0), lambda y, p: special.huber(3.0, y - p).mean()),
    ],
    ids=["squared", "absolute", "pinball 0.9", "pinball 0.2", "huber 0.7", "huber 3"],
)
def test_regression_losses_match_scikit_learn_and_scipy(head: Head, metric: Any) -> None:
    Y = np.random.default_rng(1).normal(size=(K, M))
    assert np.array_equal(head.output(Z), Z)
    assert_allclose(head.losses(Z, Y).mean(), K * metric(Y, Z))


def test_confident_prediction_has_an_exact_loss() -> None:
    sure = np.array([[1e4], [-1e4]])
    right, wrong = np.array([[1.0], [0.0]]), np.array([[0.0], [1.0]])
    for name, off in (("softmax", 2e4), ("sigmoid", 2e4)):
        assert HEADS[name].losses(sure, right) == 0
        assert HEADS[name].losses(sure, wrong) == off


def test_small_loss_is_accurate() -> None:
    z = np.array([[30.0]])
    one = np.ones((1, 1))
    assert_allclose(HEADS["sigmoid"].losses(z, one), np.log1p(np.exp(-30)), rtol=1e-12)


@pytest.mark.parametrize("name", ["softmax", "softmax, smoothed"])
@pytest.mark.parametrize("offset", [-1e6, 3.0, 1e6])
def test_softmax_is_invariant_to_offsets(name: str, offset: float) -> None:
    head, Y = make_head_and_targets(name)
    assert_allclose(head.output(Z + offset), head.output(Z), rtol=1e-8)
    assert_allclose(head.losses(Z + offset, Y), head.losses(Z, Y), rtol=1e-8)


def test_label_smoothing_equals_smoothed_targets() -> None:
    Y = one_hot(RNG, K, M)
    for smoothed, plain, smooth in (
        (heads.softmax(0.3), heads.softmax(), 0.7 * Y + 0.3 / K),
        (heads.sigmoid_cross_entropy(0.3), heads.sigmoid_cross_entropy(), 0.7 * Y + 0.15),
    ):
        P = plain.output(Z)
        assert_allclose(smoothed.output(Z), P)
        assert_allclose(smoothed.losses(Z, Y), plain.losses(Z, smooth))
        assert_allclose(smoothed.dZ(P, Y), plain.dZ(P, smooth))


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_softmax_groups_equal_separate_softmaxes(label_smoothing: float) -> None:
    sizes = [2, 1, 2]
    groups, one = heads.softmax_groups(sizes, label_smoothing), heads.softmax(label_smoothing)
    Y = np.concatenate([one_hot(RNG, size, M) for size in sizes])
    cuts = np.cumsum(sizes)[:-1]
    parts = list(zip(np.split(Z, cuts), np.split(Y, cuts), strict=True))
    P = [one.output(z) for z, _ in parts]
    assert_allclose(groups.output(Z), np.concatenate(P))
    assert_allclose(groups.losses(Z, Y), sum(one.losses(z, y) for z, y in parts))
    slopes = [one.dZ(p, y) for p, (_, y) in zip(P, parts, strict=True)]
    assert_allclose(groups.dZ(groups.output(Z), Y), np.concatenate(slopes))


def test_huber_approaches_squared_and_absolute_error() -> None:
    Y = np.random.default_rng(1).normal(size=(K, M))
    assert_allclose(heads.huber(1e6).losses(Z, Y), heads.squared_error().losses(Z, Y))
    assert_allclose(heads.huber(1e-9).losses(Z, Y) / 1e-9, heads.absolute_error().losses(Z, Y), rtol=1e-6)


def test_the_median_is_half_the_absolute_error() -> None:
    Y = np.random.default_rng(1).normal(size=(K, M))
    assert_allclose(2 * heads.quantile(0.5).losses(Z, Y), heads.absolute_error().losses(Z, Y))


@pytest.mark.parametrize("name", ["absolute_error", "quantile", "quantile, 0.9", "huber", "squared_error"])
def test_perfect_prediction_has_zero_loss_and_gradient(name: str) -> None:
    head = HEAD_MAKERS[name](K)
    assert not head.losses(Z, Z).any()
    assert not head.dZ(head.output(Z), Z).any()


@pytest.mark.parametrize(("dtype", "far"), [("float32", 1.0), ("float64", 1e-3)])
def test_poisson_is_linear_beyond_its_cap(dtype: str, far: float) -> None:
    head = HEADS["poisson"]
    cap = 0.5 * np.log(np.finfo(dtype).max)
    beyond = np.array([[cap + 5.0, cap + 50.0, 9e3]], dtype=dtype)
    Y = np.array([[0.0, 3.0, 1e3]], dtype=dtype)
    P = head.output(beyond)
    assert_allclose(P, np.sqrt(np.finfo(dtype).max), rtol=1e-4)
    slope = (head.losses(beyond + far, Y) - head.losses(beyond - far, Y)) / (2 * far)
    assert_allclose(head.dZ(P, Y)[0], slope, rtol=2e-3)


def test_poisson_is_continuously_differentiable_at_its_cap() -> None:
    cap = 0.5 * np.log(np.finfo("float64").max)
    below, above = (np.array([[cap + sign * 1e-7]]) for sign in (-1, 1))
    head, Y = HEADS["poisson"], np.ones((1, 1))
    assert_allclose(head.losses(below, Y), head.losses(above, Y), rtol=1e-6)
    assert_allclose(head.dZ(head.output(below), Y), head.dZ(head.output(above), Y), rtol=1e-6)


def test_perfect_poisson_rate_has_zero_loss() -> None:
    rates = np.array([[0.5, 1.0, 7.0]])
    assert_allclose(HEADS["poisson"].losses(np.log(rates), rates), 0, atol=1e-14)


@pytest.mark.parametrize("wrong", [-0.1, 1.0, 2, float("nan")])
def test_a_label_smoothing_out_of_range_is_refused(wrong: float) -> None:
    makers: list[Any] = [heads.softmax, heads.sigmoid_cross_entropy, lambda s: heads.softmax_groups([2], s)]
    for maker in makers:
        with pytest.raises(ParameterError, match=r"label_smoothing=.*from 0 .none. to below 1"):
            maker(wrong)


@pytest.mark.parametrize("wrong", [0, -1.0, float("inf"), float("nan")])
def test_a_delta_out_of_range_is_refused(wrong: float) -> None:
    with pytest.raises(ParameterError, match=r"delta=.*positive number"):
        heads.huber(wrong)


def test_quantiles_never_cross_and_of_one_level_are_the_quantile() -> None:
    Y = np.random.default_rng(1).normal(size=(1, M))
    for dtype in ("float32", "float64"):
        scores = (100 * RNG.normal(size=(7, 1000))).astype(dtype)
        P = heads.quantiles([0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99]).output(scores)
        assert (np.diff(P, axis=0) >= 0).all()
    one, same = heads.quantiles([0.9]), heads.quantile(0.9)
    assert_allclose(one.losses(Z[:1], Y), same.losses(Z[:1], Y))
    assert_allclose(one.dZ(Z[:1], Y), same.dZ(Z[:1], Y))
    assert heads.quantiles([0.9]) is heads.quantiles((0.9,))  # one program is compiled for both


def test_quantiles_match_scikit_learn() -> None:
    q = [0.1, 0.5, 0.9]
    y, head = np.random.default_rng(1).normal(size=M), heads.quantiles(q)
    P = head.output(Z[:3])
    mean = np.mean([metrics.mean_pinball_loss(y, p, alpha=level) for p, level in zip(P, q, strict=True)])
    assert_allclose(head.losses(Z[:3], np.tile(y, (3, 1))).mean(), mean)


@pytest.mark.parametrize("wrong", [[], [0.5, 0.5], [0.9, 0.1], [0.0, 0.5], [0.5, float("nan")]])
def test_levels_that_do_not_ascend_between_0_and_1_are_refused(wrong: list[float]) -> None:
    with pytest.raises(ParameterError, match=r"quantiles?=.* is not allowed: give"):
        heads.quantiles(wrong)


@pytest.mark.parametrize("wrong", [0, 1, -0.5, 1.5, float("nan")])
def test_a_quantile_out_of_range_is_refused(wrong: float) -> None:
    with pytest.raises(ParameterError, match=r"quantile=.*between 0 and 1"):
        heads.quantile(wrong)


def test_get_head_accepts_a_name_or_a_record() -> None:
    own = heads.huber(2.0)
    assert heads.get_head(own) is own
    assert all(heads.get_head(name) is head and head.name == name for name, head in HEADS.items())


@pytest.mark.parametrize("name", ["softmx", None, 3, ["softmax"]])
def test_an_unknown_head_is_refused(name: Any) -> None:
    with pytest.raises(ParameterError, match=r"head=.* is unknown: choose one of softmax, "):
        heads.get_head(name)


def test_levels_must_be_as_many_as_the_units_of_the_last_layer() -> None:
    with pytest.raises(InputError, match=r"the last layer has 5 units: quantiles\(\[0.1, 0.9\]\) needs 2"):
        heads.quantiles([0.1, 0.9]).output(Z)


def test_groups_must_add_up_to_the_last_layer() -> None:
    with pytest.raises(InputError, match=r"the last layer has 5 units: softmax_groups\(\[2, 2\]\) needs 4"):
        heads.softmax_groups([2, 2]).output_and_losses(np.zeros((5, 3)), np.zeros((5, 3)))


@pytest.mark.parametrize("make", [heads.softmax, heads.sigmoid_cross_entropy])
def test_max_loss_bounds_only_the_reported_loss(make: Any) -> None:
    Z, Y = np.array([[-50.0, 3.0], [50.0, -1.0]]), np.array([[1.0, 1.0], [0.0, 0.0]])
    exact, capped = make(), make(ceiling=36.0)
    assert exact.losses(Z, Y)[0] > 49
    assert_allclose(
        capped.losses(Z, Y),
        [min(exact.losses(Z, Y)[0], 36.0 * (1 + (make is not heads.softmax))), exact.losses(Z, Y)[1]],
    )
    assert_allclose(capped.dZ(capped.output(Z), Y), exact.dZ(exact.output(Z), Y))


@pytest.mark.parametrize("name", ["softmax", "softmax_groups"])
@both_dtypes
def test_scores_at_the_limits_of_floats_have_a_loss(name: str, dtype: str) -> None:
    most = 0.9 * float(np.finfo(dtype).max)
    head = heads.softmax() if name == "softmax" else heads.softmax_groups([3])
    scores = np.array([[most, -most, 0, most], [-most, -most, -most, most], [0, -most, 1, 0]], dtype)
    right = np.zeros_like(scores)
    right[[0, 0, 2, 0], range(4)] = 1
    wrong = np.zeros_like(scores)
    wrong[1] = 1
    with np.errstate(all="raise", under="ignore"):
        P, losses = head.output_and_losses(scores, right)
        assert_allclose(P.sum(axis=0), 1.0, rtol=1e-6)
        assert_allclose(losses, [0, np.log(3), np.log1p(np.exp(-1)), np.log(2)], rtol=1e-6)
        assert_allclose(head.losses(scores, right), losses)
        assert np.isfinite(head.losses(scores, wrong)).all()
        assert np.all(head.losses(scores, wrong)[[0, 2]] >= most / 2)
        assert np.isfinite(heads.log_softmax(scores)).all()


@pytest.mark.parametrize("score", [np.inf, np.nan])
def test_scores_that_are_not_finite_stay_visible(score: float) -> None:
    with np.errstate(invalid="ignore"):
        P, losses = heads.softmax().output_and_losses(np.array([[score], [0.0]]), np.array([[1.0], [0.0]]))
    assert np.isnan(losses).all()
    assert np.isnan(P).any()
