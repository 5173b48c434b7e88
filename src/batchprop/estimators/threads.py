"""BLAS threads of a NumPy fit: as many as help, within the share that the caller's parallel loop leaves."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

from joblib.parallel import get_active_backend
from threadpoolctl import ThreadpoolController

from batchprop.training import Engine

# Looking for the libraries takes as long as a hundred small steps.
_BLAS = ThreadpoolController()

SINGLE_THREAD_MAX_FLOPS = 2_500_000
"""Up to this number of multiplications, one thread is as fast as several, which must synchronise."""


def use_single_thread(sizes: Sequence[int], batch_size: int) -> bool:
    """Whether a fit is as fast, or faster, with one thread of BLAS.

    Its products are small; or joblib runs it in a parallel loop (``n_jobs``) in which every worker would
    otherwise start as many threads as there are cores.

    Example:
        >>> use_single_thread((64, 100, 10), 200), use_single_thread((784, 256, 10), 128)
        (True, False)
    """
    largest = batch_size * max(n_in * n_out for n_in, n_out in pairwise(sizes))
    return largest <= SINGLE_THREAD_MAX_FLOPS or _in_parallel_worker()


def count_blas_threads(engine: Engine, sizes: Sequence[int], batch_size: int) -> int | None:
    """Return the threads of BLAS that a fit has, on which the rounding of its sums depends; None on JAX."""
    if engine.name != "numpy":
        return None
    if use_single_thread(sizes, batch_size):
        return 1
    libraries = _BLAS.select(user_api="blas").lib_controllers
    return max((int(library.num_threads) for library in libraries), default=None)


def _in_parallel_worker() -> bool:
    # Worker processes of joblib's default kind find their share of the cores in the environment.
    return get_active_backend()[0].nesting_level > 0 and "OMP_NUM_THREADS" not in os.environ


@contextmanager
def limit_blas_threads(engine: Engine, sizes: Sequence[int], batch_size: int) -> Iterator[None]:
    """Limit BLAS to one thread in the block if that is enough; JAX has threads of its own."""
    if engine.name != "numpy" or not use_single_thread(sizes, batch_size):
        yield
        return
    with _BLAS.limit(limits=1, user_api="blas"):
        yield


@contextmanager
def share_blas_threads(callers: int) -> Iterator[None]:
    """Divide the threads of BLAS among several threads that call it: more than there are cores would wait."""
    libraries = _BLAS.select(user_api="blas").lib_controllers
    most = max((int(library.num_threads) for library in libraries), default=1)
    with _BLAS.limit(limits=max(1, most // callers), user_api="blas"):
        yield
