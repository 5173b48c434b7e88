"""One run at a time writes to a folder: a lock of the operating system's, which dies with its process."""

import errno
import os
import re
import shutil
import signal
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from batchprop.errors import DataError, ParameterError

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""How file systems say that they have none."""

_TEXT_AT = 1
"""Where the file tells who holds it: Windows lets nobody read the byte that is locked, the first."""


def _library() -> Any:
    try:
        import filelock
    except ImportError:
        raise ParameterError(
            "locks need the library filelock: pip install 'batchprop[safetensors]'"
        ) from None
    return filelock


class LockOwner(NamedTuple):
    """Who holds a lock, or held it when it was killed.

    Attributes:
        process: its number.
        host: the name of its machine.
    """

    process: int
    host: str


@contextmanager
def file_lock(path: str | Path, *, option: str = "--out") -> Iterator[LockOwner | None]:
    """Keep others from writing to a folder or file while the block runs.

    The lock is the operating system's, on the file ``.NAME.lock`` beside it, which names who holds it. It
    ends with its process, also one that is killed; the file that then stays behind locks nobody out. (A
    process forked from it keeps the lock until it has ended, too.) At the end of the block the file is
    removed.

    On a network drive, two hosts lock each other out as far as the drive passes locks on. On Linux NFS and
    SMB do, unless they are mounted with locks kept local (``nolock``, ``local_lock``); on SMB the holder may
    not be legible, and is "another process" then. A host that vanished may keep its lock until the server
    gives it up. A file system that has no locks at all is warned of, and nothing is locked.

    Args:
        path: what is written; it need not be there. Missing parents are made, and taken back where they are
            empty at the end.
        option: what names it on the command line, for the message.

    Yields:
        Who was killed while it wrote here, or None.

    Raises:
        DataError: another process holds the lock; the file cannot be made.

    Example:
        >>> from tempfile import mkdtemp
        >>> path = Path(mkdtemp()) / "model"
        >>> with file_lock(path), file_lock(path):
        ...     pass
        Traceback (most recent call last):
        batchprop.errors.DataError: ...model is being written by this process itself (...): wait ...
    """
    path = Path(path).resolve()
    file = path.parent / f".{path.name}.lock"
    made = list[Path]()
    try:
        try:
            made += [folder for folder in file.parents if not folder.exists()]
            file.parent.mkdir(parents=True, exist_ok=True)
            with defer_signals():
                number = _acquire(file, path, option)
                # A process that is ended from a signal's handler takes the file away with it.
                track(file, made)
        except OSError as error:
            raise DataError(
                f"{path} cannot be locked: {error.strerror} ({file}); name another with {option}"
            ) from error
        try:
            yield _write_owner(number)
        finally:
            with defer_signals():
                _release(number, file)
                untrack(file)
    finally:
        remove_empty_dirs(made)


def _acquire(file: Path, path: Path, option: str) -> int:
    """Open the file and lock it: its descriptor."""
    while True:
        number = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(number, path, option)
            if _is_at(file, number):
                return number
        except BaseException:
            os.close(number)
            raise
        # Whoever held it removed the file after we opened it, and others lock the next of that name.
        os.close(number)


def _lock(number: int, path: Path, option: str) -> None:
    try:
        held = not _library().lock_descriptor(number, blocking=False)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        warnings.warn(
            f"the file system of {path} has no locks: see to it that nothing else writes there", stacklevel=6
        )
        return
    if held:
        holder = _format_owner(_read_owner(number))
        raise DataError(f"{path} is being written by {holder}: wait for it, or name another with {option}")


def _is_at(file: Path, number: int) -> bool:
    try:
        return os.path.samestat(file.stat(), os.fstat(number))
    except FileNotFoundError:
        return False


def _write_owner(number: int) -> LockOwner | None:
    """Write down who holds the lock; return who was killed while holding it."""
    before = _read_owner(number)
    os.ftruncate(number, 0)
    os.lseek(number, 0, os.SEEK_SET)
    os.write(number, b"\n" * _TEXT_AT + f"{os.getpid()} {socket.gethostname()}\n".encode())
    return before


def _read_owner(number: int) -> LockOwner | None:
    try:
        os.lseek(number, _TEXT_AT, os.SEEK_SET)
        text = os.read(number, 1000).decode(errors="replace")
    except OSError:
        return None
    found = re.fullmatch(r"(\d{1,10}) (\S+)\n", text)
    return LockOwner(int(found[1]), found[2]) if found else None


def _format_owner(holder: LockOwner | None) -> str:
    if holder is None:
        # It has just begun, and not yet written who it is; or nobody may read the file.
        return "another process"
    here = socket.gethostname()
    if holder == (os.getpid(), here):
        return f"this process itself ({holder.process})"
    return f"process {holder.process}" + ("" if holder.host == here else f" on {holder.host}")


def _release(number: int, file: Path) -> None:
    """Remove the file and end the lock.

    The file goes first: removed after the end of the lock, it might be another's by then. Windows removes no
    open file, and none that another has opened meanwhile.
    """
    last = os.name == "nt"
    if not last:
        _remove(file, number)
    os.close(number)
    if last:
        with suppress(OSError):
            file.unlink()


def _remove(file: Path, number: int) -> None:
    with suppress(OSError):
        if _is_at(file, number):
            file.unlink()


completed_paths: list[Path] = []
"""What took its final name, in order: whoever is interrupted later can say so."""

_unfinished: dict[Path, list[Path]] = {}

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def temporary_path(path: Path, made: list[Path] | None = None) -> Iterator[None]:
    """Remove a file or folder when the block ends, however it ends; what was renamed away stays.

    Args:
        path: to be made in the block; it need not be there at the end.
        made: folders that were made for it, the innermost first, taken back where they are empty.

    Example:
        >>> from tempfile import mkdtemp
        >>> part = Path(mkdtemp()) / ".model.partial"
        >>> with temporary_path(part):
        ...     _ = part.write_text("half of a mod")
        >>> part.exists()
        False
    """
    # Registered first: a signal may come between any two lines.
    track(path, [] if made is None else made)
    try:
        yield
    finally:
        _undo(path)


def track(path: Path, made: list[Path]) -> None:
    """Have ``cleanup_all`` remove a file or folder, and the folders made for it, until ``untrack``."""
    _unfinished[path] = made


def untrack(path: Path) -> None:
    """Let a file or folder stay, or be another's from now on."""
    _unfinished.pop(path, None)


def cleanup_all() -> None:
    """Remove whatever is registered, the latest first, for a process that is about to end."""
    for path in reversed(list(_unfinished)):
        _undo(path)


def _undo(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        path.unlink(missing_ok=True)
    remove_empty_dirs(_unfinished.get(path, []))
    untrack(path)


def remove_empty_dirs(folders: list[Path]) -> None:
    """Remove folders that were made, the innermost first; one that holds what was written meanwhile stays."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


@contextmanager
def defer_signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until the block has ended: for a few renames that belong together.

    Example:
        >>> done = []
        >>> try:
        ...     with defer_signals():
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


def fsync_path(path: Path) -> None:
    """Have the file or folder on the disk before its name says that it is whole."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
