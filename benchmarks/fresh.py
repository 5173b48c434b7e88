"""Jobs that need a separate process: a first fit including compilation, and peak memory.

``run_fresh("fit", "ours", "0")`` starts ``python -m benchmarks.fresh fit ours 0`` and reads what it prints.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

SIZES_OF_GROWTH = (30, 100, 2)
BATCH_SIZE = 200


def run_in_fresh_process(*job: str, module: str = "benchmarks.fresh") -> dict[str, Any]:
    """Run a module's job in a fresh interpreter without compiled programs, and return its results."""
    environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-m", module, *job],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parent.parent,
        env=environment,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(job)} ended with {done.returncode}:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def fit(who: str, seed: str) -> dict[str, Any]:
    """Fit a default MLPClassifier on three quarters of the digits; who: ``ours`` or ``peer``."""
    jax_seconds = time_import("jax") if who == "ours" else 0.0
    package_seconds = time_import("batchprop" if who == "ours" else "sklearn.neural_network")
    import sklearn.neural_network
    from sklearn.datasets import load_digits
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import train_test_split

    import batchprop

    if who == "ours":
        import_module("batchprop.engines.jax")
    maker = batchprop.MLPClassifier if who == "ours" else sklearn.neural_network.MLPClassifier
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
    net: Any = maker(random_state=int(seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        started = time.perf_counter()
        net.fit(X_train, y_train)
        taken = time.perf_counter() - started
    return {
        "seed": int(seed),
        "seconds": taken,
        "import_jax_seconds": jax_seconds,
        "import_seconds": package_seconds,
        "accuracy": net.score(X_test, y_test),
        "epochs": net.n_iter_,
        "engine": getattr(net, "engine_", "numpy"),
    }


def time_by_rows(largest: str, rounds: str) -> dict[str, Any]:
    """Time epochs on tables of 10⁴ rows and up, by factors of ten, in turn."""
    sizes = [10**power for power in range(4, len(largest))]
    X, Y = make_table(int(largest), SIZES_OF_GROWTH[0])
    runs = {n: epochs_on(X[:n], Y[:n]) for n in sizes}
    for run in runs.values():
        list(islice(run, 2))  # compiles
    taken: dict[int, list[float]] = {n: [] for n in sizes}
    for _ in range(int(rounds)):
        for n, run in runs.items():
            epochs = max(1, 300_000 // n)  # a tenth of a second at least
            started = time.perf_counter()
            list(islice(run, epochs))
            taken[n].append((time.perf_counter() - started) / (epochs * n))
    return {"seconds_a_row": taken}


def memory(rows: str, features: str, who: str) -> dict[str, Any]:
    """Train twice over a table, and return the process's peak before and after; who: ``core`` or ``fit``."""
    n = int(rows)
    train(*make_table(10_000, int(features)), who)  # so that what compiling needs does not count
    compiled = peak_bytes()
    X, Y = make_table(n, int(features))
    made = peak_bytes()
    started = time.perf_counter()
    train(X, Y, who)
    return {
        "rows": n,
        "features": int(features),
        "who": who,
        "table_bytes": X.nbytes,
        "target_bytes": Y.nbytes,
        "peak_compiled_bytes": compiled,
        "peak_table_bytes": made,
        "peak_bytes": peak_bytes(),
        "over_the_table": (peak_bytes() - made) / X.nbytes,
        "seconds": time.perf_counter() - started,
    }


def train(X: np.ndarray, Y: np.ndarray, who: str) -> None:
    """Two epochs, through the core's loop or the estimator."""
    if who == "core":
        list(islice(epochs_on(X, Y), 2))
        return
    from sklearn.exceptions import ConvergenceWarning

    import batchprop

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        batchprop.MLPClassifier(batch_size=BATCH_SIZE, max_iter=2, random_state=0).fit(X, Y[:, 1])


def epochs_on(X: np.ndarray, Y: np.ndarray) -> Any:
    """Train a network of one hidden layer with Adam: an iterator over epochs."""
    from batchprop import optimizers, schedules
    from batchprop.batches import Dataset, minibatches
    from batchprop.engines.jax import JaxEngine
    from batchprop.network import Network
    from batchprop.objective import Objective
    from batchprop.training import TrainConfig, init_state, train

    network = Network.create((X.shape[1], *SIZES_OF_GROWTH[1:]), random_state=0)
    recipe = TrainConfig(network, optimizers.adam(), Objective())
    plan = minibatches(len(X), BATCH_SIZE, np.random.RandomState(0))
    return train(recipe, init_state(recipe), Dataset(X, Y), plan, schedules.constant(1e-3), JaxEngine())


def make_table(n: int, features: int) -> tuple[np.ndarray, np.ndarray]:
    """Make X (n, features) and Y (n, 2) in float32 chunk by chunk, without temporary arrays of their size."""
    rng = np.random.default_rng(0)
    X, Y = np.empty((n, features), np.float32), np.zeros((n, 2), np.float32)
    for start in range(0, n, 10_000):
        part = slice(start, start + 10_000)
        rng.standard_normal(dtype=np.float32, out=X[part])
        Y[part, 1] = X[part, 0] > X[part, 1]
    np.subtract(1, Y[:, 1], out=Y[:, 0])
    return X, Y


def time_import(module: str) -> float:
    """Return the seconds of an import."""
    started = time.perf_counter()
    import_module(module)
    return time.perf_counter() - started


def peak_bytes() -> int:
    """Return the peak memory of this process in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux hands ru_maxrss down from the process that started this one
        line = next(line for line in status.read_text("utf-8").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


JOBS: dict[str, Callable[..., dict[str, Any]]] = {"fit": fit, "grow": time_by_rows, "memory": memory}


if __name__ == "__main__":
    print(json.dumps(JOBS[sys.argv[1]](*sys.argv[2:])))
