"""Private fits: the guarantee holds or the fit is refused, and the spent budget is reported."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

import batchprop as bp
from batchprop.errors import ParameterError
from batchprop.privacy import Privacy, PrivacySpent, compute_epsilon
from tests.estimators.tables import estimator, quiet, table

ENGINES = ("numpy", "jax")
NOISY = Privacy(delta=1e-5, noise_multiplier=1.0)
SETTINGS: dict[str, Any] = {"max_iter": 4, "batch_size": 16, "random_state": 0, "dtype": "float64"}


def fitted(target: str = "multiclass", privacy: Any = NOISY, fit: Any = None, **settings: Any) -> Any:
    model = estimator(target).set_params(**SETTINGS | {"privacy": privacy} | settings)
    return model.fit(*table(target), **fit or {})


@pytest.mark.parametrize(
    ("target", "engine"),
    [
        *((target, "numpy") for target in ("binary", "multiclass", "single", "multilabel")),
        *((target, "jax") for target in ("multiclass", "single")),
    ],
)
def test_every_target_type_trains_and_reports_the_spent_budget(target: str, engine: str) -> None:
    model = fitted(target, engine=engine)
    spent: PrivacySpent = model.privacy_spent_
    n = len(table(target)[0])
    assert model.engine_ == engine
    assert model.n_iter_ == 4
    assert spent.steps == 4 * math.ceil(n / 16)
    assert spent.sampling_rate == 16 / n
    assert_allclose(spent.epsilon, compute_epsilon(spent.runs, 1e-5))
    assert (spent.delta, spent.noise_multiplier, spent.max_norm) == (1e-5, 1.0, 1.0)
    assert spent.seeded
    assert len(model.predict(table(target)[0])) == n


def test_noise_is_calibrated_to_epsilon() -> None:
    # By the Rényi bound, which is quick; the other accountant is asked where pieces carry a budget on.
    spent, less = (
        fitted(privacy=Privacy(epsilon=epsilon, delta=1e-5, accountant="rdp")).privacy_spent_
        for epsilon in (2, 1)
    )
    assert 1.98 < spent.epsilon <= 2
    assert less.noise_multiplier > spent.noise_multiplier


def test_settings_without_meaning_warn_when_fitted() -> None:
    with pytest.warns(UserWarning, match=r"delta=0\.1 is not below 1 / 120 rows"):
        fitted(privacy=Privacy(delta=0.1, noise_multiplier=1.0))
    with pytest.warns(UserWarning, match=r"epsilon is 0 after 32 steps with noise_multiplier=1e\+06"):
        spent = fitted(privacy=Privacy(delta=1e-5, noise_multiplier=1e6)).privacy_spent_
    assert spent.epsilon == 0


def test_spent_budget_is_the_tighter_bound_at_large_epsilon() -> None:
    spent = fitted(privacy=Privacy(delta=1e-5, noise_multiplier=0.05), max_iter=20).privacy_spent_
    renyi = compute_epsilon(spent.runs, 1e-5, "rdp")
    assert renyi > 1000
    assert spent.epsilon == compute_epsilon(spent.runs, 1e-5) < 0.9 * renyi


@quiet
@pytest.mark.parametrize("engine", ENGINES)
def test_without_clipping_and_noise_full_batches_train_plainly(engine: str) -> None:
    """With sampling rate 1, every row is in every batch, as with batch_size='full'."""
    loose = Privacy(delta=1e-5, noise_multiplier=0, max_norm=1e9)
    private = fitted(privacy=loose, batch_size="full", engine=engine, shuffle=False)
    plain = fitted(privacy=None, batch_size="full", engine=engine, shuffle=False, n_iter_no_change=100)
    for ours, theirs in zip(private.coefs_, plain.coefs_, strict=True):
        assert_allclose(ours, theirs, rtol=1e-9)
    assert private.privacy_spent_.epsilon == math.inf


@pytest.mark.parametrize("clipping", ["flat", "per_layer", "automatic"])
def test_engines_sample_the_same_batches_and_clip_the_same(clipping: Any) -> None:
    privacy = Privacy(delta=1e-5, noise_multiplier=0, clipping=clipping)
    ours, theirs = (fitted(privacy=privacy, engine=engine) for engine in ENGINES)
    for one, other in zip(ours.coefs_, theirs.coefs_, strict=True):
        assert_allclose(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_seeded_fit_is_reproducible_and_unseeded_fit_is_not(engine: str) -> None:
    one, same = fitted(engine=engine), fitted(engine=engine)
    assert_allclose(one.coefs_[0], same.coefs_[0], rtol=0)
    np.random.seed(0)  # noqa: NPY002 the global generator, which anybody may seed, plays no part
    first = fitted(engine=engine, random_state=None, max_iter=1)
    np.random.seed(0)  # noqa: NPY002
    second = fitted(engine=engine, random_state=None, max_iter=1)
    assert not np.allclose(first.intercepts_[-1], second.intercepts_[-1])
    assert not first.privacy_spent_.seeded


def test_training_loss_is_not_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[Any] = []
    model = fitted(verbose=True, callbacks=[seen.append])
    assert np.isnan(model.loss_curve_).all()
    assert math.isnan(model.loss_)
    assert all(math.isnan(epoch.loss) and epoch.batches == () for epoch in seen)
    assert "Iteration 1, loss = withheld" in capsys.readouterr().out


def test_fit_runs_max_iter_epochs_without_early_stopping() -> None:
    assert fitted(tol=1e9, n_iter_no_change=1, max_iter=6).n_iter_ == 6


def test_separate_validation_rows_are_allowed() -> None:
    X, y = table("multiclass")
    own = {"X_val": X[:20] + 0.1, "y_val": y[:20]}
    model = fitted(fit=own, early_stopping=True, n_iter_no_change=2, max_iter=40, tol=0.0)
    assert len(model.validation_scores_) == model.n_iter_
    assert model.privacy_spent_.steps == model.n_iter_ * math.ceil(len(X) / 16)


@pytest.mark.parametrize(
    ("settings", "fit", "message"),
    [
        ({}, {"sample_weight": np.ones(1)}, "sample_weight does not go with privacy"),
        ({"class_weight": "balanced"}, {}, "class_weight='balanced' does not go with privacy"),
        ({"class_weight": {0: 2.0}}, {}, r"class_weight=\{0: 2.0\} does not go with privacy"),
        ({"early_stopping": True}, {}, "early_stopping=True does not go with privacy: .*X_val"),
        ({"solver": "lbfgs"}, {}, "solver='lbfgs' does not go with privacy"),
        ({"solver": "sgd", "learning_rate": "adaptive"}, {}, "'adaptive' does not go with privacy"),
        ({"batch_size": "noise"}, {}, "batch_size='noise' does not go with privacy"),
        ({}, {"monitor": ["noise_scale"]}, "monitor=.* does not go with privacy"),
    ],
)
def test_options_that_break_the_privacy_guarantee_are_refused(
    settings: dict[str, Any], fit: dict[str, Any], message: str
) -> None:
    if "sample_weight" in fit:
        fit = {"sample_weight": np.ones(len(table("multiclass")[1]))}
    with pytest.raises(ParameterError, match=message):
        fitted(fit=fit, **settings)


def test_privacy_of_the_wrong_type_is_refused() -> None:
    with pytest.raises(
        ParameterError, match=r"privacy=3 is not allowed: give None, or a batchprop\.privacy\.Privacy"
    ):
        fitted(privacy=3)


def test_partial_fits_accumulate_the_budget_until_it_is_spent() -> None:
    X, y = table("multiclass")
    model = estimator("multiclass").set_params(**SETTINGS, privacy=Privacy(epsilon=2, delta=1e-5))
    spent = []
    for _ in range(4):
        model.partial_fit(X, y, classes=np.unique(y))
        spent.append(model.privacy_spent_.epsilon)
    assert spent == sorted(spent)
    assert 1.9 < spent[-1] <= 2
    weights = model.coefs_[0].copy()
    with pytest.raises(ParameterError, match=r"the privacy budget is spent: epsilon=1\.9.* of 2, and"):
        model.partial_fit(X, y)
    assert_allclose(model.coefs_[0], weights, rtol=0)


def test_warm_start_adds_to_the_spent_budget() -> None:
    X, y = table("multiclass")
    model = fitted(warm_start=True)
    once = model.privacy_spent_
    model.fit(X, y)
    assert model.privacy_spent_.steps == 2 * once.steps
    assert model.privacy_spent_.epsilon > once.epsilon
    assert len(model.privacy_spent_.runs) == 1  # both were alike
    model.set_params(privacy=Privacy(epsilon=once.epsilon / 2, delta=1e-5))
    with pytest.raises(ParameterError, match="the privacy budget is spent"):
        model.fit(X, y)


def test_refit_resets_the_privacy_budget() -> None:
    X, y = table("multiclass")
    model = fitted()
    once = model.privacy_spent_
    assert model.fit(X, y).privacy_spent_.steps == once.steps


@quiet
def test_weights_from_plain_training_are_refused() -> None:
    X, y = table("multiclass")
    model = fitted(privacy=None, warm_start=True)
    assert model.privacy_spent_ is None
    with pytest.raises(ParameterError, match="trained without privacy"):
        model.set_params(privacy=NOISY).fit(X, y)


@quiet
def test_plain_training_from_private_weights_has_no_guarantee() -> None:
    X, y = table("multiclass")
    model = fitted(warm_start=True)
    assert model.set_params(privacy=None).fit(X, y).privacy_spent_ is None


def test_shuffled_batches_have_no_guarantee() -> None:
    spent = fitted(privacy=Privacy(delta=1e-5, noise_multiplier=1.0, sampling="shuffled")).privacy_spent_
    assert spent.epsilon == math.inf
    assert math.isfinite(spent.epsilon_if_poisson)
    assert "No epsilon is guaranteed" in str(spent)


def test_private_estimator_works_with_clone_pickle_and_grid_search() -> None:
    model = fitted()
    assert clone(model).privacy == NOISY
    assert pickle.loads(pickle.dumps(model)).privacy_spent_ == model.privacy_spent_
    assert len(cross_val_score(clone(model), *table("multiclass"), cv=2)) == 2


def test_poisson_batch_sizes_share_at_most_two_programs() -> None:
    jax = pytest.importorskip("jax")
    compiled: list[float] = []

    def listen(event: str, seconds: float, **_: Any) -> None:
        if event.endswith("backend_compile_duration"):
            compiled.append(seconds)

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(1_000, 5)), rng.integers(0, 2, 1_000)
    model = bp.MLPClassifier((7,), max_iter=5, batch_size=50, engine="jax", random_state=0, privacy=NOISY)
    model.fit(X, y)
    jax.monitoring.register_event_duration_secs_listener(listen)
    for seed in range(3):
        model.set_params(random_state=seed, privacy=Privacy(delta=1e-5, noise_multiplier=0.5 + seed)).fit(
            X, y
        )
    jax.monitoring.unregister_event_duration_listener(listen)
    assert len(compiled) <= 1
