"""One cell of the league: a method on a split of a table, in a process of its own, with one thread."""

from __future__ import annotations

import os
import resource
import sys
import time
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from benchmarks.league_methods import METHODS
from benchmarks.tables import Task, load, split

MIN_PROBABILITY = 1e-7
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "JAX_PLATFORMS": "cpu",
}
"""What the process is started with."""


def send_cell(sender: Connection, method: str, table: str, number: int) -> None:
    """Measure a cell, and send the result, or why there is none."""
    _stay_on_one_core()
    warnings.simplefilter("ignore")
    try:
        result = measure(method, table, number)
    except Exception as error:  # noqa: BLE001 whatever it was, the league goes on and tells it
        result = {"failed": f"{type(error).__name__}: {error}"[:300]}
    sender.send(result)


def _stay_on_one_core() -> None:
    """Keep to one core, for libraries that count cores rather than read their settings."""
    if sys.platform == "linux":
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[os.getpid() % len(cores)]})


def measure(method: str, name: str, number: int) -> dict[str, Any]:
    """Fit a method on a split of a table, predict, and score.

    A small fit comes first, so that imports and the start of a library do not count. Compiling for the shapes
    of this table does count.
    """
    fit = METHODS[method].fit
    table = load(name)
    train, test = split(table, number)
    y_train, y_test = encode_target(train[table.target], test[table.target], table.task)
    X_train, X_test = train.drop(columns=table.target), test.drop(columns=table.target)
    some = choose_few(y_train, table.task)
    fit(X_train.iloc[some].reset_index(drop=True), y_train[some], table.task, number)(X_test[:2])
    predict, fit_seconds = time_cpu(lambda: fit(X_train, y_train, table.task, number))
    predictions, predict_seconds = time_cpu(lambda: predict(X_test))
    return {
        "rows": len(train),
        "scores": score(predictions, y_test, y_train, table.task),
        "fit_seconds": round(fit_seconds, 4),
        "predict_seconds": round(predict_seconds, 4),
    }


def encode_target(train: Any, test: Any, task: Task) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return targets as numbers, or as classes counted from 0."""
    if task == "regression":
        return np.asarray(train, float), np.asarray(test, float)
    classes, codes = np.unique(np.asarray(train), return_inverse=True)
    return codes, np.searchsorted(classes, np.asarray(test))


def choose_few(y: NDArray[Any], task: Task) -> NDArray[np.intp]:
    """Choose rows for the fit that warms up: the first hundred, and five of each class."""
    few = np.arange(min(100, len(y)))
    if task == "regression":
        return few
    return np.unique(np.concatenate([few, *(np.flatnonzero(y == k)[:5] for k in np.unique(y))]))


def time_cpu(call: Callable[[], Any]) -> tuple[Any, float]:
    """Call, and return the CPU seconds of all threads and of children that have ended."""
    started = _cpu_seconds()
    result = call()
    return result, _cpu_seconds() - started


def _cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def score(
    predictions: NDArray[np.float64], y: NDArray[Any], y_train: NDArray[Any], task: Task
) -> dict[str, float]:
    """Score predictions; every score but the AUC is a loss.

    Returns:
        For numbers "nrmse", √(mean (ŷ − y)² / mean (ȳ − y)²) with ȳ the mean of the training rows: 1 is as
        good as that mean. For classes "class_error"; "log_loss", with probabilities of 1e-7 at least; and
        "auc", of many classes the mean of each against all others.
    """
    if not np.isfinite(predictions).all():
        raise ValueError("a prediction is not finite")
    if task == "regression":
        squares = np.mean((predictions - y) ** 2) / np.mean((y_train.mean() - y) ** 2)
        return {"nrmse": round(float(np.sqrt(squares)), 6)}
    if predictions.shape != (len(y), int(y_train.max()) + 1):
        raise ValueError(f"probabilities have the shape {predictions.shape}")
    P = np.maximum(predictions, MIN_PROBABILITY)
    P /= P.sum(axis=1, keepdims=True)
    auc = roc_auc_score(y, P[:, 1]) if task == "binary" else roc_auc_score(y, P, multi_class="ovr")
    return {
        "class_error": round(float(np.mean(P.argmax(axis=1) != y)), 6),
        "log_loss": round(float(-np.log(P[np.arange(len(y)), y]).mean()), 6),
        "auc": round(float(auc), 6),
    }
