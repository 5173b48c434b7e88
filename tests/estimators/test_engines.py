"""The estimators on the JAX engine: the same fits, predictions and attributes as on NumPy's."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import jax
import numpy as np
import pytest
import skops.io
from numpy.testing import assert_allclose
from scipy.sparse import csr_matrix
from sklearn.base import clone

import batchprop as bp
from batchprop.engines import auto, padding
from batchprop.engines import jax as jax_engine
from batchprop.errors import ParameterError
from batchprop.estimators import engines
from tests.estimators.tables import TARGETS, declared, estimator, quiet, require_plain, table, with_checks

pytestmark = quiet

SOLVERS: dict[str, dict[str, Any]] = {
    "adam": {},
    "adamw": {"solver": "adamw", "learning_rate": "warmup_cosine"},
    "sgd": {"solver": "sgd", "learning_rate": "invscaling", "batch_size": 32},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False, "learning_rate": "adaptive"},
    "plain": {"solver": "sgd", "momentum": 0, "max_grad_norm": 0.1, "batch_size": "full"},
    "lbfgs": {"solver": "lbfgs", "alpha": 0.1},
    "early stopping": {"early_stopping": True, "batch_size": 32},
}


def pair(target: str, **parameters: Any) -> tuple[Any, Any]:
    """The same estimator on JAX and on NumPy, in float64; with one size of batches, fits share programs."""
    parameters = {"dtype": "float64", "batch_size": 32, **parameters}
    return estimator(target, engine="jax", **parameters), estimator(target, engine="numpy", **parameters)


def alike(ours: Any, theirs: Any, X: Any, y: Any, within: float = 1e-9) -> None:
    """Assert that two estimators have the same weights and predictions."""
    assert (ours.engine_, theirs.engine_) == ("jax", "numpy")
    plain = [*theirs.coefs_, *theirs.intercepts_]
    for array, reference in zip([*ours.coefs_, *ours.intercepts_], plain, strict=True):
        assert type(array) is np.ndarray
        assert array.dtype == reference.dtype
        assert_allclose(array, reference, rtol=within, atol=within)
    for name in ("loss_curve_", "validation_loss_curve_", "validation_scores_", "learning_rate_curve_"):
        mine, numpys = getattr(ours, name), getattr(theirs, name)
        assert (mine is None) == (numpys is None), name
        if mine is not None:
            assert_allclose(mine, numpys, rtol=within, atol=within, err_msg=name)
    for name in ("n_iter_", "t_", "best_iteration_", "n_outputs_", "n_layers_", "out_activation_"):
        assert getattr(ours, name) == getattr(theirs, name), name
    same_answers(ours, theirs, X, y, within)


def same_answers(ours: Any, theirs: Any, X: Any, y: Any, within: float) -> None:
    predicted, expected = ours.predict(X), theirs.predict(X)
    assert predicted.dtype == expected.dtype
    if hasattr(ours, "predict_proba"):
        assert np.array_equal(predicted, expected)
        for method in ("predict_proba", "predict_log_proba"):
            mine, numpys = (getattr(model, method)(X) for model in (ours, theirs))
            assert type(mine) is type(numpys)
            for one, other in zip(mine, numpys, strict=True):
                assert_allclose(one, other, rtol=within, atol=within)
    else:
        assert_allclose(predicted, expected, rtol=within, atol=within)
    assert_allclose(ours.score(X, y), theirs.score(X, y), rtol=within)


# ---- fits


@pytest.mark.parametrize("settings", SOLVERS)
def test_every_solver_matches_numpy(settings: str) -> None:
    # A program is compiled for each pair; those of the binary target serve the warm starts too.
    target = "single" if settings in {"adamw", "sgd", "plain"} else "binary"
    X, y = table(target)
    ours, theirs = pair(target, **SOLVERS[settings])
    # A line search amplifies rounding differences.
    within = 1e-6 if settings == "lbfgs" else 1e-9
    alike(ours.fit(X, y), theirs.fit(X, y), X, y, within)


@pytest.mark.parametrize("target", [*TARGETS, "counts"])
def test_every_target_type_matches_numpy(target: str) -> None:
    X, y = table(target)
    loss = {"loss": "poisson"} if target == "counts" else {}
    ours, theirs = pair(target, max_iter=4, early_stopping=True, **loss)
    alike(ours.fit(X, y), theirs.fit(X, y), X, y)


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "quantile"])
def test_every_loss_matches_numpy(loss: str) -> None:
    X, y = table("several")
    ours, theirs = pair("several", max_iter=4, loss=loss)
    alike(ours.fit(X, y), theirs.fit(X, y), X, y)


def test_weights_smoothing_and_layers_match_numpy() -> None:
    X, y = table("multiclass")
    ours, theirs = pair(
        "multiclass",
        hidden_layer_sizes=(6, 5),
        activation=("gelu", "silu"),
        class_weight="balanced",
        label_smoothing=0.1,
        batch_size=50,
    )
    weights = np.linspace(0, 2, len(y))
    alike(ours.fit(X, y, weights), theirs.fit(X, y, weights), X, y)


def test_network_without_hidden_layers_matches_numpy() -> None:
    X, y = table("binary")
    ours, theirs = pair("binary", hidden_layer_sizes=())
    alike(ours.fit(X, y), theirs.fit(X, y), X, y)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_sparse_rows_match_numpy(solver: str) -> None:
    X, y = table("multiclass")
    thin = csr_matrix(np.where(X > 0.5, X, 0))
    ours, theirs = pair("multiclass", solver=solver, max_iter=5)
    alike(ours.fit(thin, y), theirs.fit(thin, y), thin, y, 1e-7)


@pytest.mark.parametrize("dtype", ["float32", None])
def test_float32_matches_numpy(dtype: str | None) -> None:
    X, y = table("multiclass", rows=240, dtype="float32")
    ours, theirs = (
        estimator("multiclass", engine=engine, dtype=dtype).fit(X, y) for engine in ("jax", "numpy")
    )
    assert {array.dtype.name for array in (*ours.coefs_, *ours.intercepts_)} == {"float32"}
    assert ours.predict_proba(X).dtype == "float32"
    alike(ours, theirs, X, y, 1e-5)


def test_given_validation_rows_match_numpy() -> None:
    X, y = table("multioutput")
    ours, theirs = pair("multioutput", max_iter=4)
    for model in (ours, theirs):
        model.fit(X[:80], y[:80], X_val=X[80:], y_val=y[80:])
    alike(ours, theirs, X, y)


@pytest.mark.parametrize("scoring", ["loss", "neg_log_loss"])
def test_scoring_matches_numpy(scoring: str) -> None:
    X, y = table("multiclass")
    ours, theirs = pair("multiclass", max_iter=5, early_stopping=True, scoring=scoring)
    alike(ours.fit(X, y), theirs.fit(X, y), X, y)


@pytest.mark.parametrize("settings", ["adam", "momentum", "lbfgs", "early stopping"])
def test_warm_start_matches_numpy(settings: str) -> None:
    X, y = table("binary")
    ours, theirs = pair("binary", warm_start=True, max_iter=3, **SOLVERS[settings])
    for model in (ours, theirs):
        model.fit(X, y).fit(X, y)
    alike(ours, theirs, X, y, 1e-6 if settings == "lbfgs" else 1e-9)


@pytest.mark.parametrize(
    ("target", "settings"), [("multiclass", "adamw"), ("multilabel", "sgd"), ("several", "adamw")]
)
def test_partial_fit_matches_numpy(target: str, settings: str) -> None:
    X, y = table(target)
    ours, theirs = pair(target, **SOLVERS[settings])
    for model in (ours, theirs):
        model.partial_fit(X[:50], y[:50], **declared(target, y))
        model.partial_fit(X[50:], y[50:])
        model.partial_fit(X, y)
    alike(ours, theirs, X, y)


def test_engine_may_change_between_partial_fits() -> None:
    X, y = table("binary")
    ours, theirs = pair("binary")
    for engine in ("jax", "numpy", "jax"):
        ours.set_params(engine=engine).partial_fit(X, y, **declared("binary", y))
        theirs.partial_fit(X, y, **declared("binary", y))
    alike(ours, theirs, X, y)


def test_dropout_is_seeded() -> None:
    X, y = table("multiclass")
    fits = [
        estimator("multiclass", engine="jax", dropout=0.4, random_state=seed).fit(X, y) for seed in (0, 0, 1)
    ]
    assert fits[0].loss_curve_ == fits[1].loss_curve_ != fits[2].loss_curve_
    assert fits[0].loss_curve_ != estimator("multiclass", engine="jax").fit(X, y).loss_curve_
    pieces = estimator("multiclass", engine="jax", dropout=0.4, learning_rate_init=1e-30)
    losses = [pieces.partial_fit(X, y, **declared("multiclass", y)).loss_ for _ in range(3)]
    assert len(set(losses)) == 3


def test_table_larger_than_a_chunk_matches_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (padding, jax_engine):
        monkeypatch.setattr(module, "MICROBATCH_SIZE", 32)
    X, y = table("multilabel")
    ours, theirs = pair("multilabel", batch_size="full", max_iter=4)
    alike(ours.fit(X, y), theirs.fit(X, y), X, y)


# ---- fitted state

OURS = {"batchprop.estimators.classifier.MLPClassifier", "batchprop.estimators.regressor.MLPRegressor"}


def through_skops(model: Any) -> Any:
    stored = skops.io.dumps(model)
    needed = set(skops.io.get_untrusted_types(data=stored))
    assert needed <= OURS
    return skops.io.loads(stored, trusted=sorted(needed))


WAYS: dict[str, Any] = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "copy": copy.deepcopy,
    "skops": through_skops,
}


@pytest.mark.parametrize(
    ("settings", "dtype"),
    [
        ("lbfgs", "float64"),
        ("early stopping", "float32"),
    ],
)
def test_fitted_attributes_are_plain_arrays_and_numbers(settings: str, dtype: str) -> None:
    X, y = table("multioutput", rows=240)
    clf = estimator("multioutput", engine="jax", dtype=dtype, class_weight="balanced", **SOLVERS[settings])
    clf.fit(X, y, X_val=X[:9], y_val=y[:9])
    require_plain(clf)


@pytest.mark.parametrize(
    ("way", "target"), [("pickle", "multiclass"), ("copy", "several"), ("skops", "multiclass")]
)
def test_stored_estimator_continues_training(way: str, target: str) -> None:
    X, y = table(target)
    model = estimator(target, engine="jax", solver="adamw", dropout=0.2).fit(X, y)
    stored = WAYS[way](model)
    assert stored.engine_ == "jax"
    assert np.array_equal(stored.predict(X), model.predict(X))
    for _ in range(2):
        model.partial_fit(X, y)
        stored.partial_fit(X, y)
        for one, other in zip(model.coefs_, stored.coefs_, strict=True):
            assert np.array_equal(one, other)


def test_clone_gives_an_unfitted_twin() -> None:
    X, y = table("binary")
    clf = estimator("binary", engine="jax", device="cpu", precision="float32").fit(X, y)
    twin = clone(clf)
    assert not hasattr(twin, "coefs_")
    assert twin.get_params() == clf.get_params()
    assert np.array_equal(twin.fit(X, y).coefs_[0], clf.coefs_[0])


def test_fitted_arrays_are_writable() -> None:
    X, y = table("binary")
    clf = estimator("binary", engine="jax").fit(X, y)
    assert all(array.flags.writeable for array in (*clf.coefs_, *clf.intercepts_))
    assert clf.predict_proba(X).flags.writeable


def test_fit_does_not_change_process_settings() -> None:
    X, y = table("binary")
    names = ("jax_enable_x64", "jax_default_device", "jax_default_matmul_precision")
    before = [getattr(jax.config, name) for name in names]
    estimator("binary", engine="jax", dtype="float64", precision="float32").fit(X, y).predict(X)
    assert [getattr(jax.config, name) for name in names] == before


# ---- engine selection


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make "auto" compile any work."""
    monkeypatch.setattr(auto, "WORTH_COMPILING", 0.0)


@pytest.fixture
def without_jax(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (auto, engines):
        monkeypatch.setattr(module, "jax_is_installed", lambda: False)


@pytest.mark.parametrize("target", ["binary", "single"])
def test_small_fits_use_numpy(target: str) -> None:
    X, y = table(target)
    assert estimator(target).engine == "auto"
    assert estimator(target).fit(X, y).engine_ == "numpy"


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_auto_selects_jax_where_it_is_faster(solver: str) -> None:
    X, y = table("binary")
    model = estimator("binary", solver=solver, max_iter=3)
    assert model.fit(X, y).engine_ == "jax"
    assert model.set_params(engine="numpy").fit(X, y).engine_ == "numpy"


@pytest.mark.usefixtures("eager", "without_jax")
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_note_says_that_jax_would_be_faster(solver: str) -> None:
    X, y = table("binary")
    with pytest.warns(UserWarning, match=r"JAX.*not installed: pip install 'batchprop\[jax\]'") as caught:
        model = estimator("binary", solver=solver, max_iter=3).fit(X, y)
    told = [str(warning.message) for warning in caught if "JAX" in str(warning.message)]
    assert len(told) == 1
    assert "\n" not in told[0]
    assert model.engine_ == "numpy"
    assert caught[0].filename == __file__


@pytest.mark.usefixtures("without_jax")
def test_no_note_where_jax_would_not_be_faster() -> None:
    X, y = table("binary")
    assert estimator("binary").fit(X, y).engine_ == "numpy"


@pytest.mark.usefixtures("eager", "without_jax")
def test_no_note_with_engine_numpy() -> None:
    X, y = table("binary")
    assert estimator("binary", engine="numpy").fit(X, y).predict(X).shape == (120,)


@pytest.mark.usefixtures("without_jax")
def test_missing_jax_is_an_error() -> None:
    X, y = table("binary")
    with pytest.raises(ParameterError, match=r"engine='jax' needs JAX.*pip install 'batchprop\[jax\]'"):
        estimator("binary", engine="jax").fit(X, y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"engine": "torch"}, r"engine='torch'.*'auto'.*'numpy'.*'jax'"),
        ({"precision": "float8"}, r"precision='float8'.*'float32'"),
        ({"engine": "numpy", "device": "gpu"}, r"device='gpu' does not go with engine='numpy'"),
        (
            {"engine": "numpy", "precision": "bfloat16"},
            r"precision='bfloat16' does not go with engine='numpy'",
        ),
        ({"device": "abacus"}, r"device='abacus' is not there: JAX has 'cpu'"),
        ({"engine": "jax", "device": "tpu"}, r"device='tpu' is not there: JAX has 'cpu'"),
    ],
)
def test_invalid_engine_is_refused(parameters: dict[str, Any], message: str) -> None:
    X, y = table("binary")
    with pytest.raises(ParameterError, match=message):
        estimator("binary", **parameters).fit(X, y)


# ---- scikit-learn's own checks


# Every check compiles anew, for shapes of its own. Tables, labels and settings are read before the engine is
# asked, and those checks are on NumPy's alone; others are of what tests above look at. A regressor has the
# few where its own numbers count, which with dtype=None are of the table's type. A few large steps learn what
# the checks ask for.
BRIEF: dict[str, Any] = {"engine": "jax", "max_iter": 30, "learning_rate_init": 0.01}
READ_BEFORE = (
    "sparse|dtype_object|pipeline|fit_score|pandas|n_features|classes$|y_2d|an_array|nan_inf|overwrite|one_label|"
    "1feature|positive_only|class_weight|weights_shape|tag|_repr|in_init|mixin|constructible|_params|cloneable|"
    "unfitted|fit1d|predict1d|requires_y|y_no_nan|complex_data|empty_data|regression_target|array_api|f_contiguous|"
    "weights_list|zero_sample|multilabel_output|train_readonly"
)
ABOVE = "pickle|multioutput|returns_self|weights_not|n_iter|sparse"


@pytest.mark.filterwarnings("ignore")
@with_checks(
    {
        bp.MLPClassifier(**BRIEF): f"^(?!.*({READ_BEFORE}|{ABOVE}))",
        bp.MLPRegressor(**BRIEF, dtype=None): "estimators_dtypes|regressors_train$",
    }
)
def test_check_estimator(estimator: Any, check: Any) -> None:
    check(estimator)
