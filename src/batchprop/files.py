"""Writing safely: exclusive files, temporary folders, signals held back, and a lock against a second writer.

A file or folder is written under a temporary name and renamed when it is complete, so that its final name
never holds half of it. If the process ends before that, the temporary is removed; if it is killed, the next
run removes it. No function here follows a link that stands under the name of a file of ours, waits for a
pipe, or removes what it did not make.
"""

import errno
import hashlib
import os
import re
import secrets
import shutil
import signal
import socket
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO, NamedTuple, NoReturn, TextIO

from batchprop.errors import DataError, ParameterError

# Files

# Windows has none of these flags: there a link needs a privilege, and no pipe has a name in a folder.
_NO_FOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT: int = getattr(os, "O_NONBLOCK", 0)
_PLAIN: int = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOINHERIT", 0)

_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def exists(path: Path) -> bool:
    """Whether anything has this name, even a link that leads nowhere."""
    return os.path.lexists(path)


def kind_of(path: Path) -> str:
    """Say what has a name, without following a link: "a link", "a pipe"; "" for a regular file or nothing."""
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return _KINDS.get(stat.S_IFMT(mode), "")


def check_file(path: Path, parameter: str = "path") -> None:
    """Check that a name is free, or that of a regular file.

    Raises:
        DataError: a link, a folder, a pipe or a device has it.
    """
    if kind := kind_of(path):
        raise DataError(f"{path} exists and is not a file (it is {kind}): name another with `{parameter}`")


def check_folder(path: Path, parameter: str = "path") -> None:
    """Check that a name is free, or that of a folder; a link to one is refused too.

    Raises:
        DataError: something else has it.
    """
    if exists(path) and (kind := kind_of(path) or "a file") != "a folder":
        raise DataError(f"{path} exists and is not a folder (it is {kind}): name another with `{parameter}`")


def create_file(path: str | os.PathLike[str]) -> BinaryIO:
    """Create a file that was not there, and open it to write bytes; a link is never followed."""
    return os.fdopen(_create(path), "wb")


def create_text(path: str | os.PathLike[str]) -> TextIO:
    """Create a file that was not there, and open it to write text, whose line ends stay as they are."""
    return os.fdopen(_create(path), "w", encoding="utf-8", newline="")


def _create(path: str | os.PathLike[str]) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | _PLAIN, 0o666)


def open_file(path: Path, *, append: bool = False, follow: bool = False) -> BinaryIO:
    """Open an existing regular file.

    Args:
        path: the file.
        append: to write at its end, not to read it.
        follow: through a link, as to a file that the user names.

    Raises:
        OSError: there is none, or it is something else, such as a pipe, which would be waited for.
    """
    flags = os.O_WRONLY | os.O_APPEND if append else os.O_RDONLY
    # A device is not even opened: that alone may do something.
    _require_regular(path, path.stat() if follow else path.lstat())
    descriptor = os.open(path, flags | _NO_WAIT | _PLAIN | (0 if follow else _NO_FOLLOW))
    try:
        _require_regular(path, os.fstat(descriptor))
        return os.fdopen(descriptor, "ab") if append else os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _require_regular(path: Path, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if kind := _KINDS.get(stat.S_IFMT(status.st_mode), ""):
        raise OSError(errno.EINVAL, f"it is {kind}, not a file", str(path))


def copy_file(path: Path, copy: Path) -> None:
    """Copy the content of a regular file into a new file."""
    with open_file(path, follow=True) as source, create_file(copy) as target:
        shutil.copyfileobj(source, target)


def remove_file(path: Path) -> None:
    """Remove a file; what is missing, or no regular file and so none of ours, is left alone."""
    with suppress(FileNotFoundError):
        if stat.S_ISREG(path.lstat().st_mode):
            path.unlink()


def remove_empty_dirs(folders: list[Path]) -> None:
    """Remove the folders that are empty, the innermost first."""
    for folder in folders:
        # A folder in which somebody has written meanwhile cannot be removed, and stays.
        with suppress(OSError):
            folder.rmdir()


def make_folder(path: Path, mode: int = 0o777) -> list[Path]:
    """Create a folder and its parents where they are missing; return the created ones, innermost first."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(mode, parents=True, exist_ok=True)
    except BaseException:
        remove_empty_dirs(missing)
        raise
    return missing


def fsync_path(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    # Without it a power cut after the rename may leave the final name with an empty file. Windows opens no
    # folder, and syncs only what is open to write.
    on_windows = os.name == "nt"
    if on_windows and path.is_dir():
        return
    flags = (os.O_RDWR if on_windows else os.O_RDONLY) | _NO_FOLLOW | _NO_WAIT | _PLAIN
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# Temporary files
#
# Their names tell whose they are: .NAME.MACHINE-PROCESS-RANDOM.partial. What a killed process left is removed
# by the next run on the same machine, once the process is gone.

PARTIAL = ".partial"
"""How the name of a temporary next to its final path ends."""

OLD = ".old"
"""What is added to the name of a folder that is being replaced, within the temporary folder."""

completed_paths: list[Path] = []
"""The paths that got their final names, in order, for the message of an interrupted command."""


class _Temporary(NamedTuple):
    """What ``cleanup_all`` knows of a path: its device and file number, and the folders made for it."""

    identity: tuple[int, int]
    new_dirs: list[Path]


_temporaries: dict[Path, _Temporary] = {}


def temporary_name(prefix: str, suffix: str = PARTIAL) -> str:
    """Return a new name that tells the machine and the process."""
    return f"{prefix}{_machine()}-{os.getpid()}-{secrets.token_hex(4)}{suffix}"


def _machine() -> str:
    """Name the machine, or the container in it: a process number means nothing elsewhere."""
    namespace = ""
    with suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").stat().st_ino)
    return hashlib.sha256(f"{socket.gethostname()} {namespace}".encode()).hexdigest()[:6]


@contextmanager
def temporary_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Create a temporary folder, and its parents; remove it, and the parents unless used, at the end."""
    path = parent / temporary_name(prefix)
    # A signal between the creation and the tracking would leave it.
    with defer_signals():
        new_dirs = make_folder(parent)
        try:
            path.mkdir()
        except BaseException:
            remove_empty_dirs(new_dirs)
            raise
        track(path, new_dirs)
    try:
        yield path
    finally:
        _remove_temporary(path)


def atomic_write(content: bytes, path: str | os.PathLike[str]) -> None:
    """Write a file next to its final path, sync it, and rename it: no half-written file gets the name.

    Raises:
        DataError: the final path is a link, a folder, a pipe or a device.
        OSError: the file cannot be written.
    """
    path = Path(path)
    check_file(path)
    remove_abandoned(path)
    part = path.with_name(temporary_name(f".{path.name}."))
    with defer_signals():
        file = create_file(part)
        track(part, [])
    try:
        with file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        check_file(path)
        part.replace(path)
    finally:
        _remove_temporary(part)
    fsync_path(path.parent)


def make_private_folder(parent: Path, prefix: str) -> Path:
    """Create a temporary folder that no other user may enter."""
    path = parent / temporary_name(prefix, "")
    path.mkdir(0o700)
    return path


def remove_abandoned_folders(parent: Path, prefix: str) -> None:
    """Remove the private folders that killed processes left."""
    for folder in _abandoned(parent, re.escape(prefix), ""):
        remove_folder(folder)


def remove_abandoned(path: Path) -> None:
    """Remove what killed processes left next to a path; restore a folder that one was about to replace."""
    for partial in _abandoned(path.parent, re.escape(f".{path.name}."), PARTIAL):
        with suppress(OSError):
            old = partial / (path.name + OLD)
            if kind_of(old) == "a folder" and not exists(path):
                old.rename(path)
        _remove(partial)


def remove_all_abandoned(folder: Path) -> None:
    """Remove what killed processes left in a folder in which only we write."""
    for partial in _abandoned(folder, r"\..+\.", PARTIAL):
        _remove(partial)


def _abandoned(parent: Path, prefix: str, suffix: str) -> list[Path]:
    """Return the temporaries in a folder whose process is gone; the prefix is a regular expression."""
    pattern = re.compile(rf"{prefix}{_machine()}-(\d{{1,9}})-[0-9a-f]{{8}}{re.escape(suffix)}", re.DOTALL)
    try:
        names = {name: match for name in os.listdir(parent) if (match := pattern.fullmatch(name))}  # noqa: PTH208
    except OSError:
        return []
    return [
        parent / name for name, match in names.items() if _is_dead(int(match[1])) and _is_mine(parent / name)
    ]


def _is_dead(process: int) -> bool:
    if os.name == "nt":
        # There os.kill would end it.
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _is_mine(path: Path) -> bool:
    """Whether a path is a file or folder, no link, of this user."""
    try:
        status = path.lstat()
    except OSError:
        return False
    regular = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
    return regular and (os.name == "nt" or status.st_uid == os.geteuid())


def track(path: Path, new_dirs: list[Path]) -> None:
    """Have ``cleanup_all`` remove an existing path and the folders made for it, the innermost first."""
    _temporaries[path] = _Temporary(_identity(path), new_dirs)


def untrack(path: Path) -> None:
    """Have ``cleanup_all`` leave a path alone."""
    _temporaries.pop(path, None)


def cleanup_all() -> None:
    """Remove every tracked path, the latest first, in a process that is about to end."""
    for path in reversed(list(_temporaries)):
        _remove_temporary(path)


def _remove_temporary(path: Path) -> None:
    """Remove a tracked path, unless another file has got its name meanwhile."""
    temporary = _temporaries.get(path)
    if temporary is None:
        return
    with suppress(OSError):
        if _identity(path) == temporary.identity:
            _remove(path)
    remove_empty_dirs(temporary.new_dirs)
    untrack(path)


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino


def remove_folder(path: Path) -> None:
    """Remove a folder of ours with all that is in it; a link in it is removed, one in its place is left."""
    shutil.rmtree(path, ignore_errors=True)


def _remove(path: Path) -> None:
    if kind_of(path) == "a folder":
        remove_folder(path)
    else:
        with suppress(OSError):
            remove_file(path)


# Signals

ENDING_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""The signals that end a command: Ctrl-C, SIGTERM, and on all but Windows the end of its terminal."""


@contextmanager
def defer_signals() -> Iterator[None]:
    """Let signals that end a command wait for the end of the block, such as two renames."""
    if threading.current_thread() is not threading.main_thread():
        # Python runs signal handlers in the main thread, and lets no other thread set them.
        yield
        return
    received = list[int]()

    def record(number: int, _: FrameType | None) -> None:
        received.append(number)

    # getsignal returns None for a handler that C code installed: it could not be restored, and is left alone.
    handlers = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    handlers = {number: handler for number, handler in handlers.items() if handler is not None}
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

_MAX_LOCK_BYTES = 1000

_LOCK_CONTENT = re.compile(rb"\0*|\n(\d{1,10}( (\S+\n?)?)?)?")
"""What a lock file holds, whole, cut off, or as a power cut leaves it; any other file is not overwritten."""


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
    path = Path(os.path.realpath(path))  # `resolve` raises at links that lead in a circle
    file = path.parent / f".{path.name}.lock"
    new_dirs = list[Path]()
    try:
        try:
            with defer_signals():
                new_dirs += make_folder(file.parent)
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
        if kind := kind_of(file):
            _refuse_lock(file, path, kind, parameter)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | _NO_FOLLOW | _NO_WAIT | _PLAIN, 0o666)
        try:
            _lock(descriptor, path, parameter)
            if _is_at(file, descriptor):
                _check_lock(descriptor, file, path, parameter)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # The owner before us removed the file after we opened it: others lock a new file of that name.
        os.close(descriptor)


def _check_lock(descriptor: int, file: Path, path: Path, parameter: str) -> None:
    """Refuse a file that reads as another's, or has a second name, under which it is another's."""
    status = os.fstat(descriptor)
    os.lseek(descriptor, 0, os.SEEK_SET)
    is_ours = _LOCK_CONTENT.fullmatch(os.read(descriptor, _MAX_LOCK_BYTES))
    if not is_ours or status.st_nlink > 1 or not stat.S_ISREG(status.st_mode):
        _refuse_lock(file, path, "another file", parameter)


def _refuse_lock(file: Path, path: Path, kind: str, parameter: str) -> NoReturn:
    raise DataError(
        f"{path} cannot be locked: {file} is {kind}, not a lock of batchprop; move it, or name another with "
        f"`{parameter}`"
    )


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
        return os.path.samestat(file.lstat(), os.fstat(descriptor))
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
        text = os.read(descriptor, _MAX_LOCK_BYTES).decode(errors="replace")
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
