"""The JAX engine without training steps: a loss and its gradient, and functions of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse

from batchprop.backprop import logits, output_and_losses, predict
from batchprop.batches import Dataset
from batchprop.engines import jax as jax_engine
from batchprop.engines import padding
from batchprop.engines.jax import JaxEngine
from batchprop.engines.numpy import NumpyEngine
from batchprop.errors import ParameterError
from batchprop.network import Network
from batchprop.objective import Objective
from tests.core.comparisons import close, in_dtype, leaves
from tests.core.problems import HEAD_MAKERS, SHAPES, Shape, problem

CASE = problem("one per layer", "softmax", max(SHAPES, key=lambda shape: len(shape.sizes)))
N = len(CASE.weights)
TABLE = Dataset(CASE.B.T, CASE.Y.T, CASE.weights)
WITHIN = {"float32": 1e-5, "float64": 1e-11}


def small(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Microbatches of so many rows, one per chunk."""
    monkeypatch.setattr(padding, "MICROBATCH_SIZE", size)
    monkeypatch.setattr(jax_engine, "MICROBATCH_SIZE", size)
    monkeypatch.setattr(padding, "CHUNK_BYTES", 1)


def same_gradient(
    table: Dataset, rows: Any, objective: Objective, dtype: str = "float64", *, resident: bool = False
) -> None:
    net = CASE.net.replace_layers(in_dtype(CASE.net.layers, dtype))
    ours, theirs = (
        engine.value_and_gradient(net, table, rows, objective)
        for engine in (JaxEngine(resident=resident), NumpyEngine())
    )
    assert_allclose(ours.loss, theirs.loss, rtol=WITHIN[dtype])
    close(ours.gradient, theirs.gradient, rtol=WITHIN[dtype], atol=WITHIN[dtype])
    for leaf in leaves(ours.gradient):
        assert type(leaf) is np.ndarray
        assert leaf.dtype == dtype


ROWS = {
    "all": np.arange(N),
    "one": np.array([3]),
    "some, one twice": np.array([4, 1, 1, 6, 0]),
    "none": np.arange(0),
}


@pytest.mark.untraced
@pytest.mark.parametrize("resident", [False, True])
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("size", [4096, 2])
def test_loss_and_gradient_match_numpy(
    size: int, rows: str, resident: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch, size)
    for table in (TABLE, TABLE._replace(weights=None), TABLE._replace(weights=np.zeros(N))):
        same_gradient(table, ROWS[rows], Objective(alpha=0.7, loss_scale=0.5), resident=resident)


@pytest.mark.parametrize("size", [4096, 2])
@pytest.mark.parametrize("resident", [False, True])
def test_loss_of_sparse_rows_matches_dense_rows(
    size: int, resident: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch, size)
    thin = TABLE._replace(X=sparse.csr_array(TABLE.X))
    same_gradient(thin, np.array([4, 1, 1]), Objective(0.1), resident=resident)


def test_loss_in_float32() -> None:
    table = Dataset(*(np.asarray(part, "float32") for part in TABLE))
    same_gradient(table, np.arange(N), Objective(alpha=0.7), "float32")


# ---- functions of rows

TALL = Shape((3, 4, 5), 7)


def rows_of(net: Network, n: int, dtype: str) -> tuple[Any, Any]:
    rng = np.random.default_rng(n)
    n_out = net.sizes[-1]
    return rng.normal(size=(n, net.sizes[0])).astype(dtype), rng.dirichlet(np.ones(n_out), n).astype(dtype)


@pytest.mark.untraced
@pytest.mark.parametrize("dtype", WITHIN)
@pytest.mark.parametrize("n", [1, 2, 5, 8, 9, 17])
def test_functions_of_rows_match_numpy(n: int, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 8 rows: one row, a padded chunk, a full one, one row more, and a third chunk."""
    small(monkeypatch, 8)
    net = CASE.net.replace_layers(in_dtype(CASE.net.layers, dtype))
    X, Y = rows_of(net, n, dtype)
    for function, matrices in ((predict, (X,)), (logits, (X,)), (output_and_losses, (X, Y))):
        ours, theirs = (engine.map_rows(function, net, *matrices) for engine in (JaxEngine(), NumpyEngine()))
        same_rows(ours, theirs, n, dtype)


def same_rows(ours: Any, theirs: Any, n: int, dtype: str) -> None:
    assert isinstance(ours, tuple) == isinstance(theirs, tuple)
    pairs = zip(ours, theirs, strict=True) if isinstance(ours, tuple) else [(ours, theirs)]
    for mine, numpys in pairs:
        assert type(mine) is np.ndarray
        assert mine.shape == numpys.shape
        assert len(mine) == n
        assert mine.dtype == numpys.dtype == dtype
        assert mine.flags.writeable
        assert_allclose(mine, numpys, rtol=WITHIN[dtype], atol=WITHIN[dtype])


@pytest.mark.parametrize("head", HEAD_MAKERS)
def test_predictions_of_every_head_match_numpy(head: str) -> None:
    case = problem("tanh", head, TALL)
    ours, theirs = (
        engine.map_rows(output_and_losses, case.net, case.B.T, case.Y.T)
        for engine in (JaxEngine(), NumpyEngine())
    )
    same_rows(ours, theirs, 7, "float64")


@pytest.mark.parametrize("n", [1, 9])
def test_functions_of_sparse_rows_match_dense_rows(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, 8)
    X, _ = rows_of(CASE.net, n, "float64")
    thin = sparse.csr_array(np.where(X > 0, X, 0))
    ours, theirs = (engine.map_rows(predict, CASE.net, thin) for engine in (JaxEngine(), NumpyEngine()))
    same_rows(ours, theirs, n, "float64")


def test_network_trained_with_jax_predicts_in_numpy() -> None:
    net = CASE.net.replace_layers(CASE.net.layers)
    X, _ = rows_of(net, 5, "float64")
    ran = JaxEngine().map_rows(predict, net, X)
    assert_allclose(NumpyEngine().map_rows(predict, net, X), ran, rtol=1e-11)


# ---- devices


def test_device_is_selected_by_name() -> None:
    engine = JaxEngine("cpu")
    assert (engine.name, engine.device.platform) == ("jax", "cpu")


@pytest.mark.parametrize("name", ["abacus", "tpu"])
def test_missing_device_is_refused(name: str) -> None:
    with pytest.raises(
        ParameterError, match=rf"device='{name}' is not there: JAX has 'cpu'.* on this machine"
    ):
        JaxEngine(name)


def test_unknown_precision_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"'float8'.*float32.*tensorfloat32.*bfloat16"):
        JaxEngine(precision="float8")
