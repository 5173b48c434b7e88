"""Two callables timed in turn, A B A B …: their ratio, pair by pair, holds when speed drifts."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_info

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Pairs:
    """Seconds of each run: `ours[i]` and `peer[i]` were taken one right after the other."""

    ours: list[float]
    peer: list[float]

    @property
    def ratios(self) -> list[float]:
        """How many times faster we were, pair by pair."""
        return [peer / ours for ours, peer in zip(self.ours, self.peer, strict=True)]

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios)


def seconds(call: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def time_pairs(ours: Callable[[], object], peer: Callable[[], object], repeats: int) -> Pairs:
    """Time the two in turn, after one run of each that does not count."""
    ours()
    peer()
    runs = [(seconds(ours), seconds(peer)) for _ in range(repeats)]
    return Pairs(ours=[mine for mine, _ in runs], peer=[theirs for _, theirs in runs])


def median_seconds(call: Callable[[], object], repeats: int) -> float:
    """Median wall-clock seconds of a call, after one that does not count."""
    call()
    return statistics.median(seconds(call) for _ in range(repeats))


def import_seconds(module: str, repeats: int) -> list[float]:
    """Seconds that `import module` takes in fresh interpreters, after one that warms the disk."""
    code = (
        f"import time; started = time.perf_counter(); import {module}; print(time.perf_counter() - started)"
    )
    command = [sys.executable, "-c", code]
    runs = [
        subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(repeats + 1)
    ]
    return [float(run) for run in runs[1:]]


def machine(packages: tuple[str, ...]) -> dict[str, Any]:
    """What a reader needs to judge the figures: processor, cores, load, BLAS, versions, date."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "blas": [
            {"library": pool["internal_api"], "threads": pool["num_threads"]}
            for pool in threadpool_info()
            if pool["user_api"] == "blas"
        ],
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
    }


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
