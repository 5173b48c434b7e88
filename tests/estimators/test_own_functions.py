"""Custom functions and user settings on the compiled engine: they work, or the error says why not."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

import batchprop as bp
from batchprop import optimizers
from batchprop.activations import Activation
from batchprop.arrays import namespace
from batchprop.batches import Dataset
from batchprop.engines import auto
from batchprop.engines.devices import get_device
from batchprop.engines.jax import JaxEngine
from batchprop.errors import ParameterError
from batchprop.network import Network
from batchprop.objective import Objective
from batchprop.training import TrainConfig, init_state

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).normal(size=(400, 3)).astype("float32")
y = (X[:, 0] > 0).astype(int)
IN_NUMPY = Activation("sine", np.sin, np.cos)
ANYWHERE = Activation("sine", lambda Z: namespace(Z).sin(Z), lambda Z: namespace(Z).cos(Z))


def classifier(**settings: Any) -> bp.MLPClassifier:
    return bp.MLPClassifier((4,), random_state=0, max_iter=5, **settings)


@pytest.mark.untraced
def test_custom_activation_runs_on_numpy_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "WORTH_COMPILING", 0.0)
    assert classifier().fit(X, y).engine_ == "jax"
    clf = classifier(activation=IN_NUMPY).fit(X, y)
    assert clf.engine_ == "numpy"
    assert clf.predict(X).shape == (400,)


@pytest.mark.untraced
def test_array_api_activation_is_compiled_with_engine_jax() -> None:
    compiled, plain = (
        classifier(activation=ANYWHERE, engine=engine).fit(X, y) for engine in ("jax", "numpy")
    )
    np.testing.assert_allclose(compiled.loss_curve_, plain.loss_curve_, rtol=1e-5)


@pytest.mark.parametrize(
    "function",
    [np.sin, lambda Z: np.where(Z > 0, Z, 0.0), lambda Z: Z if Z.sum() > 0 else -Z],
    ids=["a ufunc", "where", "if"],
)
def test_uncompilable_activation_is_refused(function: Any) -> None:
    own = Activation("own", function, function)
    with pytest.raises(
        ParameterError, match=r"of your own cannot be compiled \(.*arrays\.namespace\(Z\).*engine='numpy'"
    ):
        classifier(activation=own, engine="jax").fit(X, y)


class Named(NamedTuple):
    """An optimiser with a non-numeric field."""

    name: str
    init: Any = optimizers.sgd().init
    update: Any = optimizers.sgd().update


def test_optimiser_with_a_nonnumeric_field_is_refused() -> None:
    net = Network.create([3, 1], head="squared_error", random_state=0)
    recipe, table = TrainConfig(net, Named("slow"), Objective()), Dataset(X, X[:, :1])
    with pytest.raises(ParameterError, match=r"Named\(name='slow'.* is no named tuple of numbers"):
        JaxEngine().run_batches(recipe, init_state(recipe), table, [np.arange(4)], [0.1])
    assert optimizers.sgd() == optimizers.SGD()


FORKS = """
import multiprocessing, sys, warnings
import jax, numpy as np
import batchprop as bp
from batchprop import MLPClassifier  # once for both children

def fitted(engine):
    model = MLPClassifier((300,), max_iter=int(1e9), n_iter_no_change=1, tol=1e9, engine=engine)
    warnings.simplefilter("error")
    try:
        model.fit(np.eye(40), np.arange(40) % 2)
    except (bp.errors.BatchpropError, UserWarning) as error:
        print(type(error).__name__, error, flush=True)

jax.jit(lambda x: x + 1)(1.0)
warnings.simplefilter("ignore")  # of JAX, which knows that nothing good comes of this
for engine in ("jax", "auto"):
    child = multiprocessing.get_context("fork").Process(target=fitted, args=(engine,))
    child.start()
    child.join()
"""


@pytest.mark.untraced
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_forked_process_raises_instead_of_deadlocking() -> None:
    run = subprocess.run(
        [sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=300, check=True
    )
    refused, warned = run.stdout.splitlines()
    assert refused.startswith("BatchpropError JAX does not work in a process forked from one that has it")
    assert warned.startswith("UserWarning this process was forked from one that uses JAX")


def test_default_device_of_jax_is_used() -> None:
    with jax.default_device(jax.devices("cpu")[0]):
        assert get_device(None) is jax.devices("cpu")[0]


def test_jax_guards_set_by_the_user_do_not_affect_fit() -> None:
    before = classifier(engine="jax", dropout=0.5).fit(X, y).loss_curve_
    with jax.numpy_rank_promotion("raise"), jax.transfer_guard("disallow"):
        assert classifier(engine="jax", dropout=0.5).fit(X, y).loss_curve_ == before
