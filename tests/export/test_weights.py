"""Weights files: round trips, and invalid files."""

import json
import subprocess
import sys
from contextlib import suppress
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save

import batchprop as bp
from batchprop.activations import ACTIVATIONS, Activation
from batchprop.backprop import predict
from batchprop.errors import ModelError, ParameterError
from batchprop.estimators.ensemble import MLPEnsembleClassifier, MLPEnsembleRegressor, merge_ensembles
from batchprop.heads import HEADS

ABOUT = {"format": 1, "activations": ["tanh"], "head": {"name": "softmax"}}
BRIEF: Any = {"max_iter": 12, "tol": 1.0, "random_state": 0}


def arrays(sizes=(4, 3, 2), dtype="float32"):
    rng = np.random.default_rng(0)
    result = {}
    for k, (n_in, n_out) in enumerate(pairwise(sizes)):
        result[f"layers.{k}.W"] = rng.normal(size=(n_out, n_in)).astype(dtype)
        result[f"layers.{k}.b"] = rng.normal(size=n_out).astype(dtype)
    return result


def crafted(path, tensors=None, about=ABOUT, **changes):
    """A weights file with changed arrays or metadata."""
    told = about if isinstance(about, str) else json.dumps({**about, **changes})
    path.write_bytes(save(arrays() if tensors is None else tensors, metadata={"batchprop": told}))
    return path


def raw(path, header, data=b""):
    """A file with exactly this header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def same(one, another):
    assert [record.name for record in one.activations] == [record.name for record in another.activations]
    for layer, other in zip(one.layers, another.layers, strict=True):
        np.testing.assert_array_equal(layer.W, other.W)
        np.testing.assert_array_equal(layer.b, other.b)
        assert (layer.W.dtype, layer.b.dtype) == (other.W.dtype, other.b.dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("head", HEADS)
def test_network_round_trips(head, dtype, tmp_path):
    net = bp.Network.create([4, 3, 5, 2], activation=["mish", "elu"], head=head, random_state=0, dtype=dtype)
    bp.export.save_weights(net, tmp_path / "net.safetensors")
    result = bp.Network.from_weights(tmp_path / "net.safetensors")
    same(result, net)
    assert result.head is net.head
    same(bp.export.load_weights(str(tmp_path / "net.safetensors")), net)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_round_trips(activation, tmp_path):
    net = bp.Network.create([2, 3, 1], activation=activation, random_state=0)
    bp.export.save_weights(net, tmp_path / "net.safetensors")
    assert bp.export.load_weights(tmp_path / "net.safetensors").activations == net.activations


def test_arrays_have_the_documented_names(tmp_path):
    bp.export.save_weights(bp.Network.create([4, 3, 2], random_state=0), tmp_path / "net.safetensors")
    result = load_file(tmp_path / "net.safetensors")
    assert {name: array.shape for name, array in result.items()} == {
        "layers.0.W": (3, 4), "layers.0.b": (3,), "layers.1.W": (2, 3), "layers.1.b": (2,),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("y", "options"),
    [
        ([0, 1] * 10, {"label_smoothing": 0.1}),
        (["a", "b", "c", "a"] * 5, {"label_smoothing": 0.25}),
        ([[0, 1, 1], [1, 0, 0]] * 10, {}),
        ([[0, 2], [1, 3], [2, 4], [1, 2]] * 5, {"label_smoothing": 0.1}),
    ],
    ids=["binary", "multiclass", "labels", "targets"],
)
def test_classifier_round_trips(y, options, tmp_path):
    X = np.random.default_rng(0).normal(size=(20, 3))
    clf = bp.MLPClassifier((4,), **BRIEF, **options).fit(X, y)
    bp.export.save_weights(clf, tmp_path / "clf.safetensors")
    _, batch = clf.network_and_batch(X, y)
    step, wanted = (
        bp.backprop(bp.export.load_weights(tmp_path / "clf.safetensors"), *batch),
        clf.backprop(X, y),
    )
    np.testing.assert_allclose(step.P, wanted.P, rtol=1e-6)
    np.testing.assert_allclose(step.losses, wanted.losses, rtol=1e-6)
    np.testing.assert_allclose(step.dZ[-1], wanted.dZ[-1], rtol=1e-6)


@pytest.mark.parametrize(
    ("loss", "quantile"),
    [
        *[(loss, 0.9) for loss in ("squared_error", "poisson", "absolute_error", "huber", "quantile")],
        ("quantile", [0.1, 0.9]),
    ],
)
def test_regressor_round_trips(loss, quantile, tmp_path):
    X = np.random.default_rng(0).normal(size=(20, 3))
    y = np.abs(X[:, 0])
    reg = bp.MLPRegressor(loss, (4,), huber_delta=0.3, quantile=quantile, **BRIEF).fit(X, y)
    bp.export.save_weights(reg, tmp_path / "reg.safetensors")
    _, batch = reg.network_and_batch(X, y)
    result = bp.backprop(bp.export.load_weights(tmp_path / "reg.safetensors"), *batch)
    np.testing.assert_allclose(result.losses, reg.backprop(X, y).losses, rtol=1e-6)


@pytest.mark.parametrize("kind", ["sigmoid", "softmax", "numbers", "of two depths", "table"])
def test_ensemble_round_trips(kind, tmp_path):
    X = np.random.default_rng(0).normal(size=(40, 3))
    y = {"sigmoid": X[:, 0] > 0, "softmax": np.digitize(X[:, 0], [-0.5, 0.5])}.get(kind, X[:, 0])
    if kind == "table":
        model = bp.TabularRegressor(n_members=3, max_iter=2, hidden_layer_sizes=(4,)).fit(X, y)
        X, given = model.preprocessor_.transform(pd.DataFrame(X, columns=["x0", "x1", "x2"])), model.network_
    elif kind == "of two depths":
        networks = (
            bp.MLPRegressor(hidden_layer_sizes=sizes, activation=name, **BRIEF)
            for sizes, name in (((4,), "relu"), ((4, 3), "silu"))
        )
        model = given = merge_ensembles([MLPEnsembleRegressor(each, 2).fit(X, y) for each in networks])
    elif kind == "numbers":
        model = given = MLPEnsembleRegressor(bp.MLPRegressor(hidden_layer_sizes=(4,), **BRIEF)).fit(X, y)
    else:
        model = given = MLPEnsembleClassifier(bp.MLPClassifier((4,), **BRIEF)).fit(X, y)
        assert model.temperature_ != 1
    bp.export.save_weights(model, tmp_path / "e.safetensors")
    names = load_file(tmp_path / "e.safetensors")
    assert len(names) == sum(2 * len(member.coefs_) for member in given.members_)
    assert names["members.1.layers.0.W"].shape[0] == 4
    P = bp.export.load_ensemble(tmp_path / "e.safetensors").predict(X.T)
    if kind == "softmax":
        np.testing.assert_allclose(P.T, model.predict_proba(X), rtol=1e-5)
    else:
        wanted = given.predict_proba(X)[:, 1] if kind == "sigmoid" else given.predict(X)
        np.testing.assert_allclose(P[0], wanted, rtol=1e-5, atol=1e-6)
    with pytest.raises(
        ModelError, match=r"e.safetensors holds \d networks .*: read it with bp.export.load_e"
    ):
        bp.export.load_weights(tmp_path / "e.safetensors")


def test_one_network_is_an_ensemble_of_one(tmp_path):
    net = bp.Network.create([4, 3, 2], random_state=0)
    bp.export.save_weights(net, tmp_path / "net.safetensors")
    B = np.random.default_rng(0).normal(size=(4, 5))
    np.testing.assert_array_equal(
        bp.export.load_ensemble(tmp_path / "net.safetensors").predict(B), predict(net, B)
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_members": 3}, "its arrays are to be members.0.layers.0.W"),
        ({"n_members": 10**12}, "it names 1000000000000 networks, and holds 8 arrays"),
        ({"n_members": 0}, "its ensemble is"),
        ({"n_members": True}, "its ensemble is"),
        ({"temperature": 0.0}, "its ensemble is"),
        ({"temperature": float("nan")}, "its ensemble is"),
        ({"temperature": "1"}, "its ensemble is"),
        ({"more": 1}, "lacks the entry"),
        ({"sizes": (4, 3, 3)}, "its networks differ in the number of their inputs or outputs"),
        ({"activations": [["tanh"]]}, "it holds 2 networks, and the activations of 1"),
        ({"activations": [["tanh"], ["tan"]]}, "its activations are"),
        ({"activations": [["tanh"], []]}, "activation=.* has 0 entries for 1"),
    ],
)
def test_ensembles_that_batchprop_did_not_write_are_refused(changes, message, tmp_path):
    about = {"n_members": 2, "temperature": 1.5, **changes}
    each = arrays(), arrays(about.pop("sizes", (4, 3, 2)))
    tensors = {f"members.{i}.{name}": array for i in (0, 1) for name, array in each[i].items()}
    with pytest.raises(ModelError, match=message):
        bp.export.load_ensemble(crafted(tmp_path / "e.safetensors", tensors, **about))


def test_jax_arrays_are_saved(tmp_path):
    import jax.numpy as jnp

    net = bp.Network.create([2, 3, 1], random_state=0)
    layers = tuple(bp.Layer(jnp.asarray(layer.W), jnp.asarray(layer.b)) for layer in net.layers)
    bp.export.save_weights(net.replace_layers(layers), tmp_path / "net.safetensors")
    same(bp.export.load_weights(tmp_path / "net.safetensors"), net)


# ---- errors on saving


OWN = Activation("tanh", np.sin, np.cos)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (bp.Network.create([2, 3, 1], activation=OWN, random_state=0), "a custom function"),
        (bp.Network.create([2, 1], head=bp.heads.huber(2.0)), "the head 'huber' of this network"),
        (bp.Network.create([2, 4], head=bp.heads.softmax_groups([2, 2])), "the head 'softmax_groups'"),
        ({"W": 1}, "dict: its weights cannot be exported; give a Network"),
        (bp.Network.from_weights([(np.full((1, 1), 1e9), np.ones(1))]).replace_layers(
            (bp.Layer(np.full((1, 1), np.inf), np.ones(1)),)), "not finite"),
    ],
)  # fmt: skip
def test_invalid_network_is_refused_before_writing(model, message, tmp_path):
    with pytest.raises(ParameterError, match=message):
        bp.export.save_weights(model, tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())


# ---- errors on loading


def without(name):
    return {key: array for key, array in arrays().items() if key != name}


def with_one(name, array):
    return {**arrays(), name: array}


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({}, "layers.0.W, layers.0.b"),
        (without("layers.1.b"), r"look at \['layers.1.b'\]"),
        (without("layers.0.W"), r"look at \['layers.0.W'\]"),
        (with_one("layers.7.W", np.ones((2, 2), "float32")), "look at"),
        (with_one("other", np.ones(1, "float32")), "look at"),
        (with_one("layers.1.W", np.ones((2, 4), "float32")), r"weights\[1\] has W \(2, 4\)"),
        (with_one("layers.0.b", np.ones(4, "float32")), r"weights\[0\] has W \(3, 4\) and b \(4,\)"),
        (with_one("layers.0.W", np.ones((3, 4, 1), "float32")), r"weights\[0\] has W \(3, 4, 1\)"),
        (with_one("layers.0.W", np.ones((3, 0), "float32")), r"weights\[0\] has W \(3, 0\)"),
        (with_one("layers.0.W", np.ones((3, 4), "int64")), "'layers.0.W' is of type I64"),
        (with_one("layers.0.W", np.ones((3, 4), "float16")), "'layers.0.W' is of type F16"),
        (with_one("layers.0.W", np.full((3, 4), np.nan, "float32")), "not finite"),
        (with_one("layers.1.b", np.array([1, np.inf], "float32")), "not finite"),
    ],
)
def test_invalid_arrays_are_refused(tensors, message, tmp_path):
    with pytest.raises(ModelError, match=message):
        bp.export.load_weights(crafted(tmp_path / "net.safetensors", tensors))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"about": "pickle"}, "not JSON"),
        ({"about": "[" * 20_000}, "not JSON"),
        ({"about": "null"}, "lacks the entry"),
        ({"more": 1}, "lacks the entry"),
        ({"format": 2}, "format '2'"),
        ({"activations": "tanh"}, "its activations"),
        ({"activations": ["tan"]}, "its activations"),
        ({"activations": [["tanh"]]}, "its activations"),
        ({"activations": []}, "activation=.* has 0 entries for 1"),
        ({"head": "softmax"}, "its head"),
        ({"head": {"name": "os.system"}}, "its head"),
        ({"head": {"name": ["softmax"]}}, "its head"),
        ({"head": {"name": "huber", "delta": "1"}}, "settings"),
        ({"head": {"name": "huber", "delta": True}}, "settings"),
        ({"head": {"name": "huber", "delta": -1}}, "huber delta=-1"),
        ({"head": {"name": "huber", "delta": float("nan")}}, "huber delta=nan"),
        ({"head": {"name": "quantile", "q": 2}}, "quantile=2"),
        ({"head": {"name": "quantiles", "levels": [0.9, 0.1]}}, "quantiles=.* ascending"),
        ({"head": {"name": "quantiles", "levels": [0.1]}}, "2 numbers are expected"),
        ({"head": {"name": "quantiles"}}, "levels None"),
        ({"head": {"name": "softmax", "label_smoothing": 3.0}}, "label_smoothing=3.0"),
        ({"head": {"name": "softmax", "sizes": [1, 1]}}, "settings"),
        ({"head": {"name": "poisson", "delta": 1}}, "settings"),
        ({"head": {"name": "softmax_groups"}}, "sizes None"),
        ({"head": {"name": "softmax_groups", "sizes": [1, 2]}}, "add up to 2"),
        ({"head": {"name": "softmax_groups", "sizes": [3, -1]}}, "add up to 2"),
        ({"head": {"name": "softmax_groups", "sizes": [1.0, 1.0]}}, "add up to 2"),
    ],
)
def test_invalid_metadata_is_refused(changes, message, tmp_path):
    with pytest.raises(ModelError, match=message):
        bp.export.load_weights(crafted(tmp_path / "net.safetensors", **changes))


def tensor(shape, offsets, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    "header",
    [
        {"layers.0.W": tensor([1 << 40, 1 << 20], [0, 8])},
        {"layers.0.W": tensor([1 << 62, 4], [0, 0])},
        {"layers.0.W": tensor([1, 2], [0, 1 << 60])},
        {"layers.0.W": tensor([1, 2], [8, 0])},
        {"layers.0.W": tensor([1, 2], [0, 8]), "layers.0.b": tensor([2], [0, 8])},
        {"layers.0.W": tensor([1, 2], [0, 8], "F31")},
        {"layers.0.W": tensor([-1, -2], [0, 8])},
        {"layers.0.W": 3},
        [],
        b"{" * 5000,
        b"\xff\xfe",
    ],
)
def test_inconsistent_headers_are_refused(header, tmp_path):
    with pytest.raises(ModelError, match=r"net\.safetensors holds no network that batchprop wrote"):
        bp.export.load_weights(raw(tmp_path / "net.safetensors", header, bytes(8)))


def test_invalid_file_is_refused(tmp_path):
    with pytest.raises(ModelError, match="No such file"):
        bp.export.load_weights(tmp_path / "none.safetensors")
    with pytest.raises(ModelError, match="Is a directory"):
        bp.export.load_weights(tmp_path)
    empty = tmp_path / "empty.safetensors"
    empty.touch()
    with pytest.raises(ModelError, match="holds no network"):
        bp.export.load_weights(empty)


def test_too_long_header_is_not_read(tmp_path):
    file = tmp_path / "net.safetensors"
    file.write_bytes((1 << 62).to_bytes(8, "little") + b"{}")
    with pytest.raises(ModelError, match="a header of 4,611,686,018,427,387,904 bytes"):
        bp.export.load_weights(file)


@given(cut=st.integers(0, 700), flipped=st.integers(0, 700), by=st.integers(1, 255))
def test_truncated_and_bit_flipped_files_are_refused(cut, flipped, by, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    whole = crafted(folder / "net.safetensors").read_bytes()
    truncated = folder / "truncated.safetensors"
    truncated.write_bytes(whole[: min(cut, len(whole) - 1)])
    with pytest.raises(ModelError):
        bp.export.load_weights(truncated)
    changed = bytearray(whole)
    changed[flipped % len(whole)] ^= by
    damaged = folder / "damaged.safetensors"
    damaged.write_bytes(changed)
    # A flipped weight bit is detected only if the weight becomes nonfinite.
    with suppress(ModelError):
        assert bp.export.load_weights(damaged).sizes[-1] == 2


LITTLE = """
import resource, sys
import batchprop as bp, batchprop.export, safetensors.numpy
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), used + (64 << 20)))
try:
    bp.export.load_weights(sys.argv[1])
except bp.errors.ModelError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="bounds the memory as Linux does")
def test_huge_declared_shape_allocates_no_memory(tmp_path):
    header = {"layers.0.W": tensor([1 << 20, 1 << 20], [0, 1 << 42])}
    file = raw(tmp_path / "net.safetensors", header, bytes(64))
    done = subprocess.run(
        [sys.executable, "-c", LITTLE, str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "holds no network that batchprop wrote" in done.stdout
