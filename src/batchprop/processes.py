"""The processes that train together: by default this one alone.

A fit asks ``current()`` for what must be the same in all processes. Alone every answer is its own, so that
there is one path through a fit; ``distributed.initialize`` sets the processes that communicate.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Share(NamedTuple):
    """The rows of this process among those of all, which are numbered through in the order of the processes.

    Attributes:
        starts: the number of each process's first row, and at the end that of all rows.
        process: the number of this process.
    """

    starts: tuple[int, ...]
    process: int

    @property
    def n_rows(self) -> int:
        """The number of rows of all processes."""
        return self.starts[-1]

    @property
    def start(self) -> int:
        """The number of this process's first row."""
        return self.starts[self.process]

    def owners(self, rows: NDArray[np.integer]) -> NDArray[np.intp]:
        """Return the process that holds each row ``(n,)``.

        Example:
            >>> Share((0, 3, 3, 5), 0).owners(np.array([0, 2, 3]))
            array([0, 0, 2])
        """
        return np.searchsorted(self.starts, rows, side="right") - 1

    def own(self, rows: NDArray[np.integer]) -> NDArray[np.integer]:
        """Return those of some rows that this process holds, by its own numbers, in their order."""
        mine: NDArray[np.integer] = rows[self.owners(rows) == self.process] - self.start
        return mine

    def assemble(self, rows: NDArray[np.integer], parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Return what the processes hold of some rows, in the order of the rows.

        Args:
            rows: ``(n,)``, numbered through.
            parts: for each process what it has of its own among them, in their order.

        Example:
            >>> Share((0, 2, 4), 0).assemble(np.array([3, 0, 2]), [np.array([10]), np.array([13, 12])])
            array([13, 10, 12])
        """
        owners = self.owners(rows)
        result = np.empty((len(rows), *parts[0].shape[1:]), dtype=np.result_type(*parts))
        for process, part in enumerate(parts):
            result[owners == process] = part
        return result


class Processes:
    """The processes that train together; here one, which needs nobody.

    Attributes:
        index: the number of this process, from 0; process 0 prints and writes.
        count: how many there are.
        local_count: how many of them share this machine.
        mesh: of their devices (``engines.sharding.ProcessMesh``); None for one process.
    """

    index: int = 0
    count: int = 1
    local_count: int = 1
    mesh: Any = None

    def broadcast(self, value: Any) -> Any:
        """Return process 0's plain data: dicts, lists, text, numbers, arrays."""
        return value

    def gather(self, value: Any) -> list[Any]:
        """Return the plain data of each process, in their order."""
        return [value]

    def gather_rows(self, rows: NDArray[Any]) -> list[NDArray[Any]]:
        """Return the rows of each process, ``(n_p, ...)`` of one type, in their order."""
        return [rows]

    def largest(self, numbers: Sequence[int]) -> list[int]:
        """Return the largest of each number over the processes; it takes the least time."""
        return [*numbers]

    def guard(self) -> AbstractContextManager[None]:
        """Raise an error of one process in the block in all of them: no other waits for it forever."""
        return nullcontext()

    def report_errors(self) -> AbstractContextManager[None]:
        """Explain the errors of a lost connection in the block, and watch over it."""
        return nullcontext()

    def agree(self, *, flag: bool, error: BaseException | None = None) -> bool:
        """Return whether the flag of any process is set; raise an error of one in all of them."""
        if error is not None:
            raise error
        return flag

    def note_progress(self) -> None:
        """Note that a chunk of the work is done; raise KeyboardInterrupt in all if a signal came to one."""

    def close(self) -> None:
        """End what watches over the processes."""

    def share(self, n_rows: int) -> Share:
        """Return the share of this process, which holds so many rows, among all."""
        lengths = [int(n) for n in self.gather(n_rows)]
        return Share((0, *np.cumsum(lengths).tolist()), self.index)

    def own_part(self, n: int) -> slice:
        """Return this process's part of n items that all processes have, dealt out evenly."""
        bounds = [n * i // self.count for i in (self.index, self.index + 1)]
        return slice(*bounds)


_SINGLE = Processes()
_current = [_SINGLE]


def current() -> Processes:
    """Return the processes that train together."""
    return _current[-1]


def set_current(processes: Processes | None) -> None:
    """Set the processes that train together; None for this one alone."""
    _current[-1] = processes or _SINGLE


def is_shared(error: BaseException) -> bool:
    """Whether all processes know of an error, and end with it."""
    return bool(getattr(error, "is_shared", False))
