"""Checkpoints: the state of a fit in files with a checksum; the last two are kept.

A file is in the safetensors format, which holds arrays and text and no code. Its text holds a
SHA-256 of everything else in it.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from batchprop.errors import CheckpointError, ParameterError, warn
from batchprop.files import (
    atomic_write,
    completed_paths,
    kind_of,
    make_folder,
    open_file,
    remove_all_abandoned,
    remove_empty_dirs,
    remove_file,
)

FORMAT = 2

MAX_TO_KEEP = 2
"""The number of checkpoints to keep: if the last is damaged, there is an earlier one."""

_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h)")
_NAME = re.compile(r"checkpoint-(\d{6,})\.safetensors")


class CheckpointData(NamedTuple):
    """The content of a checkpoint file.

    Attributes:
        arrays: by name.
        metadata: plain data: numbers, text, lists and dicts of them.
    """

    arrays: Mapping[str, NDArray[Any]]
    metadata: Mapping[str, Any]


class Checkpoints:
    """A folder in which a fit saves its state, so that it can resume after a crash or a stop.

    Args:
        folder: the folder, created if needed.
        every: how often: a time such as ``"5min"``, ``"30s"``, ``"2h"``, or a number of epochs.

    Raises:
        ParameterError: ``every`` is neither.

    Example:
        >>> import tempfile
        >>> from sklearn.datasets import load_iris
        >>> from batchprop import MLPClassifier
        >>> folder = Path(tempfile.mkdtemp()) / "iris"
        >>> X, y = load_iris(return_X_y=True)
        >>> clf = MLPClassifier(max_iter=3, tol=0, random_state=0, n_iter_no_change=1000)
        >>> import warnings
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")  # more epochs would be better
        ...     short = clf.fit(X, y, checkpoint=Checkpoints(folder, every=1)).loss_
        ...     long = clf.set_params(max_iter=5).fit(X, y, checkpoint=folder, resume=True)
        >>> long.n_iter_, bool(long.loss_ < short), sorted(path.name for path in folder.iterdir())
        (5, True, ['checkpoint-000003.safetensors', 'checkpoint-000004.safetensors'])
    """

    def __init__(self, folder: str | Path, every: str | int = "5min") -> None:
        self.folder = Path(folder)
        self.every = every
        self._seconds, self._epochs = _interval(every)
        self._last_time, self._last_epoch = time.monotonic(), 0

    @classmethod
    def of(cls, checkpoint: Any) -> Checkpoints | None:
        """Convert the argument of ``fit``: a folder, checkpoints, or None.

        Raises:
            ParameterError: it is none of these.
        """
        if checkpoint is None or isinstance(checkpoint, Checkpoints):
            return checkpoint
        if isinstance(checkpoint, str | Path):
            return cls(checkpoint)
        raise ParameterError(
            f"checkpoint={checkpoint!r} is not allowed: give a folder, or "
            "batchprop.Checkpoints(folder, '5min')"
        )

    def files(self) -> list[Path]:
        """The existing checkpoints, the oldest first.

        Raises:
            CheckpointError: the folder is a link, which may lead to files of others.
        """
        if kind_of(self.folder) == "a link":
            raise CheckpointError(f"the folder {self.folder} is a link: name the folder itself, or another")
        if not self.folder.is_dir():
            return []
        return sorted((path for path in self.folder.iterdir() if _NAME.fullmatch(path.name)), key=_number)

    def clear(self) -> None:
        """Remove all checkpoints, and the folder if nothing else is in it."""
        for path in self.files():
            remove_file(path)
        remove_all_abandoned(self.folder)
        remove_empty_dirs([self.folder])

    def should_save(self, epochs: int, *, between: bool) -> bool:
        """Whether another checkpoint is due.

        Args:
            epochs: how many are done.
            between: whether the fit is between two epochs.
        """
        if self._epochs:
            return between and epochs >= self._last_epoch + self._epochs
        return time.monotonic() >= self._last_time + self._seconds

    def write(self, data: CheckpointData, epochs: int) -> Path:
        """Write another checkpoint, and remove all but the last two.

        Args:
            data: its content.
            epochs: how many are done.

        Returns:
            The file.

        Raises:
            CheckpointError: it could not be written; the earlier ones are unchanged.
        """
        earlier = self.files()
        number = _number(earlier[-1]) + 1 if earlier else 1
        path = self.folder / f"checkpoint-{number:06}.safetensors"
        try:
            make_folder(self.folder)
            # A killed process leaves a complete file or none.
            atomic_write(serialize(data), path)
        except OSError as error:
            remedy = f"; {earlier[-1]} is whole, and resuming continues from it" if earlier else ""
            raise CheckpointError(
                f"the checkpoint {path} could not be written: {error.strerror or error}{remedy}; make room, "
                "or name another folder"
            ) from error
        for old in [*earlier, path][:-MAX_TO_KEEP]:
            remove_file(old)
        self._last_time, self._last_epoch = time.monotonic(), epochs
        if self.folder not in completed_paths:
            completed_paths.append(self.folder)
        return path

    def latest(self) -> CheckpointData | None:
        """Read the last undamaged checkpoint; warn about a damaged one.

        Returns:
            Its content; None if there is no checkpoint.

        Raises:
            CheckpointError: all are damaged, or one is of another version of batchprop.
        """
        damaged = list[str]()
        for path in reversed(self.files()):
            try:
                data = deserialize(path)
            except CheckpointError as error:
                damaged.append(str(error))
                continue
            # Another format is not damage: the previous checkpoint has the same.
            _check_format(data, path)
            if damaged:
                warn(f"{damaged[0]}: the one before it, {path.name}, is used")
            return data
        if damaged:
            raise CheckpointError(
                f"{damaged[0]}, and there is no other in {self.folder}: remove the folder and start over"
            )
        return None


def serialize(data: CheckpointData) -> bytes:
    """Return a checkpoint as the bytes of a file that contains its checksum."""
    safetensors = _safetensors()
    text = json.dumps({"format": FORMAT, **data.metadata})
    arrays = {name: np.asarray(array, order="C") for name, array in data.arrays.items()}
    content: bytes = safetensors.numpy.save(arrays, {"batchprop": text, "sha256": sha256(arrays, text)})
    return content


def deserialize(path: Path) -> CheckpointData:
    """Read a checkpoint file and verify its checksum.

    Raises:
        CheckpointError: it is damaged, or not a checkpoint.
    """
    safetensors = _safetensors()
    try:
        # It opens the file by its name, and waits for what is no file.
        open_file(path).close()
        with safetensors.safe_open(path, framework="numpy") as file:
            arrays = {name: np.array(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 no dict
            header = file.metadata() or {}
        whole = header.get("sha256") == sha256(arrays, header.get("batchprop", ""))
    except (safetensors.SafetensorError, OSError, ValueError, TypeError, KeyError, MemoryError) as error:
        raise CheckpointError(f"the checkpoint {path} is damaged ({_in_short(error)})") from error
    if not whole:
        raise CheckpointError(f"the checkpoint {path} is damaged (its checksum is wrong)")
    return CheckpointData(arrays, _metadata(header["batchprop"], path))


def _metadata(text: str, path: Path) -> dict[str, Any]:
    try:
        metadata = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"the checkpoint {path} is no checkpoint ({_in_short(error)})") from error
    if not isinstance(metadata, dict):
        raise CheckpointError(f"the checkpoint {path} is no checkpoint (its text holds no named values)")
    return metadata


def _check_format(data: CheckpointData, path: Path) -> None:
    if (version := data.metadata.get("format")) != FORMAT:
        raise CheckpointError(
            f"the checkpoint {path} has the format {version!r:.40}, and this version of batchprop reads "
            f"{FORMAT}: resume with the version that wrote it, or start over in another folder"
        )


def sha256(arrays: Mapping[str, NDArray[Any]], text: str) -> str:
    """Return the checksum of a checkpoint's arrays and text."""
    checksum = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        checksum.update(f"{name} {array.dtype.str} {array.shape}".encode())
        checksum.update(array.reshape(-1).view(np.uint8).data)
    return checksum.hexdigest()


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise ParameterError(
            "checkpoints need the library safetensors: pip install 'batchprop[safetensors]'"
        ) from None
    return safetensors


def _interval(every: Any) -> tuple[float, int]:
    """Seconds, or epochs; the other is 0."""
    if isinstance(every, int | np.integer) and not isinstance(every, bool) and every >= 1:
        return 0.0, int(every)
    match = _DURATION.fullmatch(every.strip()) if isinstance(every, str) else None
    if match is None:
        raise ParameterError(
            f"every={every!r} is not allowed: give a time, as '5min', '30s' or '2h', or a number of epochs"
        )
    return float(match[1]) * _UNITS[match[2]], 0


def _number(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return 0 if match is None else int(match[1])


def _in_short(error: BaseException) -> str:
    return " ".join(str(error).split())[:80] or type(error).__name__
