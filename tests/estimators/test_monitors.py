"""Monitors: gradient statistics per epoch, and batches that grow with the noise scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import batchprop as bp
from batchprop.errors import ParameterError
from batchprop.estimators.monitors import MONITORS
from tests.estimators.tables import estimator, table

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ENGINES = ("numpy", "jax")
ALL = {"max_iter": 3, "batch_size": 16, "random_state": 0, "tol": 0, "dtype": "float64"}


def fitted(target: str = "multiclass", monitor: Any = MONITORS, weights: Any = None, **settings: Any) -> Any:
    X, y = table(target)
    model = estimator(target).set_params(**ALL | settings)
    return model.fit(X, y, sample_weight=weights, monitor=monitor)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_monitors_of_a_one_batch_epoch_match_its_gradient(engine: str, *, weighted: bool) -> None:
    """A tiny learning rate keeps the initial network, which is the one before the step."""
    X, y = table("multiclass")
    weights = np.random.default_rng(0).uniform(0.5, 2, len(y)) if weighted else None
    model = fitted(
        weights=weights, batch_size="full", max_iter=1, learning_rate_init=1e-12, solver="sgd", engine=engine
    )
    step = model.backprop(X, y, weights)
    result = {name: values[0] for name, values in model.monitor_.items()}
    norms = np.sqrt(step.gradient.squared_norms())
    assert_allclose(result["noise_scale"], step.gradient.noise_scale(), rtol=1e-6)
    shares = step.gradient.normalized_weights()
    assert_allclose(result["gradient_snr"], 1 / (shares @ shares) / result["noise_scale"], rtol=1e-9)
    assert_allclose(result["gradient_norm_median"], np.median(norms), rtol=1e-6)
    assert_allclose(result["gradient_norm_95"], np.quantile(norms, 0.95), rtol=1e-6)
    assert_allclose(result["gradient_norm_max"], norms.max(), rtol=1e-6)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_both_engines_record_the_same(solver: str) -> None:
    ours, theirs = (fitted(engine=engine, solver=solver).monitor_ for engine in ENGINES)
    assert list(ours) == list(theirs)
    assert all(len(values) == 3 for values in ours.values())
    for name, values in ours.items():
        assert_allclose(values, theirs[name], rtol=1e-7, err_msg=name)


def test_update_ratio_is_the_relative_step_of_each_layer() -> None:
    settings: dict[str, Any] = {"batch_size": "full", "solver": "sgd", "momentum": 0.0, "alpha": 0.0}
    model = fitted(max_iter=1, **settings)
    drawn = fitted(max_iter=1, learning_rate_init=1e-300, **settings)  # a step that moves nothing
    for k in range(2):
        before = np.concatenate([drawn.coefs_[k].ravel(), drawn.intercepts_[k]])
        after = np.concatenate([model.coefs_[k].ravel(), model.intercepts_[k]])
        ratio = np.linalg.norm(after - before) / np.linalg.norm(before)
        assert_allclose(model.monitor_[f"update_ratio_{k}"], [ratio], rtol=1e-6)


def test_monitors_do_not_change_training_and_only_requested_ones_exist() -> None:
    watched, plain = fitted(), fitted(monitor=())
    assert_allclose(watched.loss_curve_, plain.loss_curve_, rtol=1e-12)
    assert plain.monitor_ == {}
    assert list(fitted(monitor=["gradient_snr"]).monitor_) == ["gradient_snr"]


def test_a_batch_of_one_has_no_noise_scale() -> None:
    model = fitted(batch_size=1, monitor=["noise_scale"], max_iter=1)
    assert np.isnan(model.monitor_["noise_scale"]).all()


@pytest.mark.parametrize(
    ("monitor", "settings", "message"),
    [
        (["noise"], {}, r"monitor='noise' is unknown: choose one of .*; did you mean 'noise_scale'"),
        ("noise_scale", {}, r"monitor='noise_scale' is not allowed: give names, as"),
        (["noise_scale"], {"solver": "lbfgs"}, "takes no batches"),
        (None, {}, r"monitor=None is not allowed: give a tuple of names, or \(\) for none"),
        (3, {}, r"monitor=3 is not allowed: give a tuple of names"),
        (iter(["noise_scale"]), {}, r"monitor=<.*> is not allowed: give a tuple of names"),
        ((), {"batch_size": "noise", "learning_rate": "cosine"}, "nobody knows it"),
        ((), {"batch_size": "noise", "learning_rate": "invscaling"}, "nobody knows it"),
    ],
)
def test_unavailable_monitors_are_refused(monitor: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        fitted(monitor=monitor, **settings)


@pytest.mark.parametrize("engine", ENGINES)
def test_batch_size_grows_with_the_noise_scale_up_to_its_maximum(engine: str) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1_000, 4))
    y = rng.integers(0, 2, 1_000)  # nothing to learn: all gradient is noise
    model = bp.MLPClassifier((8,), batch_size="noise", max_batch_size=256, max_iter=8, tol=0, random_state=0)
    model.set_params(engine=engine).fit(X, y)
    sizes, scales = model.monitor_["batch_size"], model.monitor_["noise_scale"]
    assert sizes[0] == 32
    assert 64 <= max(sizes) <= 256
    o = {"numpy": 150, "jax": 50}[engine]
    for m, scale, after in zip(sizes, scales, sizes[1:], strict=False):
        progress_of_one, progress_of_two = 1 / (1 + scale / m), 1 / (1 + scale / (2 * m))
        pays = progress_of_two / (o + 2 * m) > progress_of_one / (o + m)
        assert after == (min(2 * m, 256) if pays or scale == np.inf else m)


def test_batches_stay_small_without_gradient_noise() -> None:
    """All rows are equal, so all gradients are."""
    X, y = np.ones((300, 2)), np.tile([1.0, 1.0], 150)
    model = bp.MLPRegressor(hidden_layer_sizes=(4,), batch_size="noise", max_iter=5, random_state=0)
    model.set_params(n_iter_no_change=100, dtype="float64", max_iter=5)
    model.fit(X, y)
    assert set(model.monitor_["batch_size"]) == {32}


def test_growing_batches_use_every_row_once_in_the_plain_order() -> None:
    """With the initial size as the maximum, training is plain."""
    growing = fitted(monitor=(), batch_size="noise", max_batch_size=16)
    assert growing.loss_curve_ == fitted(monitor=(), batch_size=16).loss_curve_
