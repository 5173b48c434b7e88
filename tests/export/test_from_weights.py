"""Networks and estimators from plain arrays, as a stack of `torch.nn.Linear` keeps them."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import batchprop as bp
from batchprop.errors import ModelError, ParameterError


def stack(*sizes, seed=0, dtype="float64"):
    rng = np.random.default_rng(seed)
    return [
        (rng.normal(size=(n_out, n_in)).astype(dtype), rng.normal(size=n_out).astype(dtype))
        for n_in, n_out in pairwise(sizes)
    ]


def scores(layers, X):
    """The outputs of such a stack with ReLUs between the layers."""
    for W, b in layers[:-1]:
        X = np.maximum(X @ W.T + b, 0)
    W, b = layers[-1]
    return X @ W.T + b


def softmax(Z):
    E = np.exp(Z - Z.max(axis=1, keepdims=True))
    return E / E.sum(axis=1, keepdims=True)


X = np.random.default_rng(9).normal(size=(50, 4))


# ---- Network.from_weights


def test_network_from_plain_arrays():
    layers = stack(4, 6, 3)
    net = bp.Network.from_weights(layers)
    assert (net.sizes, net.activations[0].name, net.head.name) == ((4, 6, 3), "relu", "softmax")
    np.testing.assert_allclose(bp.backprop(net, X.T, np.eye(3)[:, [0] * 50]).P.T, softmax(scores(layers, X)))


def test_lists_and_integers_are_accepted():
    net = bp.Network.from_weights([([[1, 2]], [3])], head="squared_error")
    assert net.layers[0].W.dtype == np.float32
    assert net.sizes == (2, 1)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([], "holds no layer"),
        ([np.ones((3, 3))], r"weights\[0\] holds 3 arrays"),
        ([(np.ones((3, 2)), np.ones(2))], r"weights\[0\] has W \(3, 2\) and b \(2,\).*transposes"),
        ([(np.ones(3), np.ones(3))], r"weights\[0\] has W \(3,\)"),
        ([(np.ones((2, 3)), np.ones((2, 1)))], r"b \(2, 1\)"),
        ([(1.0, 2.0)], r"weights\[0\] has W \(\)"),
        ([*stack(4, 6), *stack(5, 2)], r"weights\[1\] .* where n_in is 6"),
        ([(np.ones((0, 3)), np.ones(0))], r"weights\[0\] has W \(0, 3\)"),
        ([(np.full((1, 2), np.nan), np.ones(1))], "not finite"),
        ([(np.ones((1, 2)), np.array([np.inf]))], "not finite"),
        ([(np.array([["a", "b"]]), np.ones(1))], "give arrays of real numbers"),
        ([(np.ones((1, 2), complex), np.ones(1))], "give arrays of real numbers"),
        ("weights.npz", "the ending of weights='.npz' is unknown: choose one of .safetensors"),
    ],
)
def test_invalid_weights_are_refused(weights, message):
    with pytest.raises(ParameterError, match=message):
        bp.Network.from_weights(weights)


def test_activation_and_head_are_refused_for_a_weights_file(tmp_path):
    with pytest.raises(ParameterError, match="leave them out"):
        bp.Network.from_weights(tmp_path / "net.safetensors", activation="relu")
    with pytest.raises(ModelError, match="No such file"):
        bp.Network.from_weights(tmp_path / "net.safetensors")


def test_unknown_names_are_refused():
    with pytest.raises(ParameterError, match="did you mean 'gelu'"):
        bp.Network.from_weights(stack(4, 3, 2), activation="gelo")
    with pytest.raises(ParameterError, match="has 1 entries for 2 hidden layers"):
        bp.Network.from_weights(stack(4, 3, 2, 2), activation=["gelu"])


# ---- estimators


def test_multiclass_labels_are_in_the_order_of_the_outputs():
    layers = stack(4, 6, 3)
    clf = bp.MLPClassifier.from_weights(layers, classes=["c", "a", "b"])
    P = softmax(scores(layers, X))
    assert clf.classes_.tolist() == ["a", "b", "c"]
    np.testing.assert_allclose(clf.predict_proba(X), P[:, [1, 2, 0]])
    assert (clf.predict(X) == np.array(["c", "a", "b"])[P.argmax(axis=1)]).all()


@pytest.mark.parametrize("classes", [[0, 1], [1, 0], ["yes", "no"]])
def test_binary_labels_with_two_outputs(classes):
    layers = stack(4, 6, 2)
    clf = bp.MLPClassifier.from_weights(layers, classes=classes)
    P = softmax(scores(layers, X))
    for k, label in enumerate(classes):
        np.testing.assert_allclose(clf.predict_proba(X)[:, list(clf.classes_).index(label)], P[:, k])


@pytest.mark.parametrize("classes", [[0, 1], [1, 0]])
def test_binary_labels_with_one_output(classes):
    layers = stack(4, 6, 1)
    clf = bp.MLPClassifier.from_weights(layers, classes=classes)
    P = 1 / (1 + np.exp(-scores(layers, X)[:, 0]))
    np.testing.assert_allclose(clf.predict_proba(X)[:, list(clf.classes_).index(classes[1])], P)


def test_multilabel_targets():
    layers = stack(4, 6, 3)
    clf = bp.MLPClassifier.from_weights(layers, classes=None)
    assert (clf.predict(X) == (scores(layers, X) > 0)).all()


def test_multioutput_targets():
    layers = stack(4, 6, 5)
    clf = bp.MLPClassifier.from_weights(layers, classes=[[5, 2, 9], [7, 1]])
    Z = scores(layers, X)
    np.testing.assert_allclose(clf.predict_proba(X)[0], softmax(Z[:, :3])[:, [1, 0, 2]])
    np.testing.assert_allclose(clf.predict_proba(X)[1], softmax(Z[:, 3:])[:, ::-1])
    assert (clf.predict(X)[:, 1] == np.array([7, 1])[Z[:, 3:].argmax(axis=1)]).all()


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_regression_targets(loss):
    layers = stack(4, 6, 2)
    reg = bp.MLPRegressor.from_weights(layers, loss=loss)
    Z = scores(layers, X)
    np.testing.assert_allclose(reg.predict(X), np.exp(Z) if loss == "poisson" else Z)
    assert reg.out_activation_ == {"poisson": "exp"}.get(loss, "identity")


def test_precision_follows_the_weights():
    for dtype in ("float32", "float64"):
        reg = bp.MLPRegressor.from_weights(stack(4, 3, 1, dtype=dtype))
        assert {array.dtype for array in (*reg.coefs_, *reg.intercepts_)} == {np.dtype(dtype)}
    assert bp.MLPRegressor.from_weights(stack(4, 1), dtype="float32").coefs_[0].dtype == np.float32


def test_weights_round_trip_and_training_continues():
    layers = stack(4, 6, 3)
    y = np.random.default_rng(1).integers(0, 3, 50)
    clf = bp.MLPClassifier.from_weights(
        layers, classes=[0, 1, 2], warm_start=True, max_iter=3, random_state=0, engine="numpy"
    )
    assert clf.backprop(X, y).gradient.squared_norms().shape == (50,)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        clf.fit(X, y)
        begun = bp.MLPClassifier((6,), max_iter=3, random_state=0, dtype="float64", engine="numpy")
        begun.fit(X, y, coefs_init=[W.T for W, _ in layers], intercepts_init=[b for _, b in layers])
    np.testing.assert_allclose(clf.loss_curve_, begun.loss_curve_, rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": [0, 1]}, "3 outputs, and classes=.* ask for 1 or 2"),
        ({"classes": [0, 1, 2, 3]}, "ask for 4"),
        ({"classes": [[0, 1], [0, 1]]}, "ask for 4"),
        ({"classes": [0, 0, 1]}, "each once"),
        ({"classes": [0]}, "two labels or more"),
        ({"classes": "abc"}, "two labels or more"),
        ({"classes": [0, 1, 2], "hidden_layer_sizes": (6,)}, "follows from the weights"),
        ({"classes": [0, 1, 2], "alpha": -1}, "alpha=-1 is not allowed"),
        ({"classes": [0, 1, 2], "activation": ["relu", "relu"]}, "2 entries for 1 hidden"),
    ],
)
def test_estimator_refuses_invalid_options(options, message):
    with pytest.raises(ParameterError, match=message):
        bp.MLPClassifier.from_weights(stack(4, 6, 3), **options)
