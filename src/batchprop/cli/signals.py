"""Ctrl-C and SIGTERM: the first ends a command gracefully, a second at once; each has its exit code."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from batchprop.cli.terminal import printable
from batchprop.files import cleanup_all, completed_paths

INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM

_PATIENCE = 2

_received: list[int] = []


class Terminated(KeyboardInterrupt):
    """Raised by SIGTERM; a KeyboardInterrupt, so that handlers of Ctrl-C handle it too."""


def exit_code() -> int:
    """Return the exit code of a command that was interrupted: 143 if SIGTERM came first, else 130.

    >>> with handle_signals():
    ...     exit_code()
    130
    """
    return TERMINATED if _received[:1] == [signal.SIGTERM] else INTERRUPTED


def interruption_message() -> str:
    """Describe what ended the command, and what it has written.

    >>> with handle_signals():
    ...     interruption_message()
    'interrupted; nothing was written'
    """
    what = "terminated" if exit_code() == TERMINATED else "interrupted"
    return f"{what}; {f'{completed_paths[-1]} is written' if completed_paths else 'nothing was written'}"


@contextmanager
def handle_signals() -> Iterator[None]:
    """Let SIGTERM interrupt the block as Ctrl-C does; leave nothing half-written at its end.

    The first signal raises KeyboardInterrupt in the main thread, or Terminated, which is one. A fit keeps its
    weights then, and the command saves them. The second raises it again, and nothing is kept; a third, if the
    second is stuck, ends the process from within the handler. A call into a compiled library finishes first.
    Ignored signals stay ignored, as under nohup. In a thread other than the main one this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _received.clear()
    completed_paths.clear()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    ours = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    try:
        for number in ours:
            signal.signal(number, _interrupt)
        yield
    finally:
        for number in ours:
            signal.signal(number, _note)
        # A signal may have interrupted the removal of a folder.
        cleanup_all()
        for number in ours:
            signal.signal(number, before[number])


def _note(number: int, _: FrameType | None) -> None:
    _received.append(number)


def _interrupt(number: int, _: FrameType | None) -> None:
    _received.append(number)
    if len(_received) > _PATIENCE:
        try:
            cleanup_all()
            os.write(2, f"{_cursor()}batchprop: {printable(interruption_message())}\n".encode())
        finally:
            os._exit(exit_code())
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


def _cursor() -> str:
    # A live bar hides it.
    return "\x1b[?25h\n" if sys.stderr.isatty() else ""
