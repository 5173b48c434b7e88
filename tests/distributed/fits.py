"""All fits of several processes, one after another: ``python -m tests.distributed.fits FOLDER``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from batchprop.distributed.launcher import free_port, launch
from tests.distributed import cut_link, survivor, worker
from tests.distributed.forks import fork_in_launcher

# What each process would import.
for module in ("jax", "batchprop.engines.compiled", "dp_accounting", "safetensors.numpy"):
    import_module(module)

PROGRAMS = {"cut_link": cut_link.main, "survivor": survivor.main, "worker": worker.main}
CHECKS = [*worker.FITS, "refused", "interrupted"]


def run(command: Sequence[str]) -> None:
    """Run one of our programs."""
    name, folder, *words = command
    PROGRAMS[name](Path(folder), *words)


def start(count: int, name: str, folder: Path, *words: str, max_restarts: int = 3) -> None:
    """Run a program in several processes; write how it ended."""
    told = list[str]()
    code = launch([name, str(folder), *words], count, max_restarts=max_restarts, tell=told.append)
    (folder / f"{name}-{count}.json").write_text(json.dumps({"code": code, "told": told}))


def main(folder: Path) -> None:
    """Run all."""
    fork_in_launcher(run)
    for name in ("cut-pid", "cut-answer"):
        os.mkfifo(folder / name)
    start(2, "cut_link", folder, max_restarts=0)
    start(2, "survivor", folder)
    start(4, "worker", folder, "plain", "saved-2")
    start(2, "worker", folder, *CHECKS, "saved-4", f"version-{free_port()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
