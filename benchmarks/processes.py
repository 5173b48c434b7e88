"""Microseconds per step in one process and in two, on one core each, and where they go.

``python -m benchmarks.processes [--quick]`` starts the processes itself, and prints a table and a prediction
for more processes over a network. Of a step in two processes, compute is a step of half the batch in one, sum
is the collective alone, and wait is what is left. Each figure is the least of several rounds: another load
matters less.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from batchprop import Network, optimizers
from batchprop.batches import Dataset, minibatches, share_batches
from batchprop.distributed import initialize, launcher
from batchprop.objective import Objective
from batchprop.processes import current
from batchprop.training import TrainConfig, init_state

NETWORKS = ((64, 64, 10), (784, 256, 128, 10), (784, 1024, 1024, 10))
BATCH_SIZES = (32, 256, 2048)
ROUNDS, SECONDS = 7, 0.5
LATENCY = 50e-6
"""Of a message between two machines, assumed in the prediction."""


def least_seconds(run: Callable[[], Any], n: int, rounds: int) -> float:
    """Return the least time of a round of n steps, for one of them."""
    run()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return min(times) / n


def measure_step(sizes: tuple[int, ...], batch_size: int, rounds: int) -> float:
    """Return the seconds of a step of all processes, each of which has an equal part of the rows."""
    from batchprop.engines.jax import JaxEngine

    processes = current()
    # A step of two processes waits for both: under another load it takes a millisecond more.
    products = sum(np.multiply(sizes[1:], sizes[:-1]).tolist())
    n_steps = max(int(SECONDS / (1e-3 + 1e-10 * batch_size * products)), 2)
    n_rows = max(min(n_steps * batch_size, 40_000_000 // sizes[0]) // processes.count, batch_size)
    rng = np.random.default_rng(processes.index)
    X = rng.standard_normal((n_rows, sizes[0]), dtype=np.float32)
    Y = np.eye(sizes[-1], dtype=np.float32)[rng.integers(sizes[-1], size=n_rows)]
    net = Network.create(sizes, activation="relu", random_state=0)
    config = TrainConfig(net, optimizers.adam(), Objective())
    share = processes.share(n_rows)
    batches = next(minibatches(share.n_rows, batch_size, np.random.RandomState(0)))
    if processes.count > 1:
        batches = share_batches(batches, share)
    capacity = -(-batch_size // processes.count)
    engine = JaxEngine("cpu", capacity=capacity, mesh=processes.mesh)
    rates = [1e-4] * len(batches)
    run = partial(engine.run_batches, config, init_state(config), Dataset(X, Y), batches, rates)
    return least_seconds(run, len(batches), rounds)


def measure_sum(n_numbers: int, rounds: int) -> float:
    """Return the seconds of the one collective of a step, of this many numbers."""
    import jax
    from jax import lax
    from jax.sharding import PartitionSpec

    from batchprop.engines.sharding import AXIS

    mesh, times = current().mesh, 50
    specs: Callable[..., Any] = PartitionSpec
    psum: Callable[..., Any] = lax.psum

    def sums(x: Any) -> Any:
        return lax.fori_loop(0, times, lambda _, x: psum(x, AXIS) * 0.5, x)

    shared = jax.shard_map(sums, mesh=mesh.mesh, in_specs=specs(), out_specs=specs(), check_vma=False)
    program, x = jax.jit(shared), mesh.same(np.ones(n_numbers, np.float32))
    return least_seconds(lambda: program(x).block_until_ready(), times, rounds)


def measure(folder: Path, *, quick: bool) -> None:
    """Measure in this process, one of a number that the launcher started; process 0 writes the figures."""
    if "BATCHPROP_NUM_PROCESSES" in os.environ:
        initialize(device="cpu")
    rounds, networks = (2, NETWORKS[:1]) if quick else (ROUNDS, NETWORKS)
    # What each of two computes is a step of half the batch.
    halves = [size // 2 for size in BATCH_SIZES] if current().count == 1 else []
    figures = {
        f"{list(sizes)} {size}": measure_step(sizes, size, rounds)
        for sizes in networks
        for size in (*BATCH_SIZES, *halves)
    }
    if current().count > 1:
        sums = {f"{list(sizes)}": measure_sum(n_parameters(sizes) + 1, rounds) for sizes in networks}
        figures |= sums
    if current().index == 0:
        (folder / f"{current().count}.json").write_text(json.dumps(figures))


def n_parameters(sizes: tuple[int, ...]) -> int:
    """Return the number of parameters of a network."""
    return sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes))


def predict_seconds(compute: float, n_bytes: int, n: int, gigabits: float) -> float:
    """Predict a step of n processes over a network: each computes its rows, and a ring sums the gradients.

    ``compute + 2 (n - 1) latency + 2 (n - 1) / n bytes / bandwidth`` (Thakur et al. 2005, for the ring).
    """
    return compute + 2 * (n - 1) * LATENCY + 2 * (n - 1) / n * n_bytes / (gigabits * 1e9 / 8)


def report(one: dict[str, float], two: dict[str, float]) -> None:
    """Print the figures, and the prediction."""
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; microseconds a step\n")
    print(
        "| network | batch | 1 process | 2 processes | compute | sum | wait |\n|---|---|---|---|---|---|---|"
    )
    networks = [sizes for sizes in NETWORKS if f"{list(sizes)}" in two]
    for sizes in networks:
        for size in BATCH_SIZES:
            whole, compute = one[f"{list(sizes)} {size}"], one[f"{list(sizes)} {size // 2}"]
            shared, collective = two[f"{list(sizes)} {size}"], two[f"{list(sizes)}"]
            seconds = (whole, shared, compute, collective, shared - compute - collective)
            row = " | ".join(f"{each * 1e6:,.0f}" for each in seconds)
            print(f"| {'-'.join(map(str, sizes))} | {size} | {row} |")
    print(
        "\nPrediction, not measured: rows a second of n processes over those of one, each with its own batch"
    )
    print("\n| network | batch of each | Gbit/s | n = 2 | 4 | 16 | 64 |\n|---|---|---|---|---|---|---|")
    for sizes in networks:
        for size in BATCH_SIZES[1:]:
            for gigabits in (1, 10):
                compute = one[f"{list(sizes)} {size}"]
                gains = [
                    n * compute / predict_seconds(compute, 4 * n_parameters(sizes), n, gigabits)
                    for n in (2, 4, 16, 64)
                ]
                row = " | ".join(f"{gain:.2g}" for gain in gains)
                print(f"| {'-'.join(map(str, sizes))} | {size} | {gigabits} | {row} |")


def main() -> None:
    """Start the processes, or measure in one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.folder is not None:
        measure(given.folder, quick=given.quick)
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.processes", "--folder", folder]
        command += ["--quick"] if given.quick else []
        flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"
        for count in (1, 2):
            environ = {**os.environ, "XLA_FLAGS": flags, "OMP_NUM_THREADS": "1"}
            code = launcher.launch(command, count, device="cpu", max_restarts=0, environ=environ)
            if code:
                sys.exit(code)
        report(*(json.loads((Path(folder) / f"{count}.json").read_text()) for count in (1, 2)))


if __name__ == "__main__":
    main()
