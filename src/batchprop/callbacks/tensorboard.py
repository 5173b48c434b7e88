"""Epochs as scalars of TensorBoard: each fit is a run in its own folder, and each epoch is there at once."""

import os
import re
import socket
import struct
from itertools import count
from pathlib import Path
from time import time
from typing import Any

from batchprop.callbacks.base import LoggerCallback
from batchprop.errors import BatchpropError

_VERSION = "brain.Event:2"


class TensorBoardLogger(LoggerCallback):
    """Log each epoch as scalars for TensorBoard.

    Every fit writes to a folder of its own, ``fit-1``, ``fit-2``, ..., which TensorBoard shows as runs; so do
    the fits of a search, also in several processes. An epoch is appended and the file closed, so nothing is
    open between epochs and nothing is lost with the process. The step is the number of the epoch; the scalars
    are ``loss``, ``learning_rate``, ``rows_per_second``, and where there are any ``validation_loss`` and
    ``validation_score``. Needs the extra ``batchprop[tensorboard]``.

    Args:
        folder: to be shown by ``tensorboard --logdir FOLDER``; made when a fit begins.

    Attributes:
        path: the folder of the last fit, or None.

    Example:
        >>> import batchprop as bp
        >>> clf = bp.MLPClassifier(callbacks=[bp.callbacks.TensorBoardLogger("runs")])
        >>> clf.callbacks
        [TensorBoardLogger(folder='runs')]
    """

    _file: Path | None = None

    def __init__(self, folder: str | Path) -> None:
        self.folder = folder

    def _init_params(self) -> list[tuple[str, Any]]:
        return [("folder", str(self.folder))]

    @property
    def path(self) -> Path | None:
        """The folder of the last fit, or None."""
        return self._file and self._file.parent

    def _start(self, estimator: Any, *, goes_on: bool) -> None:
        _libraries()
        if goes_on and self._file is not None and self._file.exists():
            return
        self._file = None
        folder = _next_run_dir(Path(self.folder))
        # The name that TensorBoard looks for: the time makes files sort, host and process tell them apart.
        name = f"events.out.tfevents.{int(time())}.{socket.gethostname()}.{os.getpid()}"
        (folder / name).write_bytes(_record(file_version=_VERSION))
        self._file = folder / name

    def _log(self, step: int, found: dict[str, float]) -> None:
        assert self._file is not None  # noqa: S101 a log was begun
        with self._file.open("ab") as file:
            file.write(_record(step=step, scalars=found))

    def _end(self, status: str) -> None:
        if self._file is not None and self._step == 0:
            # The fit ended before its first epoch did: there is no run to show.
            self._file.unlink()
            self._file.parent.rmdir()
            self._file, self._begun = None, False


def _next_run_dir(folder: Path) -> Path:
    """Make the next folder ``fit-N``; no other process gets the same."""
    folder.mkdir(parents=True, exist_ok=True)
    taken = [int(found[1]) for path in folder.iterdir() if (found := re.fullmatch(r"fit-(\d+)", path.name))]
    for number in count(max(taken, default=0) + 1):
        try:
            (folder / f"fit-{number}").mkdir()
        except FileExistsError:
            continue
        return folder / f"fit-{number}"
    raise AssertionError


def _record(*, scalars: dict[str, float] | None = None, **what: Any) -> bytes:
    """An event as a record of a TFRecord file: its length and its bytes, a checksum behind each."""
    Event, Summary, checksum = _libraries()
    if scalars is not None:
        what["summary"] = Summary(
            value=[Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
        )
    data = Event(wall_time=time(), **what).SerializeToString()
    length = struct.pack("<Q", len(data))
    return b"".join(part + struct.pack("<I", checksum(part)) for part in (length, data))


def _libraries() -> tuple[Any, Any, Any]:
    try:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary
        from tensorboardX.record_writer import masked_crc32c
    except ModuleNotFoundError as error:
        raise BatchpropError(
            f"logging for TensorBoard needs {error.name}, which is not installed: "
            'pip install "batchprop[tensorboard]"'
        ) from error
    return Event, Summary, masked_crc32c
