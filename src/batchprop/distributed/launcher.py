"""Local processes, started, watched and ended together; a lost one lets all start again."""

from __future__ import annotations

import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from batchprop.distributed.clusters import COORDINATOR, N_PROCESSES, PROCESS_ID
from batchprop.distributed.watchdog import EXIT_CODE
from batchprop.errors import ParameterError
from batchprop.files import ENDING_SIGNALS

LIFELINE, RESTARTS = "BATCHPROP_LIFELINE", "BATCHPROP_RESTARTS"
_POLL_SECONDS = 0.05
_GRACE_SECONDS = 15.0
"""How long the others may take to end after one failed, which all have heard of."""


class Worker(NamedTuple):
    """A process of the launcher."""

    number: int
    process: subprocess.Popen[bytes]


def launch(
    command: Sequence[str],
    n_processes: int,
    *,
    max_restarts: int = 3,
    device: str | None = None,
    environ: Mapping[str, str] | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> int:
    """Run a command in several processes of this machine, each of which calls ``distributed.initialize()``.

    If one is lost (killed, or ended by the watchdog), the others are ended, and all start again, with the
    number of restarts in the variable ``BATCHPROP_RESTARTS``: they resume from their last checkpoint. Signals
    that end a command go on to all.

    Args:
        command: the program and its arguments.
        n_processes: how many.
        max_restarts: how often at most all start again.
        device: ``"cpu"`` to leave the GPUs of the machine unused.
        environ: the variables of the processes; None for those of this one.
        tell: called with a line on what was lost.

    Returns:
        The exit code: that of process 0, or of the one that failed.

    Raises:
        ParameterError: there are fewer GPUs than processes.
    """
    environ = dict(os.environ if environ is None else environ)
    devices = _devices(n_processes, device, environ)
    for restart in range(max_restarts + 1):
        code, lost = _run_once(command, n_processes, {**environ, RESTARTS: str(restart)}, devices)
        if lost is None:
            return code
        last = restart == max_restarts
        then = "that was the last restart" if last else f"all start again ({restart + 1} of {max_restarts})"
        tell(f"{lost}: {then}" if max_restarts else lost)
    return code if code > 0 else EXIT_CODE


def _run_once(
    command: Sequence[str], n_processes: int, environ: dict[str, str], devices: Sequence[dict[str, str]]
) -> tuple[int, str | None]:
    """Run the processes to their end; return the exit code, and what was lost, if anything was."""
    port = free_port()
    with ExitStack() as stack:
        # The other end closes with this process, however it ends, and the workers end with it.
        lifeline, held = os.pipe()
        stack.callback(os.close, held)
        workers = list[Worker]()
        stack.callback(_kill, workers)
        received = stack.enter_context(_forward_signals(workers))
        try:
            for index in range(n_processes):
                own = {
                    **environ,
                    **devices[index],
                    COORDINATOR: f"127.0.0.1:{port}",
                    PROCESS_ID: str(index),
                    N_PROCESSES: str(n_processes),
                    LIFELINE: str(lifeline),
                }
                process = subprocess.Popen(  # noqa: S603 the caller's own command
                    command,
                    env=own,
                    pass_fds=(lifeline,),
                    stdout=None if index == 0 else subprocess.DEVNULL,
                    # Signals come through the launcher, once.
                    start_new_session=True,
                )
                _pin(process.pid, index, n_processes)
                workers.append(Worker(index, process))
        finally:
            os.close(lifeline)
        return _watch(workers, received)


def _watch(workers: list[Worker], received: list[int]) -> tuple[int, str | None]:
    """Wait until all processes have ended, or one is lost."""
    deadline = math.inf
    while any(worker.process.poll() is None for worker in workers) and time.monotonic() < deadline:
        if _list_failed(workers) and not received:
            if _lost(workers) is not None:
                break
            # All are told of an error of one, and end by themselves.
            deadline = min(deadline, time.monotonic() + _GRACE_SECONDS)
        time.sleep(_POLL_SECONDS)
    lost = None if received else _lost(workers)
    if lost is not None:
        return EXIT_CODE, lost
    codes = [worker.process.poll() or 0 for worker in workers]
    code = codes[0] or next(filter(None, codes), 0)
    return 128 - code if code < 0 else code, None


def _list_failed(workers: Sequence[Worker]) -> list[Worker]:
    return [worker for worker in workers if worker.process.poll()]


def _lost(workers: Sequence[Worker]) -> str | None:
    """Say which process was killed or stuck; None if one has only failed, as it would again."""
    codes = {worker.number: worker.process.poll() or 0 for worker in _list_failed(workers)}
    for number, code in codes.items():
        if code < 0 and -code != signal.SIGABRT:
            return f"process {number} was lost (killed by {signal.Signals(-code).name})"
    # Whoever misses its peer says so, or is aborted by JAX.
    without_peer = [number for number, code in codes.items() if code in (EXIT_CODE, -signal.SIGABRT)]
    if without_peer and (EXIT_CODE in codes.values() or len(without_peer) == len(codes)):
        return f"process {without_peer[0]} gave up on the others"
    return None


def _kill(workers: Sequence[Worker]) -> None:
    """End what is left, stopped processes too."""
    for worker in workers:
        if worker.process.poll() is None:
            worker.process.kill()
        worker.process.wait()


@contextmanager
def _forward_signals(workers: Sequence[Worker]) -> Iterator[list[int]]:
    """Pass the signals that end a command on to all processes, which save and end."""
    received = list[int]()
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def forward(number: int, _: Any) -> None:
        received.append(number)
        for worker in workers:
            if worker.process.poll() is None:
                worker.process.send_signal(number)

    before = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    ours = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    try:
        for number in ours:
            signal.signal(number, forward)
        yield received
    finally:
        for number in ours:
            signal.signal(number, before[number])


def free_port() -> int:
    """Return a port of the loopback interface that nobody uses."""
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        return int(own.getsockname()[1])


def count_gpus(environ: Mapping[str, str]) -> int:
    """Return the number of NVIDIA's GPUs that processes with these variables see; 0 where nothing tells."""
    if (visible := environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return len([part for part in visible.split(",") if part.strip() and part.strip() != "-1"])
    program = shutil.which("nvidia-smi")
    if program is None:
        return 0
    try:
        listed = subprocess.run([program, "-L"], capture_output=True, text=True, check=True, timeout=60)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return 0
    return len([line for line in listed.stdout.splitlines() if line.startswith("GPU ")])


def _devices(n_processes: int, device: str | None, environ: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the variables that give each process its own GPU, where there are some."""
    platforms = environ.get("JAX_PLATFORMS", "")
    if device == "cpu" or (platforms and not set(platforms.split(",")) & {"cuda", "gpu"}):
        return [{"JAX_PLATFORMS": platforms or "cpu"}] * n_processes
    n_gpus = count_gpus(environ)
    if not n_gpus:
        return [{}] * n_processes
    if n_gpus < n_processes:
        raise ParameterError(
            f"processes={n_processes} need a GPU each, and there are {n_gpus}: give processes={n_gpus}, or "
            "device='cpu'"
        )
    visible = environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(n_gpus)))).split(",")
    return [{"CUDA_VISIBLE_DEVICES": visible[index].strip()} for index in range(n_processes)]


def _pin(pid: int, index: int, n_processes: int) -> None:
    """Give a process its own cores, if there are enough: threads of several would take turns on all."""
    if not hasattr(os, "sched_setaffinity"):
        return
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) >= n_processes:
        bounds = [len(cores) * i // n_processes for i in (index, index + 1)]
        os.sched_setaffinity(pid, cores[slice(*bounds)])


def hold_lifeline(environ: Mapping[str, str]) -> None:
    """End this process with the launcher that started it, if one did."""
    if (number := environ.get(LIFELINE)) is None or not number.isdecimal():
        return
    descriptor = int(number)

    def wait() -> None:
        try:
            os.read(descriptor, 1)
        except OSError:
            return
        sys.stderr.write("batchprop: the launcher is gone, and this process ends with it\n")
        os._exit(EXIT_CODE)

    threading.Thread(target=wait, name="batchprop-lifeline", daemon=True).start()
