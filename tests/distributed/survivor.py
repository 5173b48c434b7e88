"""A fit that is killed in the middle of an epoch, and resumed by the launcher: see test_launcher.py."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import warnings
from pathlib import Path
from typing import Any
from unittest.mock import patch

import batchprop as bp
from batchprop.engines.jax import JaxEngine
from batchprop.estimators import fit as fit_module
from tests.distributed.worker import Rows

LOST, CHUNK = 0, 13
"""The process that is lost before the first restart, which the others need most, and at which chunk."""


def make() -> bp.MLPClassifier:
    """The network, whose epochs take several chunks."""
    fit_module.CHUNK_SECONDS = 1e-9
    return bp.MLPClassifier(
        (8,), batch_size=40, max_iter=6, tol=0, dropout=0.2, random_state=0, dtype="float64", engine="jax"
    )


def digest(clf: bp.MLPClassifier) -> str:
    """A digest of the weights and the losses."""
    content = b"".join(theta.tobytes() for theta in (*clf.coefs_, *clf.intercepts_))
    return hashlib.sha256(content + json.dumps(clf.loss_curve_).encode()).hexdigest()


def die_at(chunk: int) -> None:
    """Kill this process instead of running a chunk."""
    run, count = JaxEngine.run_batches, iter(range(10**9))

    def run_or_die(self: JaxEngine, *args: Any) -> Any:
        if next(count) == chunk:
            os.kill(os.getpid(), signal.SIGKILL)
        return run(self, *args)

    patch.object(JaxEngine, "run_batches", run_or_die).start()


def main(folder: Path) -> None:
    """Train on this process's rows, once more without a loss, and write the digests."""
    warnings.simplefilter("ignore")
    bp.distributed.initialize()
    index, restarts = bp.distributed.process_index(), int(os.environ["BATCHPROP_RESTARTS"])
    if restarts == 0 and index == LOST:
        die_at(CHUNK)
    rows = Rows(index, bp.distributed.n_processes())
    saver = bp.Checkpoints(folder / "survivor-checkpoints", every="0s")
    clf = make().fit(rows.X, rows.y, checkpoint=saver, resume=restarts > 0)
    undisturbed = make().fit(rows.X, rows.y)
    (folder / f"survivor-2-{index}.txt").write_text(f"{restarts} {digest(clf)} {digest(undisturbed)}")
