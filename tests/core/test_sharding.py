"""The engine over a mesh of processes, here of one: its programs and collectives, beside the plain ones.

What several processes give is in tests/distributed.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from batchprop import Network, optimizers
from batchprop.batches import (
    Dataset,
    EpochBatches,
    RaggedBatches,
    SharedBatches,
    batch_sizes,
    flat_rows,
    minibatches,
    share_batches,
)
from batchprop.engines.jax import JaxEngine, _even_bounds, _join_parts
from batchprop.engines.padding import share_capacity
from batchprop.engines.sharding import ProcessMesh
from batchprop.estimators.monitors import squared_norms, squared_update_norms
from batchprop.objective import Objective
from batchprop.processes import Processes, Share, current, set_current
from batchprop.training import EpochResult, MetricFns, TrainConfig, init_state

N = 50


@pytest.fixture(scope="module")
def mesh() -> ProcessMesh:
    return ProcessMesh(jax.local_devices(backend="cpu")[:1])


def dataset(*, weighted: bool) -> Dataset:
    """Rows of two inputs and one output."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, 2))
    return Dataset(X, X[:, :1] - X[:, 1:], rng.integers(0, 3, N).astype(float) if weighted else None)


def run(config: TrainConfig, data: Dataset, batches: EpochBatches, mesh: ProcessMesh | None) -> EpochResult:
    """An epoch, for a mesh of batches that the processes share."""
    if mesh is not None:
        batches = share_batches(batches, Share((0, N), 0))
    engine = JaxEngine("cpu", seed=0, capacity=8, mesh=mesh)
    return engine.run_batches(config, init_state(config), data, batches, [0.1] * len(batches))


@pytest.mark.parametrize(("batch_size", "weighted"), [(8, True), (40, False)])
def test_mesh_trains_as_one_process(mesh: ProcessMesh, batch_size: int, weighted: bool) -> None:
    net = Network.create([2, 3, 1], head="squared_error", random_state=0, dtype="float64")
    metrics = MetricFns(squared_norms, squared_update_norms) if batch_size == 8 else MetricFns()
    config = TrainConfig(net, optimizers.adam(), Objective(alpha=0.1, dropout=(0.2,)), metrics)
    batches = next(minibatches(N, batch_size, np.random.RandomState(0)))
    data = dataset(weighted=weighted)
    expected, actual = (run(config, data, batches, each) for each in (None, mesh))
    # A batch of 40 has several microbatches for a mesh, whose masks are others.
    if batch_size == 8:
        assert_allclose(actual.losses, expected.losses)
        for one, other in zip(actual.layers, expected.layers, strict=True):
            assert_allclose(one.W, other.W)
        for one_metric, other_metric in zip(actual.metrics, expected.metrics, strict=True):
            assert_allclose(np.asarray(one_metric), np.asarray(other_metric))
    assert actual.finite
    assert len(actual.losses) == len(batches)


@pytest.mark.parametrize("weighted", [False, True])
def test_mesh_gives_the_gradient_and_outputs_of_one_process(mesh: ProcessMesh, weighted: bool) -> None:
    net = Network.create([2, 3, 1], head="squared_error", random_state=0, dtype="float64")
    data, rows = dataset(weighted=weighted), np.arange(N)
    calls: list[Any] = [
        JaxEngine("cpu", mesh=each).value_and_gradient(net, data, rows, Objective(alpha=0.1))
        for each in (None, mesh)
    ]
    for one, other in zip(*map(jax.tree.leaves, calls), strict=True):
        assert_allclose(one, other)


def test_collectives_of_one_process(mesh: ProcessMesh) -> None:
    own = np.arange(3)
    assert_array_equal(mesh.gather(own), own[None])
    assert_array_equal(mesh.sum(own), own)
    assert_array_equal(mesh.largest(own), own)
    assert_array_equal(_join_parts(mesh, [3], own), own)
    assert {mesh, ProcessMesh([mesh.device])} == {mesh}
    assert mesh.waits == 0


def test_rows_are_dealt_out_evenly() -> None:
    assert [len(part) for part in _even_bounds(10, 4)] == [2, 3, 2, 3]
    assert _even_bounds(3, 4) == [range(3)]
    assert share_capacity(1000, 0.5) % 8 == 0
    assert share_capacity(16, 0.5) == 16


def test_shared_batches_are_sequences() -> None:
    shared = share_batches([np.array([4, 0]), np.array([3]), np.array([1, 2])], Share((0, 2, 5), 1))
    part = shared[1:]
    assert isinstance(part, SharedBatches)
    assert isinstance(part.own, RaggedBatches)
    assert_array_equal(flat_rows(part), [3, 1, 2])
    assert_array_equal(batch_sizes(part), [1, 2])
    assert_array_equal(part[0], [3])
    assert_array_equal(part.own[-1], [0])


def test_one_process_alone_needs_nobody() -> None:
    processes = Processes()
    assert processes.broadcast({"a": 1}) == {"a": 1}
    assert processes.gather(3) == [3]
    assert processes.largest([1, 2]) == [1, 2]
    assert processes.share(5) == Share((0, 5), 0)
    assert processes.own_part(5) == slice(0, 5)
    assert processes.agree(flag=True)
    with pytest.raises(KeyError):
        processes.agree(flag=False, error=KeyError())
    set_current(processes)
    assert current() is processes
    set_current(None)
    assert current().count == 1
