"""BLAS threads: a small fit uses one, a parallel loop shares the cores, and limits are restored."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from joblib import Parallel, delayed
from threadpoolctl import ThreadpoolController, threadpool_limits

import batchprop as bp
from batchprop.engines.numpy import NumpyEngine
from batchprop.errors import CheckpointError
from batchprop.estimators.checkpoint_manager import warn_of_threads
from batchprop.estimators.checkpoints import CheckpointData
from batchprop.estimators.threads import count_blas_threads, limit_blas_threads, use_single_thread

X = np.random.default_rng(0).normal(size=(40, 3))
y = (X[:, 0] > 0).astype(int)
WIDE = (784, 256, 10)


def blas_threads() -> set[int]:
    """The current thread limit of each BLAS library."""
    return {pool["num_threads"] for pool in ThreadpoolController().info() if pool["user_api"] == "blas"}


def blas_threads_during_fit(**settings: Any) -> set[int]:
    """The BLAS thread limits during a fit."""
    seen: set[int] = set()
    callbacks = [lambda _: seen.update(blas_threads())]
    bp.MLPClassifier(max_iter=1, tol=1e-9, callbacks=callbacks, **settings).fit(X, y)
    return seen


@pytest.fixture(autouse=True)
def two_threads() -> Any:
    """Two threads on any machine."""
    with threadpool_limits(limits=2, user_api="blas"):
        yield


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_small_fit_uses_one_thread_and_restores_the_limit(solver: str) -> None:
    assert blas_threads_during_fit(solver=solver, engine="numpy") == {1}
    assert blas_threads() == {2}


def test_thread_limit_is_restored_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), limit_blas_threads(NumpyEngine(), (3, 2), 10):
        raise ZeroDivisionError
    assert blas_threads() == {2}


def test_large_products_use_all_threads() -> None:
    with limit_blas_threads(NumpyEngine(), WIDE, 128):
        assert blas_threads() == {2}


def test_large_product_in_a_parallel_thread_pool_uses_one_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    enough = Parallel(n_jobs=2, backend="threading")(delayed(use_single_thread)(WIDE, 128) for _ in range(2))
    assert enough == [True, True]
    # joblib's worker processes get their share of the cores by a variable, which takes precedence.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    told = Parallel(n_jobs=2, backend="threading")(delayed(use_single_thread)(WIDE, 128) for _ in range(2))
    assert told == [False, False]


def save_and_resume(folder: Any, saved: int, now: int, *, wide: bool = True) -> None:
    """Save a fit with some threads of BLAS, and resume it with others."""
    rows, labels = np.tile(X, (4, 60)), np.tile(y, 4)
    model = bp.MLPClassifier((256 if wide else 4,), max_iter=1, engine="numpy", random_state=0, tol=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with threadpool_limits(limits=saved, user_api="blas"):
            model.fit(rows, labels, checkpoint=folder)
    with threadpool_limits(limits=now, user_api="blas"):
        model.set_params(max_iter=2).fit(rows, labels, checkpoint=folder, resume=True)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_fit_that_resumes_with_other_threads_says_so(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="saved with 2 BLAS threads, and now has 1: sums are"):
        save_and_resume(tmp_path, 2, 1)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("saved", "now", "wide"), [(2, 2, True), (2, 1, False)])
def test_equal_threads_and_small_products_resume_without_a_word(
    tmp_path: Path, saved: int, now: int, wide: bool
) -> None:
    save_and_resume(tmp_path, saved, now, wide=wide)


def test_compiled_fits_and_older_checkpoints_have_no_threads_to_compare() -> None:
    class Compiled:
        name = "jax"

    compiled: Any = Compiled()
    assert count_blas_threads(compiled, WIDE, 128) is None
    assert count_blas_threads(NumpyEngine(), WIDE, 128) == 2
    assert count_blas_threads(NumpyEngine(), (3, 2), 10) == 1
    warn_of_threads(CheckpointData({}, {}), 2)
    warn_of_threads(CheckpointData({}, {"threads": 2}), None)
    with pytest.raises(CheckpointError, match="none that a fit has written"):
        warn_of_threads(CheckpointData({}, {"threads": "2"}), 2)
