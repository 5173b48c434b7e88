"""Errors of the JAX engine before it starts: a forked process, and functions without a stable key."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from batchprop import optimizers
from batchprop.activations import Activation
from batchprop.batches import Dataset
from batchprop.engines import forking
from batchprop.engines.jax import JaxEngine
from batchprop.errors import BatchpropError, ParameterError
from batchprop.network import Network
from batchprop.objective import Objective
from batchprop.training import TrainConfig, init_state

NET = Network.create([2, 3, 1], head="squared_error", random_state=0)
TABLE = Dataset(np.ones((4, 2), "float32"), np.ones((4, 1), "float32"))


@dataclass
class Scaled:
    """An unhashable function object, since it may change."""

    factor: float

    def __call__(self, Z: np.ndarray) -> np.ndarray:
        return self.factor * Z


@pytest.mark.parametrize(("backends", "refused"), [({"cpu": object()}, True), ({}, False), (None, False)])
def test_process_forked_after_using_jax_is_refused(
    backends: object, monkeypatch: pytest.MonkeyPatch, *, refused: bool
) -> None:
    monkeypatch.setattr(forking, "_forked", [False])
    monkeypatch.setitem(sys.modules, "jax._src.xla_bridge", SimpleNamespace(_backends=backends))
    forking._after_fork()
    assert forking.is_forked_from_jax() == refused
    if refused:
        with pytest.raises(BatchpropError, match=r"forked from one that has it: .* 'loky' or 'threading'"):
            JaxEngine()


def test_functions_without_a_stable_key_are_refused() -> None:
    own = Network(NET.layers, (Activation("own", Scaled(2.0), Scaled(0.0)),), NET.head)
    recipe = TrainConfig(own, optimizers.sgd(), Objective())
    with pytest.raises(ParameterError, match=r"is not hashable .*: make it of functions"):
        JaxEngine().run_batches(recipe, init_state(recipe), TABLE, [np.arange(4)], [0.1])
