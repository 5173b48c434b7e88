"""Inspecting a fitted estimator: ``backprop`` and ``activations``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.special import expit, softmax
from sklearn.exceptions import NotFittedError

import batchprop as bp
from tests.estimators.tables import CLASS_TARGETS, TARGETS, estimator, quiet, table

pytestmark = quiet


def fitted(target: str, **parameters: Any) -> tuple[Any, np.ndarray, np.ndarray]:
    """A fitted estimator of two hidden layers in float64, and its table."""
    X, y = table(target)
    plain = {"hidden_layer_sizes": (6, 4), "activation": "tanh", "dtype": "float64", "max_iter": 3}
    return estimator(target, **{**plain, **parameters}).fit(X, y), X, y


def loss_by_predictions(model: Any, target: str, X: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
    """The textbook mean loss, computed only from the estimator's predictions."""
    if target == "multioutput":
        by_target = zip(model.predict_proba(X), model.classes_, y.T, strict=True)
        losses = -sum(np.log(P[np.arange(len(X)), np.searchsorted(c, t)]) for P, c, t in by_target)
    elif target == "multilabel":
        P = model.predict_proba(X)
        losses = -(y * np.log(P) + (1 - y) * np.log(1 - P)).sum(axis=1)
    elif target in CLASS_TARGETS:
        P = model.predict_proba(X)
        losses = -np.log(P[np.arange(len(X)), np.searchsorted(model.classes_, y)])
    else:
        losses = 0.5 * ((model.predict(X) - y) ** 2).reshape(len(X), -1).sum(axis=1)
    return float(np.average(losses, weights=w))


@pytest.mark.parametrize("target", TARGETS)
def test_gradient_matches_the_loss_of_the_predictions(target: str) -> None:
    model, X, y = fitted(target)
    X, y, w = X[:20], y[:20], np.linspace(0, 2, 20)
    step = model.backprop(X, y, w)
    assert float(step.loss) == pytest.approx(loss_by_predictions(model, target, X, y, w), rel=1e-9)
    for k, mean in enumerate(step.gradient.mean()):
        for entry in ((0, 0), (1, mean.W.shape[0] - 1)):
            differences = []
            for move in (1e-6, -2e-6):
                model.coefs_[k][entry] += move
                differences.append(loss_by_predictions(model, target, X, y, w))
            model.coefs_[k][entry] += 1e-6
            slope = (differences[0] - differences[1]) / 2e-6
            assert mean.W.T[entry] == pytest.approx(slope, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("to", [np.array, csr_matrix], ids=["dense", "sparse"])
def test_backprop_equals_the_core_on_transposed_rows(target: str, to: Any) -> None:
    model, X, y = fitted(target)
    step = model.backprop(to(X[:7]), y[:7])
    layers = tuple(bp.Layer(W.T, b) for W, b in zip(model.coefs_, model.intercepts_, strict=True))
    head: Any = {"multiclass": "softmax", "binary": "sigmoid", "multilabel": "sigmoid"}.get(
        target, "squared_error"
    )
    if target == "multioutput":
        head = bp.heads.softmax_groups([3, 3])
    tanh = bp.activations.ACTIVATIONS["tanh"]
    net = bp.Network(layers, (tanh, tanh), bp.heads.get_head(head))
    Y = step.P - step.dZ[-1]
    again = bp.backprop(net, X[:7].T, Y)
    for one, other in zip([*step.dZ, *step.H], [*again.dZ, *again.H], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
    assert step.gradient.squared_norms().shape == (7,)
    assert step.gradient.tensor(0).shape == (6, 5, 7)
    # Nothing has been trained.
    np.testing.assert_array_equal(model.coefs_[0], layers[0].W.T)


def test_backprop_applies_weights_as_in_training() -> None:
    model, X, y = fitted("multiclass", class_weight="balanced")
    w = np.linspace(0.5, 1, len(y))
    counts = {label: (y == label).sum() for label in model.classes_}
    balanced = np.array([len(y) / (3 * counts[label]) for label in y])
    np.testing.assert_allclose(model.backprop(X, y, w).weights, w * balanced)
    # Balanced as in training, not by the few given rows.
    np.testing.assert_allclose(model.backprop(X[:4], y[:4]).weights, balanced[:4])


def test_backprop_has_the_precision_of_its_input() -> None:
    model, X, y = fitted("single")
    assert model.backprop(X.astype("float32"), y).dZ[0].dtype == np.float32
    assert model.backprop(X, y).dZ[0].dtype == np.float64


@pytest.mark.parametrize("target", TARGETS)
def test_activations_has_one_row_per_example_in_every_layer(target: str) -> None:
    model, X, _ = fitted(target)
    layers = model.activations(X)
    assert [rows.shape for rows in layers] == [(120, 5), (120, 6), (120, 4), (120, model.n_outputs_)]
    np.testing.assert_array_equal(layers[0], X)
    for k in range(2):
        Z = layers[k] @ model.coefs_[k] + model.intercepts_[k]
        np.testing.assert_allclose(layers[k + 1], np.tanh(Z), rtol=1e-9)
    Z = layers[2] @ model.coefs_[2] + model.intercepts_[2]
    answers = {
        "binary": lambda: expit(Z),
        "multilabel": lambda: expit(Z),
        "multiclass": lambda: softmax(Z, axis=1),
        "multioutput": lambda: np.hstack([softmax(Z[:, :3], axis=1), softmax(Z[:, 3:], axis=1)]),
    }.get(target, lambda: Z)()
    np.testing.assert_allclose(layers[3], answers, rtol=1e-9)


def test_a_network_without_hidden_layers() -> None:
    model, X, y = fitted("single", hidden_layer_sizes=())
    assert [rows.shape for rows in model.activations(X)] == [(120, 5), (120, 1)]
    assert model.n_layers_ == 2
    np.testing.assert_allclose(model.predict(X), X @ model.coefs_[0][:, 0] + model.intercepts_[0])
    assert model.backprop(X, y).gradient.tensor(0).shape == (1, 5, 120)


def test_predictions_come_in_chunks_of_rows() -> None:
    model, X, _ = fitted("single")
    many = np.tile(X, (80, 1))
    np.testing.assert_allclose(model.predict(many), np.tile(model.predict(X), 80), rtol=1e-12)


@pytest.mark.parametrize("call", ["backprop", "activations", "predict", "predict_proba", "score"])
def test_unfitted_estimator_is_refused(call: str) -> None:
    X, y = table("binary")
    arguments = (X, y) if call in {"backprop", "score"} else (X,)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(estimator("binary"), call)(*arguments)
