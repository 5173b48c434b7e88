"""Ctrl-C, SIGTERM and SIGHUP: the first ends a command gracefully, a second at once, each with its code."""

import os
import signal
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from batchprop.cli.terminal import printable
from batchprop.files import ENDING_SIGNALS, cleanup_all, completed_paths

_PATIENCE = 2

_received: list[int] = []


class Terminated(KeyboardInterrupt):
    """Raised by SIGTERM and SIGHUP; a KeyboardInterrupt, so that handlers of Ctrl-C handle it too."""


def exit_code() -> int:
    """Return the exit code of a command that was interrupted: 128 and the number of the signal.

    >>> with handle_signals():
    ...     exit_code()
    130
    """
    return 128 + (_received[0] if _received else signal.SIGINT)


def interruption_message() -> str:
    """Describe what ended the command, and what it has written.

    >>> with handle_signals():
    ...     interruption_message()
    'interrupted; nothing was written'
    """
    what = "interrupted" if exit_code() == 128 + signal.SIGINT else "terminated"
    return f"{what}; {f'{completed_paths[-1]} is written' if completed_paths else 'nothing was written'}"


@contextmanager
def handle_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP interrupt the block as Ctrl-C does; leave nothing half-written at its end.

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
    before = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
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
    if number not in (signal.SIGINT, signal.SIGTERM):
        _replace_lost_terminal()
        if _received:
            # A terminal that ends sends SIGHUP, the shell in it sends another: together they are the first.
            return
    _received.append(number)
    if len(_received) > _PATIENCE:
        try:
            cleanup_all()
            os.write(2, f"{_cursor()}batchprop: {printable(interruption_message())}\n".encode())
        finally:
            os._exit(exit_code())
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated


def _replace_lost_terminal() -> None:
    """Let what is still printed go nowhere if the terminal is gone: an error would end the saving."""
    for stream in (0, 1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(stream).st_mode) and not os.isatty(stream):
                nowhere = os.open(os.devnull, os.O_RDWR)
                os.dup2(nowhere, stream)
                os.close(nowhere)


def _cursor() -> str:
    # A live bar hides it.
    return "\x1b[?25h\n" if sys.stderr.isatty() else ""
