"""Processes on loopback that the tests of this folder share: to start one takes seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def environment() -> dict[str, str]:
    """The variables of a process: the sources under test, and one thread, as they share the cores."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}


@pytest.fixture(scope="session")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that all fits of several processes have written."""
    folder = tmp_path_factory.mktemp("processes")
    command = [sys.executable, "-W", "ignore", "-m", "tests.distributed.fits", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for file in folder.glob("worker-?.json"):
        assert json.loads(file.read_text()) == {"code": 0, "told": []}, done.stderr
    return folder


@pytest.fixture(scope="session")
def four(ended: Path) -> list[dict[str, Any]]:
    return [json.loads((ended / f"4-{index}.json").read_text()) for index in range(4)]


@pytest.fixture(scope="session")
def two(ended: Path) -> list[dict[str, Any]]:
    return [json.loads((ended / f"2-{index}.json").read_text()) for index in range(2)]
