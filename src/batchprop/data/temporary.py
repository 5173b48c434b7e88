"""A temporary folder for tables that must be copied before they can be read."""

import os
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path

from batchprop.errors import DataError
from batchprop.files import make_private_folder, remove_abandoned_folders, remove_folder

_PREFIX = "batchprop-"


class TemporaryDirectory:
    """A temporary folder, removed when it is closed, when nobody uses it any more, or the process ends.

    A killed process leaves its folder, and the next that makes one removes it.
    """

    def __init__(self) -> None:
        with suppress(OSError):
            remove_abandoned_folders(Path(tempfile.gettempdir()), _PREFIX)
        try:
            self.path = make_private_folder(Path(tempfile.gettempdir()), _PREFIX)
        except OSError as error:
            raise DataError(
                f"there is no temporary folder to copy the table to ({error.strerror or error}: "
                f"{error.filename}): set TMPDIR to a folder with space"
            ) from error
        self._remove = weakref.finalize(self, _remove, self.path, os.getpid())

    def close(self) -> None:
        """Remove the folder."""
        self._remove()

    @property
    def is_closed(self) -> bool:
        """Whether the folder is removed."""
        return not self._remove.alive


def _remove(path: Path, process: int) -> None:
    # A forked process that ends does not own it.
    if os.getpid() == process:
        remove_folder(path)
