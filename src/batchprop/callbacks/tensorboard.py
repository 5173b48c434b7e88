"""A callback that logs epochs to TensorBoard."""

import os
import re
import socket
import struct
from itertools import count
from pathlib import Path
from time import time
from typing import Any

from batchprop.callbacks.base import LoggerCallback
from batchprop.errors import require_extra
from batchprop.files import create_file, make_folder, open_file, remove_empty_dirs, remove_file

_FILE_VERSION = "brain.Event:2"


class TensorBoardLogger(LoggerCallback):
    """Log each epoch as scalars for TensorBoard.

    Each fit writes to a folder of its own (``fit-1``, ``fit-2``, ...), which TensorBoard shows as a run; the
    fits of a search do so too, also in several processes. The callback appends each epoch and closes the
    file, so a killed process loses nothing. The step is the number of the epoch. The scalars are ``loss``,
    ``learning_rate`` and ``rows_per_second``, and with validation ``validation_loss`` and
    ``validation_score``. Needs the extra ``batchprop[tensorboard]``.

    Args:
        folder: the folder for ``tensorboard --logdir FOLDER``, created when a fit starts.

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

    def _start(self, estimator: Any, *, resumed: bool) -> None:
        _import_tensorboardx()
        if resumed and self._file is not None and self._file.exists():
            return
        self._file = None
        folder = _next_run_dir(Path(self.folder))
        # TensorBoard looks for this prefix. The time sorts the files; host and process make them unique.
        name = f"events.out.tfevents.{int(time())}.{socket.gethostname()}.{os.getpid()}"
        with create_file(folder / name) as file:
            file.write(_encode_event(file_version=_FILE_VERSION))
        self._file = folder / name

    def _log(self, step: int, metrics: dict[str, float]) -> None:
        assert self._file is not None  # noqa: S101 the log has started
        with open_file(self._file, append=True) as file:
            file.write(_encode_event(step=step, scalars=metrics))

    def _end(self, status: str) -> None:
        if self._file is not None and self._step == 0:
            # The fit ended before its first epoch: an empty run would stay in TensorBoard's list.
            remove_file(self._file)
            remove_empty_dirs([self._file.parent])
            self._file, self._has_started = None, False


def _next_run_dir(folder: Path) -> Path:
    """Create the next folder ``fit-N``."""
    make_folder(folder)
    numbers = [int(match[1]) for path in folder.iterdir() if (match := re.fullmatch(r"fit-(\d+)", path.name))]
    for number in count(max(numbers, default=0) + 1):
        try:
            # mkdir is atomic: if two processes try the same number, one of them takes the next.
            (folder / f"fit-{number}").mkdir()
        except FileExistsError:
            continue
        return folder / f"fit-{number}"
    raise AssertionError


def _encode_event(*, scalars: dict[str, float] | None = None, **fields: Any) -> bytes:
    """Return an event as a record of a TFRecord file: its length and its bytes, each with a checksum."""
    Event, Summary, checksum = _import_tensorboardx()
    if scalars is not None:
        fields["summary"] = Summary(
            value=[Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
        )
    data = Event(wall_time=time(), **fields).SerializeToString()
    length = struct.pack("<Q", len(data))
    return b"".join(part + struct.pack("<I", checksum(part)) for part in (length, data))


def _import_tensorboardx() -> tuple[Any, Any, Any]:
    # Its encoder alone, not its SummaryWriter, which keeps a thread and an open file and cannot be pickled.
    with require_extra("tensorboard", "logging for TensorBoard"):
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary
        from tensorboardX.record_writer import masked_crc32c
    return Event, Summary, masked_crc32c
