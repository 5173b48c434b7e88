"""Fits of thousands of different shapes in one process: its memory maps and its memory should stay flat.

    python -m benchmarks.shapes            5,000 shapes, an hour or two
    python -m benchmarks.shapes 200        200 shapes

Each shape is trained, scored and predicted with. At the end the first shape, whose programs were dropped,
runs again, and then once more: the difference is what recompiling costs. It fails if the maps or the memory
of the second half of the run exceed those of its first by a tenth.
"""

import sys
from itertools import count
from pathlib import Path
from time import perf_counter

import numpy as np

import batchprop as bp
from batchprop.engines.programs import PROGRAMS

SHAPES = 5000


def run(n_columns: int) -> float:
    """Train, score and predict on a table of so many columns; return the seconds taken."""
    rng, start = np.random.default_rng(0), perf_counter()
    X, y = rng.normal(size=(60, n_columns)), np.arange(60) % 3
    network = bp.MLPClassifier((7,), batch_size=20, solver="sgd", engine="jax", random_state=0)
    network.partial_fit(X, y, classes=[0, 1, 2])
    network.score(X, y)
    network.predict_proba(X)
    return perf_counter() - start


def measure() -> tuple[int, float]:
    """Return the memory maps of this process, and its memory in MB."""
    status = Path("/proc/self/status").read_text()
    kilobytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    return Path("/proc/self/maps").read_text().count("\n"), kilobytes / 1e3


def main(shapes: int) -> int:
    """Run the shapes, print what the process holds, and return the exit code."""
    widths, largest, start = count(3), [(0, 0.0), (0, 0.0)], perf_counter()
    for i, width in zip(range(1, shapes + 1), widths, strict=False):
        run(width)
        if i % max(shapes // 50, 1) == 0:
            maps, memory = measure()
            half = int(2 * i > shapes)
            largest[half] = (max(largest[half][0], maps), max(largest[half][1], memory))
            seconds = perf_counter() - start
            held = f"{len(PROGRAMS):3} programs {maps:7,} maps {memory:7,.0f} MB"
            print(f"{i:5,} shapes {held} {seconds:6,.0f} s", flush=True)
    again, kept = run(3), run(3)
    print(
        f"A shape whose programs were dropped takes {again:.2f} s, one whose programs are kept {kept:.3f} s"
    )
    flat = all(second <= 1.1 * first for first, second in zip(*largest, strict=True))
    print("flat" if flat else "NOT flat")
    return 0 if flat else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else SHAPES))
