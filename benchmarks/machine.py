"""A description of the machine, and import times."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info


def time_import(module: str, repeats: int) -> list[float]:
    """Time `import module` in fresh interpreters, after one warm-up import."""
    code = (
        f"import time; started = time.perf_counter(); import {module}; print(time.perf_counter() - started)"
    )
    command = [sys.executable, "-c", code]
    runs = [
        subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(repeats + 1)
    ]
    return [float(run) for run in runs[1:]]


def describe_machine(packages: tuple[str, ...]) -> dict[str, Any]:
    """Describe the machine: processor, cores, load, BLAS, versions, date."""
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
        "versions": {package: _version(package) for package in packages},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
