"""What is being written and is not yet whole: gone in the end, also where the removing is interrupted.

Whoever writes beside the final name registers what it writes; whoever ends the process calls ``sweep``.
"""

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

written: list[Path] = []
"""What took its final name, in order: whoever is interrupted later can say so."""

_unfinished: dict[Path, list[Path]] = {}

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def unfinished(path: Path, made: list[Path] | None = None) -> Iterator[None]:
    """Remove a file or folder when the block ends, however it ends; what was renamed away stays.

    Args:
        path: to be made in the block; it need not be there at the end.
        made: folders that were made for it, the innermost first, taken back where they are empty.

    Example:
        >>> from tempfile import mkdtemp
        >>> part = Path(mkdtemp()) / ".model.partial"
        >>> with unfinished(part):
        ...     _ = part.write_text("half of a mod")
        >>> part.exists()
        False
    """
    # Registered first: a signal may come between any two lines.
    register(path, [] if made is None else made)
    try:
        yield
    finally:
        _undo(path)


def register(path: Path, made: list[Path]) -> None:
    """Have ``sweep`` remove a file or folder, and the folders that were made for it, until ``forget``."""
    _unfinished[path] = made


def forget(path: Path) -> None:
    """Let a file or folder stay, or be another's from now on."""
    _unfinished.pop(path, None)


def sweep() -> None:
    """Remove whatever is registered, the latest first, for a process that is about to end."""
    for path in reversed(list(_unfinished)):
        _undo(path)


def _undo(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        path.unlink(missing_ok=True)
    take_back(_unfinished.get(path, []))
    forget(path)


def take_back(folders: list[Path]) -> None:
    """Remove folders that were made, the innermost first; one that holds what was written meanwhile stays."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


@contextmanager
def held_off() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until the block has ended: for a few renames that belong together.

    Example:
        >>> done = []
        >>> try:
        ...     with held_off():
        ...         signal.raise_signal(signal.SIGINT)
        ...         done.append("renamed")
        ... except KeyboardInterrupt:
        ...     done.append("interrupted")
        >>> done
        ['renamed', 'interrupted']
    """
    if threading.current_thread() is not threading.main_thread():
        # Signals interrupt no other thread, and no other may change what they do.
        yield
        return
    came = list[int]()

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)

    # A handler that was not installed from Python cannot be put back, and is left alone.
    before = {number: handler for number in _SIGNALS if (handler := signal.getsignal(number)) is not None}
    try:
        for number in before:
            signal.signal(number, note)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for late in came:
            signal.raise_signal(late)


def flush(path: Path) -> None:
    """Have the file or folder on the disk before its name says that it is whole."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
