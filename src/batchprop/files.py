"""Writing safely: temporary files, signals held back, and a lock against a second writer.

A file or folder is written under a temporary name and renamed when it is complete, so that its final name
never holds half of it. If the process ends before that, the temporary is removed.
"""

import errno
import os
import re
import secrets
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

# Temporary files

completed_paths: list[Path] = []
"""The paths that got their final names, in order, for the message of an interrupted command."""

_temporaries: dict[Path, list[Path]] = {}
"""Each temporary that ``cleanup_all`` removes, with the folders that were made for it, innermost first."""


@contextmanager
def temporary_path(path: Path, new_dirs: list[Path] | None = None) -> Iterator[None]:
    """Remove a path, and the folders made for it, however the block ends; what was renamed stays."""
    # Tracked before it exists: a signal may come between any two lines.
    track(path, [] if new_dirs is None else new_dirs)
    try:
        yield
    finally:
        _remove_temporary(path)


def atomic_write(content: bytes, path: str | os.PathLike[str]) -> None:
    """Write a file next to its final path, sync it, and rename it: no half-written file gets the name."""
    path = Path(path)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    with temporary_path(part):
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)


def track(path: Path, new_dirs: list[Path]) -> None:
    """Have ``cleanup_all`` remove a path and the folders made for it, the innermost first."""
    _temporaries[path] = new_dirs


def untrack(path: Path) -> None:
    """Have ``cleanup_all`` leave a path alone."""
    _temporaries.pop(path, None)


def cleanup_all() -> None:
    """Remove every tracked path, the latest first, in a process that is about to end."""
    for path in reversed(list(_temporaries)):
        _remove_temporary(path)


def remove_empty_dirs(folders: list[Path]) -> None:
    """Remove the folders that are empty, the innermost first."""
    for folder in folders:
        # A folder in which somebody has written meanwhile cannot be removed, and stays.
        with suppress(OSError):
            folder.rmdir()


def fsync_path(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    # Without it a power cut after the rename may leave the final name with an empty file.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_temporary(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        path.unlink(missing_ok=True)
    remove_empty_dirs(_temporaries.get(path, []))
    untrack(path)


# Signals

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def defer_signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait for the end of the block, such as two renames that belong together."""
    if threading.current_thread() is not threading.main_thread():
        # Python runs signal handlers in the main thread, and lets no other thread set them.
        yield
        return
    received = list[int]()

    def record(number: int, _: FrameType | None) -> None:
        received.append(number)

    # getsignal returns None for a handler that C code installed: it could not be restored, and is left alone.
    handlers = {number: handler for number in _SIGNALS if (handler := signal.getsignal(number)) is not None}
    try:
        for number in handlers:
            signal.signal(number, record)
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for late in received:
            signal.raise_signal(late)


# Locks
#
# The lock is the operating system's, on the file .NAME.lock next to NAME. It ends with its process, even a
# killed one: the file that then stays behind blocks nobody and names the killed process. A child process
# forked meanwhile also holds the lock until it ends.
#
# On a network drive, hosts exclude each other only if the drive forwards locks. On Linux, NFS and SMB do,
# unless they are mounted with local locks (nolock, local_lock); on SMB the owner may be unreadable, and is
# then reported as "another process". A host that vanished may keep its lock until the server releases it.

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""The errors of file systems that have no locks."""

_OWNER_OFFSET = 1
"""Where the owner's name begins in the lock file: on Windows nobody can read the locked byte, the first."""


class LockOwner(NamedTuple):
    """The process that holds a lock, or held it when it was killed.

    Attributes:
        process: its number.
        host: the name of its machine.
    """

    process: int
    host: str


@contextmanager
def file_lock(path: str | Path, *, parameter: str = "path") -> Iterator[LockOwner | None]:
    """Lock a path, which need not exist, against other writers; yield the owner that was killed, or None."""
    # `parameter` is what the caller names the path; the commands show it as an option.
    path = Path(path).resolve()
    file = path.parent / f".{path.name}.lock"
    new_dirs = list[Path]()
    try:
        try:
            new_dirs += [folder for folder in file.parents if not folder.exists()]
            file.parent.mkdir(parents=True, exist_ok=True)
            with defer_signals():
                descriptor = _acquire(file, path, parameter)
                # A signal handler that ends the process removes the lock file with the temporaries.
                track(file, new_dirs)
        except OSError as error:
            raise DataError(
                f"{path} cannot be locked: {error.strerror} ({file}); name another with `{parameter}`"
            ) from error
        try:
            yield _write_owner(descriptor)
        finally:
            with defer_signals():
                _release(descriptor, file)
                untrack(file)
    finally:
        remove_empty_dirs(new_dirs)


def _acquire(file: Path, path: Path, parameter: str) -> int:
    """Open the lock file, lock it, and return its descriptor."""
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(descriptor, path, parameter)
            if _is_at(file, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # The owner before us removed the file after we opened it: others lock a new file of that name.
        os.close(descriptor)


def _lock(descriptor: int, path: Path, parameter: str) -> None:
    try:
        is_held = not _import_filelock().lock_descriptor(descriptor, blocking=False)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        # Such a file system must stay usable: warn, and write without a lock.
        warnings.warn(
            f"the file system of {path} has no locks: see to it that nothing else writes there", stacklevel=6
        )
        return
    if is_held:
        owner = _format_owner(_read_owner(descriptor))
        raise DataError(
            f"{path} is being written by {owner}: wait for it, or name another with `{parameter}`"
        )


def _is_at(file: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(file.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _write_owner(descriptor: int) -> LockOwner | None:
    """Write this process as the owner; return the owner that was killed, or None."""
    killed = _read_owner(descriptor)
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, b"\n" * _OWNER_OFFSET + f"{os.getpid()} {socket.gethostname()}\n".encode())
    return killed


def _read_owner(descriptor: int) -> LockOwner | None:
    try:
        os.lseek(descriptor, _OWNER_OFFSET, os.SEEK_SET)
        text = os.read(descriptor, 1000).decode(errors="replace")
    except OSError:
        return None
    match = re.fullmatch(r"(\d{1,10}) (\S+)\n", text)
    return LockOwner(int(match[1]), match[2]) if match else None


def _format_owner(owner: LockOwner | None) -> str:
    if owner is None:
        # The owner has just begun and not written its name yet, or the file is unreadable.
        return "another process"
    host = socket.gethostname()
    if owner == (os.getpid(), host):
        return f"this process itself ({owner.process})"
    return f"process {owner.process}" + ("" if owner.host == host else f" on {owner.host}")


def _release(descriptor: int, file: Path) -> None:
    """Remove the lock file and release the lock."""
    # The file goes first: after the release it may be another process's. Windows does not remove an open
    # file, nor one that another process has opened meanwhile.
    if os.name == "nt":
        os.close(descriptor)
        with suppress(OSError):
            file.unlink()
        return
    with suppress(OSError):
        if _is_at(file, descriptor):
            file.unlink()
    os.close(descriptor)


def _import_filelock() -> Any:
    try:
        import filelock
    except ImportError:
        raise ParameterError(
            "locks need the library filelock: pip install 'batchprop[safetensors]'"
        ) from None
    return filelock
