"""Train, get killed at random moments, resume each time, and print the result: see test_checkpoints."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

import batchprop as bp
from batchprop.estimators import fit as fit_module
from batchprop.estimators.checkpoints import Checkpoints
from tests.estimators.tables import table

KILLS = 5


def train(folder: Path | None) -> str:
    """Fit, resuming from the folder's checkpoints, and return a digest of the weights."""
    warnings.simplefilter("ignore")
    X, y = table("multiclass", 200)
    model = bp.MLPClassifier(
        (16,), max_iter=20, tol=0, batch_size=32, dropout=0.2, random_state=1, engine="numpy"
    )
    if folder is None:
        model.fit(X, y)
    else:
        model.fit(X, y, checkpoint=Checkpoints(folder, "0s"), resume=True)
    return hashlib.sha256(b"".join(coef.tobytes() for coef in model.coefs_)).hexdigest()


def kill_fit(folder: Path, moments: random.Random) -> bool:
    """Train in a child process, kill it at a random moment, and return whether it had finished."""
    listen, tell = os.pipe()
    child = os.fork()
    if child == 0:
        report_writes(tell)
        train(folder)
        os._exit(0)
    os.close(tell)
    for _ in range(moments.randrange(4)):
        os.read(listen, 1)
    # The wait times out, so the kill comes anywhere within a checkpoint's writing.
    signal.sigtimedwait([signal.SIGCHLD], moments.random() * 0.01)
    os.kill(child, signal.SIGKILL)
    os.close(listen)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def report_writes(tell: int) -> None:
    """Write one byte to the pipe for every checkpoint."""
    write = Checkpoints.write

    def and_tell(self: Checkpoints, *given: Any) -> Path:
        path = write(self, *given)
        os.write(tell, b".")
        return path

    setattr(Checkpoints, "write", and_tell)  # noqa: B010 a method is replaced


def main() -> None:
    """Print the number of kills, and both digests."""
    fit_module.CHUNK_SECONDS = 0.0
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    folder, moments = Path(sys.argv[1]) / "kept", random.Random(0)  # noqa: S311 no secret
    kills = sum(kill_fit(folder, moments) for _ in range(KILLS))
    sys.stdout.write(json.dumps({"kills": kills, "whole": train(None), "resumed": train(folder)}))


if __name__ == "__main__":
    main()
