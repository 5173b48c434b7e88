"""The programs that a process keeps: a bounded number, so that fits of any number of shapes go on."""

from __future__ import annotations

import gc
import threading
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jax.extend.core import ClosedJaxpr

from batchprop import optimizers
from batchprop.backprop import predict
from batchprop.batches import Dataset
from batchprop.engines import programs
from batchprop.engines.jax import JaxEngine
from batchprop.engines.programs import ProgramCache, compile_by_shape
from batchprop.network import Network
from batchprop.objective import Objective
from batchprop.training import TrainConfig, init_state
from tests.core.test_jax_compilations import compiled  # noqa: F401

WIDTHS = count(401)
"""A width that no other program of this process has."""

MAPS = Path("/proc/self/maps")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> ProgramCache:
    """A cache of this test's own, of four programs."""
    cache = ProgramCache()
    monkeypatch.setattr(programs, "PROGRAMS", cache)
    monkeypatch.setattr(programs, "MAX_PROGRAMS", 4)
    return cache


def train(width: int) -> float:
    """Take a step, ask for a single gradient and predict: three programs."""
    net, engine = Network.create([width, 2], random_state=0), JaxEngine()
    table = Dataset(np.ones((4, width), "float32"), np.eye(2, dtype="float32")[[0, 1, 0, 1]])
    config = TrainConfig(net, optimizers.sgd(), Objective())
    loss = engine.run_batches(config, init_state(config), table, [np.arange(4)], [0.1]).losses[0]
    assert engine.value_and_gradient(net, table, np.arange(4), Objective()).loss == pytest.approx(loss)
    assert engine.map_rows(predict, net, table.X).shape == (4, 2)
    return float(loss)


@pytest.mark.untraced
@pytest.mark.skipif(not MAPS.exists(), reason="the system lists no memory maps")
def test_maps_and_traces_stay_flat_over_many_shapes(
    alone: ProgramCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "MAX_TRACED", 9)  # once in three shapes
    maps, traces = [], []
    for _ in range(6):
        train(next(WIDTHS))
        gc.collect()
        maps.append(MAPS.read_bytes().count(b"\n"))
        traces.append(sum(isinstance(thing, ClosedJaxpr) for thing in gc.get_objects()))
        assert len(alone) <= 4
    # Six shapes of three programs; one alone takes more than this in maps.
    assert max(maps[3:]) - maps[2] < 100, maps
    # The last program of the third shape, and of the third one after it, is the first after the clearing.
    assert traces[2::3] == [traces[2]] * 2 < [traces[1]] * 2, traces


def test_the_least_recently_used_program_is_dropped(compiled: list[str]) -> None:  # noqa: F811
    double = compile_by_shape(lambda scale, x: scale * x)
    for n in (1, 2, 3, 4, 1, 5):
        assert double(2, np.ones(n)).tolist() == [2.0] * n
    del compiled[:]
    double(2, np.ones(1))
    assert compiled == []
    double(2, np.ones(2))  # dropped for 5
    assert len(compiled) == 1


@pytest.mark.untraced
def test_a_dropped_program_gives_the_same_numbers_again(compiled: list[str]) -> None:  # noqa: F811
    width = next(WIDTHS)
    first = train(width)
    train(next(WIDTHS))
    train(next(WIDTHS))
    del compiled[:]
    assert train(width) == first
    assert compiled == ["jit(_run)", "jit(accumulate)", "jit(map_rows)"]


def test_static_arguments_types_and_structure_have_programs_of_their_own(alone: ProgramCache) -> None:
    add = compile_by_shape(lambda name, tree: (name, sum(tree))[1])
    assert add("a", (1, 2)) == add("b", (1, 2)) == add("a", (1.5, 1.5)) == add("a", (np.float32(3),)) == 3
    assert len(alone) == 4
    assert add("a", (2, 1)) == 3
    assert len(alone) == 4


def test_all_programs_go_when_maps_run_out_but_not_at_every_new_one(
    alone: ProgramCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, kept = compile_by_shape(lambda static, x: x + static), []
    monkeypatch.setattr(programs, "MAX_MAPS_SHARE", -1.0)
    for n in range(1, 10):
        one(1, np.ones(n))
        kept.append(len(alone))
    assert kept == [1, 2, 3, 1, 2, 3, 4, 1, 2]


def test_without_a_list_of_maps_the_number_alone_counts(
    alone: ProgramCache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(programs, "_MAPS", tmp_path / "none")
    one = compile_by_shape(lambda static, x: x + static)
    for n in range(1, 9):
        one(1, np.ones(n))
    assert len(alone) == 4
    alone.clear()
    assert len(alone) == 0


@pytest.mark.untraced
def test_threads_share_the_programs(alone: ProgramCache) -> None:
    one, failures = compile_by_shape(lambda static, x: (x * static).sum()), list[Any]()

    def work(seed: int) -> None:
        try:
            for n in np.random.default_rng(seed).integers(1, 8, size=20):
                assert one(3, np.ones(n)) == 3 * n
        except Exception as error:  # noqa: BLE001  (a thread's error would end with the thread)
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(alone) <= 4
