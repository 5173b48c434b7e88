"""What every export shares: a file that takes its name when it is whole, and an extra that may be missing."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batchprop.errors import BatchpropError


@contextmanager
def require_extra(name: str, purpose: str) -> Iterator[None]:
    """Turn a failed import into one line that says how to install it.

    Args:
        name: of the extra.
        purpose: what needs it, as a sentence begins.

    Raises:
        BatchpropError: a package is not installed.

    Example:
        >>> with require_extra("onnx", "ONNX"):
        ...     raise ModuleNotFoundError("No module named 'skl2onnx'", name="skl2onnx")
        Traceback (most recent call last):
        batchprop.errors.BatchpropError: ONNX needs skl2onnx, ...: pip install "batchprop[onnx]"
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("batchprop"):
            raise
        raise BatchpropError(
            f'{purpose} needs {error.name}, which is not installed: pip install "batchprop[{name}]"'
        ) from error


def atomic_write(content: bytes, path: str | os.PathLike[str]) -> None:
    """Write a file beside its place, have it on the disk, and rename it: a half-written one has no name.

    Args:
        content: all of the file.
        path: where it goes; what stands there is replaced.

    Raises:
        OSError: the system refuses; nothing is left behind, and what stood there stays.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
