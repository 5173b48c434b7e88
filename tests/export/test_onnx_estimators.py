"""Estimators and pipelines of a matrix as graphs: every activation, head and kind of label."""

import os
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import batchprop as bp
from batchprop.activations import ACTIVATIONS, Activation
from batchprop.errors import BatchpropError, InputError, ParameterError
from batchprop.estimators.ensemble import MLPEnsembleClassifier, MLPEnsembleRegressor
from batchprop.export.onnx import convert_model
from batchprop.export.onnx_transformers import write_one_hot
from tests.export.graphs import written
from tests.export.tables import answers, runtime

ROWS = 80
BRIEF: Any = {"max_iter": 12, "tol": 1.0, "random_state": 0}


def matrix(dtype="float32", seed=0, n=ROWS):
    return np.random.default_rng(seed).normal(size=(n, 4)).astype(dtype)


def targets():
    rng = np.random.default_rng(1)
    three = rng.integers(0, 3, ROWS)
    return {
        "two integers": rng.integers(0, 2, ROWS) * 7 - 3,
        "two words": np.array(["no", "yes"])[rng.integers(0, 2, ROWS)],
        "words as objects": np.array(["né", "城", ""], object)[three],
        "several integers": three,
        "small integers": three.astype(np.uint8),
        "booleans": three > 0,
        "whole floats": three.astype(float),
        "labels": rng.integers(0, 2, (ROWS, 3)),
        "targets": rng.integers(0, 3, (ROWS, 2)),
        "targets of words": np.array(["u", "v", "w"])[rng.integers(0, 3, (ROWS, 2))],
    }


def check_classes(model, X, session=None):
    result = answers(session or runtime(model), {"X": X})
    np.testing.assert_array_equal(result.pop("label"), model.predict(X))
    P = model.predict_proba(X)
    for one, another in zip(P if isinstance(P, list) else [P], result.values(), strict=True):
        np.testing.assert_allclose(another, one, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", targets())
def test_every_label_type_is_exported(kind):
    y = targets()[kind]
    clf = bp.MLPClassifier((5,), **BRIEF).fit(matrix(), y)
    check_classes(clf, matrix(seed=2, n=300))
    label = answers(runtime(clf), {"X": matrix()})["label"]
    assert label.dtype.kind == {"u": "i", "U": "O"}.get(y.dtype.kind, y.dtype.kind)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_exported(activation, dtype):
    y = targets()["several integers"]
    clf = bp.MLPClassifier((6, 5), activation=(activation, "tanh"), dtype=dtype, **BRIEF).fit(matrix(), y)
    X = matrix(dtype, seed=3, n=200) * np.array([0.01, 1, 10, 1000], dtype)
    with np.errstate(over="ignore"):
        check_classes(clf, X)


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "quantile", "poisson"])
def test_every_loss_is_exported(loss, dtype, outputs):
    rng = np.random.default_rng(0)
    y = rng.poisson(3, (ROWS, outputs)).squeeze().astype(float)
    reg = bp.MLPRegressor(loss, (5,), dtype=dtype, **BRIEF).fit(matrix(), y)
    X = matrix(dtype, seed=2, n=300)
    result = answers(runtime(reg), {"X": X})["prediction"]
    assert result.dtype == dtype
    np.testing.assert_allclose(result, reg.predict(X).reshape(300, outputs), rtol=1e-5, atol=1e-5)


def test_several_quantiles_are_exported():
    X, y = matrix(), np.random.default_rng(0).normal(size=ROWS)
    reg = bp.MLPRegressor("quantile", (5,), quantile=[0.1, 0.5, 0.9], **BRIEF).fit(X, y)
    X = 100 * matrix("float32", seed=2, n=300)
    result = answers(runtime(reg), {"X": X})["prediction"]
    np.testing.assert_allclose(result, reg.predict(X), rtol=1e-5, atol=1e-5)
    assert (np.diff(result, axis=1) >= 0).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_poisson_output_is_capped_as_in_the_head(dtype):
    reg = bp.MLPRegressor.from_weights([(np.array([[1.0]], dtype), np.zeros(1, dtype))], loss="poisson")
    X = np.array([[-1e4], [0.0], [44.0], [1e4]], dtype)
    result = answers(runtime(reg), {"X": X})["prediction"]
    np.testing.assert_allclose(result[:, 0], reg.predict(X), rtol=1e-5)


def test_network_without_hidden_layers_is_exported():
    check_classes(bp.MLPClassifier((), **BRIEF).fit(matrix(), targets()["several integers"]), matrix())


def test_requested_precision_is_used():
    clf = bp.MLPClassifier((5,), **BRIEF).fit(matrix(), targets()["two words"])
    check_classes(clf, matrix("float64"), runtime(clf, "float64"))


SINGLE_TARGETS = [kind for kind, y in targets().items() if y.ndim == 1]


@pytest.mark.parametrize("kind", SINGLE_TARGETS)
def test_every_label_type_of_an_ensemble_is_exported(kind):
    dtype = "float64" if kind == "booleans" else "float32"
    network = bp.MLPClassifier((5,), learning_rate_init=0.05, dtype=dtype, **BRIEF)
    ensemble = MLPEnsembleClassifier(network, n_members=3).fit(matrix(dtype), targets()[kind])
    assert abs(ensemble.temperature_ - 1) > 0.05
    check_classes(ensemble, 3 * matrix(dtype, seed=2, n=300))
    check_classes(
        make_pipeline(StandardScaler(), ensemble).fit(matrix(dtype), targets()[kind]), matrix(dtype)
    )


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_an_ensemble_for_numbers_is_exported(loss):
    y = np.random.default_rng(0).poisson(3, ROWS).astype(float)
    ensemble = MLPEnsembleRegressor(bp.MLPRegressor(loss, (5,), **BRIEF)).fit(matrix(), y)
    result = answers(runtime(ensemble), {"X": matrix(seed=2)})["prediction"]
    np.testing.assert_allclose(result[:, 0], ensemble.predict(matrix(seed=2)), rtol=1e-5, atol=1e-5)


def test_pipelines_of_a_matrix_are_exported():
    X = np.where(np.random.default_rng(0).random((ROWS, 4)) < 0.2, np.nan, matrix())
    network = bp.MLPClassifier((5,), **BRIEF)
    nested = make_pipeline(None, StandardScaler(), network)
    for last in (network, MLPEnsembleClassifier(network), LogisticRegression(), nested):
        # scikit-learn writes "passthrough" and None where a step is switched off.
        steps = SimpleImputer(strategy="median", add_indicator=True), "passthrough", StandardScaler(), None
        check_classes(make_pipeline(*steps, last).fit(X, targets()["several integers"]), X.astype("float32"))


NETWORK = bp.MLPClassifier((5,), **BRIEF)
HOLDERS = [
    GridSearchCV(NETWORK, {"alpha": [0.0, 1.0]}, cv=2),
    CalibratedClassifierCV(NETWORK, cv=2),
    CalibratedClassifierCV(make_pipeline(StandardScaler(), NETWORK), cv=2),
    FixedThresholdClassifier(NETWORK),
    BaggingClassifier(NETWORK, 2),
    CalibratedClassifierCV(FrozenEstimator(NETWORK)),
]


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: type(holder).__name__)
def test_what_holds_networks_names_what_can_be_exported(holder):
    NETWORK.fit(matrix(), targets()["two integers"])  # which is frozen in one of them
    for model in (holder, make_pipeline(StandardScaler(), holder)):
        model.fit(matrix(), targets()["two integers"])
        with pytest.raises(InputError, match=f"a {type(holder).__name__} has no ONNX form") as refused:
            convert_model(model)
        message = str(refused.value)
        [remedy] = re.findall(r"has: export (model[^, ]*|make_pipeline\(.*?\))(?:, and|$)", message)
        check_classes(eval(remedy), matrix())  # noqa: S307 text of our own


@pytest.mark.filterwarnings("ignore::batchprop.errors.TargetScaleWarning")
@pytest.mark.parametrize(
    ("scaler", "n_members"),
    [
        (StandardScaler(), 1),
        (StandardScaler(with_mean=False), 1),
        (StandardScaler(with_std=False), 1),
        (StandardScaler(), 3),
    ],
)
def test_transformed_target_is_predicted_in_its_units(scaler, n_members):
    y = 1e4 + 1e3 * matrix().sum(axis=1)
    network = bp.MLPRegressor(max_iter=15, tol=1e9)
    reg = TransformedTargetRegressor(
        network if n_members == 1 else MLPEnsembleRegressor(network, n_members), transformer=scaler
    )
    model = make_pipeline(StandardScaler(), reg).fit(matrix(), y)
    result = answers(runtime(model), {"X": matrix(seed=5)})["prediction"]
    np.testing.assert_allclose(result[:, 0], model.predict(matrix(seed=5)), rtol=1e-5, atol=1e-2)


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize("handle_unknown", ["ignore", "infrequent_if_exist"])
def test_categories_of_a_text_matrix_are_exported(handle_unknown):
    words = np.random.default_rng(0).choice(list("aaabbbcde"), (200, 2)).astype(object)
    encoder = OneHotEncoder(handle_unknown=handle_unknown, min_frequency=40, sparse_output=False).fit(words)
    rows = np.array([["a", "b"], ["e", "zz"], ["c", "a"]], object)
    result = written(write_one_hot, encoder, {"rows": rows}, np.float64, len(encoder.get_feature_names_out()))
    np.testing.assert_array_equal(result, encoder.transform(rows))


# ---- what cannot be exported


def own():
    return Activation("relu", np.sin, np.cos)


REFUSED = {
    "an activation of one's own": (
        lambda: bp.MLPClassifier((3,), activation=own(), **BRIEF).fit(matrix(), targets()["booleans"]),
        ParameterError,
        "activation='relu' is a custom function",
    ),
    "such an activation in a pipeline": (
        lambda: make_pipeline(StandardScaler(), bp.MLPRegressor(activation=own(), **BRIEF)).fit(
            matrix(), matrix()
        ),
        ParameterError,
        "a custom function",
    ),
    "a network": (lambda: bp.Network.create([2, 1]), ParameterError, "a Network has no ONNX form"),
    "an estimator that is not fitted": (bp.MLPClassifier, NotFittedError, "not fitted"),
    "a function as a step": (
        lambda: make_pipeline(FunctionTransformer(np.arctan), bp.MLPRegressor(**BRIEF)).fit(
            matrix(), matrix()
        ),
        InputError,
        "this pipeline has no ONNX form",
    ),
    "a target that goes back by a function": (
        lambda: TransformedTargetRegressor(
            bp.MLPRegressor(**BRIEF), func=np.log1p, inverse_func=np.expm1, check_inverse=False
        ).fit(matrix(), np.abs(matrix()[:, 0])),
        InputError,
        "the target is transformed by FunctionTransformer",
    ),
    "a pipeline within a transformed target": (
        lambda: TransformedTargetRegressor(
            make_pipeline(StandardScaler(), bp.MLPRegressor(**BRIEF)), transformer=StandardScaler()
        ).fit(matrix(), matrix()[:, 0]),
        InputError,
        "let it hold only an MLPRegressor",
    ),
    "an imputer that drops columns": (
        lambda: make_pipeline(SimpleImputer(keep_empty_features=False), bp.MLPRegressor(**BRIEF)).fit(
            np.hstack([matrix(), np.full((ROWS, 1), np.nan)]), matrix()[:, 0]
        ),
        InputError,
        "keep_empty_features=True",
    ),
}


@pytest.mark.filterwarnings("ignore:Skipping features without any observed values")
@pytest.mark.parametrize("case", REFUSED)
def test_unsupported_model_is_refused_before_writing(case, tmp_path):
    make, error, message = REFUSED[case]
    model = make()
    with pytest.raises(error, match=message):
        bp.export.to_onnx(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_unknown_precision_is_refused(tmp_path):
    clf = bp.MLPClassifier((3,), **BRIEF).fit(matrix(), targets()["booleans"])
    with pytest.raises(ParameterError, match="dtype='float16' is not allowed"):
        bp.export.to_onnx(clf, tmp_path / "model.onnx", dtype="float16")


def test_failed_write_keeps_the_existing_file(tmp_path, monkeypatch):
    file = tmp_path / "model.onnx"
    file.write_text("before")
    clf = bp.MLPClassifier((3,), **BRIEF).fit(matrix(), targets()["booleans"])

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        bp.export.to_onnx(clf, file)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert file.read_text() == "before"


WITHOUT = """
import sys
for name in {names}:
    sys.modules[name] = None
import numpy as np
import batchprop as bp
clf = bp.MLPClassifier((3,), max_iter=12, tol=1.0).fit(np.eye(8), [0, 1] * 4)
bp.export.to_onnx(clf, sys.argv[1])
"""


def test_export_of_an_estimator_needs_neither_pandas_nor_skops(tmp_path):
    code = WITHOUT.format(names=["pandas", "skops", "pyarrow"])
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model.onnx")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "model.onnx").stat().st_size > 0


def test_missing_package_is_reported(monkeypatch, tmp_path):
    clf = bp.MLPClassifier((3,), **BRIEF).fit(matrix(), targets()["booleans"])
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(BatchpropError, match=r'pip install "batchprop\[onnx\]"'):
        bp.export.to_onnx(clf, tmp_path / "model.onnx")
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(BatchpropError, match=r'pip install "batchprop\[safetensors\]"'):
        bp.export.save_weights(clf, tmp_path / "model.safetensors")
