"""scikit-learn's own tests of its MLPs, run with our classes in place of its own."""

from __future__ import annotations

import importlib.util
import signal
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sklearn import neural_network

import batchprop as bp
from batchprop.batches import Dataset
from batchprop.engines.numpy import NumpyEngine
from batchprop.errors import InputError
from batchprop.estimators.lbfgs import _unpacker, pack

# As scikit-learn runs them: a fit that is cut short need not be silent.
pytestmark = pytest.mark.filterwarnings("default")

NAMES = ("MLPClassifier", "MLPRegressor")

PRIVATE = {
    "test_learning_rate_warmstart": "reads the private `_optimizer`",
    "test_adaptive_learning_rate": "reads the private `_optimizer`",
    "test_fit": "sets what scikit-learn's first fit sets, `_coef_grads` and all",
}
"""The tests of what is private in scikit-learn and has no counterpart here."""

ONE_CLASS = "test_preserve_feature_names[MLPClassifier]"
"""Its target holds one class, which ours refuses with an error, as docs/scikit-learn.md says."""

FOLLOW_X = ("test_mlp_param_dtypes", "test_partial_fit_regression")
"""They ask for weights of X's dtype, or for more digits than float32 has: ours do so with dtype=None."""

SECONDS = 60
"""The longest that a test may take."""


def copy_with_our_classes() -> ModuleType:
    """Import the module anew while scikit-learn's names are ours: its lists of parameters hold them."""
    spec = importlib.util.find_spec("sklearn.neural_network.tests.test_mlp")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        for name in NAMES:
            patch.setattr(neural_network, name, getattr(bp, name))
        spec.loader.exec_module(module)
    return module


COPY = copy_with_our_classes()


def with_reason(name: str, test: Any) -> Any:
    """A test of the copy, skipped if it is private."""
    return pytest.mark.skip(f"it {PRIVATE[name]}")(test) if name in PRIVATE else test


# pytest collects what a module holds, with its parameters and marks.
globals().update({name: with_reason(name, test) for name, test in vars(COPY).items() if name[:5] == "test_"})


def test_the_copy_holds_our_classes() -> None:
    assert all(getattr(COPY, name) is getattr(bp, name) for name in NAMES)
    assert set(PRIVATE) <= set(vars(COPY))
    assert sum(name.startswith("test_") for name in vars(COPY)) > 35


@pytest.fixture
def global_random_seed() -> int:
    """The seed that scikit-learn uses unless asked for another."""
    return 42


@pytest.fixture(autouse=True)
def our_differences(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What differs on purpose."""
    if request.node.name == ONE_CLASS:
        request.applymarker(pytest.mark.xfail(raises=InputError, strict=True, reason="one class"))
    for kind in (bp.MLPClassifier, bp.MLPRegressor):
        if request.node.originalname in FOLLOW_X:
            defaults: Any = kind.__init__.__kwdefaults__
            monkeypatch.setitem(defaults, "dtype", None)
        # What scikit-learn's tests read under its private names, ours computes under others.
        monkeypatch.setattr(kind, "_no_improvement_count", property(no_improvement_count), raising=False)
        monkeypatch.setattr(kind, "_loss_grad_lbfgs", loss_and_gradient, raising=False)


def no_improvement_count(estimator: Any) -> int:
    """The epochs in a row without progress at the end of the fit."""
    return int(estimator._extra_state["n_no_improve"])


def loss_and_gradient(estimator: Any, theta: Any, X: Any, Y: Any, *_: Any) -> tuple[float, Any]:
    """The loss of L-BFGS and its gradient, where all parameters are one vector."""
    net = estimator._network(np.float64)
    rows, table = np.arange(len(X)), Dataset(X, Y.astype(float))
    objective = estimator._objective(len(net.activations))
    net = _unpacker(net)(theta.astype(float))
    loss, gradient = NumpyEngine().value_and_gradient(net, table, rows, objective)
    return float(loss), pack(gradient)


@pytest.fixture(autouse=True)
def bounded_in_time() -> Iterator[None]:
    """End a test that does not end by itself."""

    def give_up(*_: Any) -> None:
        raise TimeoutError(f"the test took longer than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
