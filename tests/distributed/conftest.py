"""Processes on loopback that the tests of this folder share: to start one takes seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from batchprop.distributed import launcher
from tests.distributed import worker

ROOT = Path(__file__).resolve().parents[2]
CHECKS = [*worker.FITS, "refused", "interrupted"]


def environment() -> dict[str, str]:
    """The variables of a process: the sources under test, and one thread, as they share the cores."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path, "XLA_FLAGS": flags}


def run_workers(count: int, folder: Path, *checks: str) -> list[dict[str, Any]]:
    """Run checks in several processes; return the results of each."""
    port = launcher.free_port()
    command = [sys.executable, "-m", "tests.distributed.worker"]
    env = environment()
    logs = [folder / f"{count}-{index}.log" for index in range(count)]
    with ExitStack() as stack:
        workers = [
            subprocess.Popen(
                [*command, str(index), str(count), str(port), str(folder), *checks],
                cwd=ROOT, env=env, stdout=stack.enter_context(log.open("w")), stderr=subprocess.STDOUT,
            )
            for index, log in enumerate(logs)
        ]  # fmt: skip
        codes = [each.wait(300) for each in workers]
    assert codes == [0] * count, "\n".join(log.read_text() for log in logs)
    return [json.loads((folder / f"{count}-{index}.json").read_text()) for index in range(count)]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="session")
def three(folder: Path) -> list[dict[str, Any]]:
    return run_workers(3, folder, "plain", "saved-2")


@pytest.fixture(scope="session")
def two(folder: Path, three: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return run_workers(2, folder, *CHECKS, "saved-4", f"version-{launcher.free_port()}")
