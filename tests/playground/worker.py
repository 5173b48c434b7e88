"""The page's worker, as it is built, run by Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import batchprop

WORKER = Path(batchprop.__file__).parent / "playground" / "static" / "worker.js"
RUNNER = Path(__file__).with_name("run_worker.js")


def ask_worker(calls: list[tuple[str, Any]]) -> list[Any]:
    """Call the worker's parts in one process; return the values, or ``{"error": ...}`` as it is."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node.js on this machine; on Debian: apt-get install nodejs")
    done = subprocess.run(
        [node, str(RUNNER), str(WORKER)], input=json.dumps(calls), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return [answer.get("value", answer) for answer in answers]
