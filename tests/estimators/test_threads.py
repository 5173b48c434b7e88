"""BLAS threads: a small fit takes one, a parallel loop shares the cores, and afterwards all is as before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from joblib import Parallel, delayed
from threadpoolctl import ThreadpoolController, threadpool_limits

import batchprop as bp
from batchprop.engines.numpy import NumpyEngine
from batchprop.estimators.threads import limit_blas_threads, use_single_thread

X = np.random.default_rng(0).normal(size=(40, 3))
y = (X[:, 0] > 0).astype(int)
WIDE = (784, 256, 10)


def blas_threads() -> set[int]:
    """How many threads each BLAS library would use now."""
    return {pool["num_threads"] for pool in ThreadpoolController().info() if pool["user_api"] == "blas"}


def seen_in_a_fit(**settings: Any) -> set[int]:
    """BLAS threads in the middle of a fit."""
    seen: set[int] = set()
    callbacks = [lambda _: seen.update(blas_threads())]
    bp.MLPClassifier(max_iter=1, tol=1e-9, callbacks=callbacks, **settings).fit(X, y)
    return seen


@pytest.fixture(autouse=True)
def two_threads() -> Any:
    """Two, whatever the machine."""
    with threadpool_limits(limits=2, user_api="blas"):
        yield


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_small_fit_takes_one_thread_and_gives_the_others_back(solver: str) -> None:
    assert seen_in_a_fit(solver=solver, engine="numpy") == {1}
    assert blas_threads() == {2}


def test_an_error_gives_them_back_too() -> None:
    with pytest.raises(ZeroDivisionError), limit_blas_threads(NumpyEngine(), (3, 2), 10):
        raise ZeroDivisionError
    assert blas_threads() == {2}


def test_a_large_product_keeps_them() -> None:
    with limit_blas_threads(NumpyEngine(), WIDE, 128):
        assert blas_threads() == {2}


def test_in_a_parallel_loop_of_threads_even_a_large_product_takes_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    enough = Parallel(n_jobs=2, backend="threading")(delayed(use_single_thread)(WIDE, 128) for _ in range(2))
    assert enough == [True, True]
    # joblib's own worker processes are told their part of the cores, which then counts.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    told = Parallel(n_jobs=2, backend="threading")(delayed(use_single_thread)(WIDE, 128) for _ in range(2))
    assert told == [False, False]
