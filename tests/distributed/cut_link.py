"""A fit of two processes in network namespaces of their own, whose link is cut: see test_launcher.py."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import warnings
from pathlib import Path
from typing import Any

import batchprop as bp
from batchprop.distributed.clusters import PROCESS_ID
from tests.distributed.worker import Rows, classifier

HEARTBEAT, PATIENCE = 2, 60
"""Seconds without a sign after which a process is lost, and after which the test gives up."""

ADDRESSES = ("10.91.0.1", "10.91.0.2")
_CLONE_NEWUTS, _CLONE_NEWNET = 0x04000000, 0x40000000


def isolate(index: int) -> str:
    """Move this process into namespaces of its own; return why the machine does not let it, or ""."""
    if shutil.which("ip") is None:
        return "there is no command ip"
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "unshare") or libc.unshare(_CLONE_NEWNET | _CLONE_NEWUTS):
        return f"no network namespace can be made: {os.strerror(ctypes.get_errno())}"
    # The sums between processes listen at the address of the host's name.
    socket.sethostname(ADDRESSES[index])
    return ""


def ip(words: str) -> None:
    """Run a command of iproute2."""
    subprocess.run(["ip", *words.split()], check=True)


def link(folder: Path, index: int) -> str:
    """Join the namespaces of both processes by a cable; return why the machine does not let them, or ""."""
    # Whoever reads waits for the other to write: both files are named pipes.
    pid, answer = folder / "cut-pid", folder / "cut-answer"
    reason = ""
    if index == 0:
        command = f"ip link add own type veth peer name own netns {pid.read_text()}"
        made = subprocess.run(command.split(), capture_output=True, text=True, check=False)
        reason = made.stderr.strip() if made.returncode else ""
        answer.write_text(reason)
    else:
        pid.write_text(str(os.getpid()))
        reason = answer.read_text()
    if not reason:
        ip(f"addr add {ADDRESSES[index]}/24 dev own")
        for name in ("lo", "own"):
            ip(f"link set {name} up")
    return reason


def cut_after(epoch: Any) -> None:
    """Cut the cable at the end of an epoch."""
    if epoch.number == 2:
        ip("link set own down")


def main(folder: Path) -> None:
    """Join, train for ever, and cut the link."""
    warnings.simplefilter("ignore")
    signal.alarm(PATIENCE)
    index = int(os.environ[PROCESS_ID])
    if reason := isolate(index) or link(folder, index):
        (folder / "cut-refused.txt").write_text(reason)
        return
    bp.distributed.initialize(f"{ADDRESSES[0]}:29400", index, 2, heartbeat_timeout=HEARTBEAT)
    rows = Rows(index, 2)
    classifier(max_iter=10**6, tol=0, callbacks=[cut_after] if index else []).fit(rows.X, rows.y)
