"""The network: initial weights as in scikit-learn, and invalid networks."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any, cast

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

from batchprop.activations import ACTIVATIONS
from batchprop.errors import ParameterError
from batchprop.heads import HEADS, huber
from batchprop.network import Network, broadcast_to_layers, check_random_state, validate_sizes
from batchprop.params import Layer


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_initial_weights_match_scikit_learn_for_one_seed(activation: str, dtype: Any) -> None:
    sizes = [4, 7, 1, 3]
    net = Network.create(sizes, activation=activation, random_state=5, dtype=dtype)
    theirs = MLPClassifier(activation=activation)
    theirs._random_state = np.random.RandomState(5)
    for layer, n_in, n_out in zip(net.layers, sizes[:-1], sizes[1:], strict=True):
        coef, intercept = theirs._init_coef(n_in, n_out, dtype)
        assert np.array_equal(layer.W, coef.T)
        assert np.array_equal(layer.b, intercept)


def test_sigmoid_has_a_smaller_gain() -> None:
    wide, narrow = (
        Network.create([50, 50, 50], activation=name, random_state=0, dtype="float64")
        for name in ("tanh", "sigmoid")
    )
    for a, b in zip(wide.layers, narrow.layers, strict=True):
        assert np.allclose(b.W, a.W / np.sqrt(3))
    assert np.max(np.abs(wide.layers[0].W)) <= np.sqrt(6 / 100)


def test_gain_depends_on_the_activation_of_each_layer() -> None:
    mixed, tanh = (
        Network.create([9, 9, 9, 9], activation=names, random_state=0, dtype="float64")
        for names in (["tanh", "sigmoid"], "tanh")
    )
    ratios = [a.W / b.W for a, b in zip(mixed.layers, tanh.layers, strict=True)]
    for ratio, expected in zip(ratios, [1, 1 / np.sqrt(3), 1 / np.sqrt(3)], strict=True):
        assert np.allclose(ratio, expected)


def test_network_has_its_sizes() -> None:
    net = Network.create([5, 4, 1, 3], activation=["relu", ACTIVATIONS["gelu"]], head=huber(2.0))
    assert net.sizes == (5, 4, 1, 3)
    assert net.n_parameters == sum(layer.W.size + layer.b.size for layer in net.layers)
    assert [record.name for record in net.activations] == ["relu", "gelu"]
    assert net.head.name == "huber"
    assert all(W.flags.c_contiguous and W.dtype == b.dtype == np.float32 for W, b in net.layers)


def test_a_network_without_hidden_layers() -> None:
    net = Network.create((3, 2), head="sigmoid", random_state=0)
    assert net.activations == ()
    assert net.head is HEADS["sigmoid"]
    assert net.sizes == (3, 2)


def test_replace_layers_returns_a_new_network() -> None:
    net: Any = Network.create([2, 1], random_state=0)
    zeros = (Layer(np.zeros((1, 2)), np.zeros(1)),)
    other = net.replace_layers(zeros)
    assert other.layers is zeros
    assert other.head is net.head
    assert net.layers is not zeros
    with pytest.raises(FrozenInstanceError):
        net.layers = zeros


def test_initial_weights_depend_only_on_the_random_state() -> None:
    first, second, other = (Network.create([3, 2], random_state=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.layers[0].W, second.layers[0].W)
    assert not np.array_equal(first.layers[0].W, other.layers[0].W)
    rng, numpys_seven = np.random.RandomState(0), cast("Any", np.int64(7))
    assert check_random_state(rng) is rng
    assert check_random_state(numpys_seven).randint(1000) == check_random_state(7).randint(1000)
    assert isinstance(check_random_state(None), np.random.RandomState)


@pytest.mark.parametrize("wrong", ["7", 1.5, np.random.default_rng(0)])
def test_invalid_random_state_is_refused(wrong: Any) -> None:
    with pytest.raises(ParameterError, match=r"random_state=.*give None, an integer seed, or a numpy"):
        check_random_state(wrong)


@pytest.mark.parametrize("sizes", [[], [3], ()])
def test_too_few_sizes_are_refused(sizes: Any) -> None:
    with pytest.raises(ParameterError, match="too short: give at least the widths of input and output"):
        Network.create(sizes)


@pytest.mark.parametrize("width", [0, -1, 2.0, "3", None, True])
def test_invalid_width_is_refused(width: Any) -> None:
    with pytest.raises(ParameterError, match="every width is a positive integer"):
        Network.create([4, width, 2])


def test_sizes_become_plain_ints() -> None:
    sizes: Any = np.array([3, 2])
    assert validate_sizes(sizes) == (3, 2)
    assert all(type(width) is int for width in validate_sizes(sizes))


def test_option_is_one_value_or_one_per_hidden_layer() -> None:
    record: Any = ACTIVATIONS["relu"]
    assert broadcast_to_layers("activation", "relu", 2) == ("relu", "relu")
    assert broadcast_to_layers("activation", record, 2) == (record, record)
    assert broadcast_to_layers("activation", ["relu", record], 2) == ("relu", record)
    rates: list[Any] = [0.1]
    assert broadcast_to_layers("dropout", rates, 1) == (0.1,)
    with pytest.raises(ParameterError, match="3 entries for 2 hidden layers: give one for all, or 2"):
        Network.create([2, 2, 2, 2], activation=["relu", "tanh", "elu"])


def test_integer_sizes_are_refused() -> None:
    with pytest.raises(ParameterError, match="sizes=5 is too short: give at least the widths"):
        Network.create(cast("Any", 5))


def test_weights_are_floating_point() -> None:
    with pytest.raises(ParameterError, match="dtype='int32' is not allowed: give 'float32' or 'float64'"):
        Network.create([2, 1], dtype="int32")


# ---- given weights

PAIRS = [(np.ones((3, 4)), np.zeros(3)), (np.ones((2, 3)), np.zeros(2))]


def test_network_from_plain_arrays() -> None:
    net = Network.from_weights(PAIRS, activation="tanh", head="squared_error")
    assert (net.sizes, net.activations[0].name, net.head.name) == ((4, 3, 2), "tanh", "squared_error")
    assert net.layers[0].W is PAIRS[0][0]
    assert Network.from_weights([(np.ones((1, 2), int), [0])]).layers[0].W.dtype == np.float32


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([], "weights holds no layer"),
        ([(np.ones((3, 4)),)], r"weights\[0\] holds 1 arrays: give \(W, b\) of each layer"),
        ([(np.ones((3, 4)), np.zeros(4))], r"weights\[0\] has W \(3, 4\) and b \(4,\): W is \(n_out, n_in\)"),
        (
            [PAIRS[0], PAIRS[0]],
            r"where n_in is 3, the layer before's n_out; scikit-learn's coefs_",
        ),
        ([(np.float64(1.0), np.zeros(1))], r"weights\[0\] has W \(\) and b \(1,\)"),
        ([(np.ones((0, 4)), np.zeros(0))], r"weights\[0\] has W \(0, 4\)"),
        ([(np.full((3, 4), np.nan), np.zeros(3))], r"weights\[0\] holds numbers that are not finite"),
        (
            [(np.ones((3, 4), complex), np.zeros(3))],
            r"weights\[0\] holds complex128: give arrays of real",
        ),
        ("net.pickle", r"the ending of weights='.pickle' is unknown: choose one of .safetensors"),
    ],
)
def test_invalid_weights_are_refused(weights: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        Network.from_weights(weights)


def test_activation_and_head_are_refused_for_a_weights_file() -> None:
    with pytest.raises(ParameterError, match="is a file, which contains activation and head: leave them out"):
        Network.from_weights("net.safetensors", head="softmax")
