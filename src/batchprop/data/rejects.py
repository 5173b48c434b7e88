"""Bad rows, which cannot be parsed or have no target: an error at the first, or skipped and listed."""

import csv
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, get_args, overload

import numpy as np

from batchprop.errors import DataError, unknown_option_error
from batchprop.files import create_text
from batchprop.format import format_percent

OnBadRow: TypeAlias = Literal["error", "skip"]

MAX_SKIPPED = 0.01
"""The default for the share of rows that may be skipped."""

_REMEDY = "on_bad_row='skip' skips such rows"
_MAX_REASONS = 1000  # a reason may quote the row, and a million of those would fill the memory


class BadRowError(DataError):
    """An unusable row that could be skipped; ``reason`` is the message without that advice."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}; {_REMEDY}")
        self.reason = reason


class RejectedRow(NamedTuple):
    """A skipped row: its file, its line there (in Parquet its row number), counted from 1, and the reason."""

    file: Path
    line: int
    reason: str


class RejectedRows(Sequence[RejectedRow]):
    """The skipped rows of a table, sorted by file and line; they take 16 bytes each.

    >>> bad = RejectedRows("skip")
    >>> bad.add(Path("a.csv"), 7, "its target is missing")
    >>> bad.add(Path("a.csv"), 3, "1 field where the first line names 2")
    >>> len(bad), bad[0].line
    (2, 3)
    >>> RejectedRows("error").add(Path("a.csv"), 7, "its target is missing")
    Traceback (most recent call last):
    batchprop.data.rejects.BadRowError: a.csv, line 7: its target is missing; correct the row; ...
    """

    def __init__(self, on_bad_row: OnBadRow, max_skipped: float = MAX_SKIPPED) -> None:
        self.max_skipped = max_skipped
        if on_bad_row not in get_args(OnBadRow):
            raise unknown_option_error("on_bad_row", on_bad_row, get_args(OnBadRow))
        self.on_bad_row = on_bad_row
        self._files = dict[Path, int]()
        self._reasons = dict[tuple[str, str], int]()  # with the remedy of each
        self._unit = "line"
        self._file_index, self._lines, self._reason_index = array("l"), array("q"), array("i")
        self._order: list[int] | None = None

    def add(
        self, file: Path, line: int, reason: str, *, remedy: str = "correct the row", unit: str = "line"
    ) -> None:
        """Skip a row, or raise ``BadRowError`` if no row may be skipped.

        ``line`` is the line on which the row begins, or with ``unit="row"`` its number, counted from 1.
        """
        if self.on_bad_row == "error":
            raise BadRowError(f"{file}, {unit} {line}: {reason}; {remedy}")
        self._unit = unit  # all files of a table have one format
        explanation = reason, remedy
        if len(self._reasons) >= _MAX_REASONS and explanation not in self._reasons:
            explanation = "it does not parse", "correct the row"
        self._file_index.append(self._files.setdefault(file, len(self._files)))
        self._lines.append(line)
        self._reason_index.append(self._reasons.setdefault(explanation, len(self._reasons)))
        self._order = None

    def truncate(self, count: int) -> None:
        """Forget all but the first ``count`` rows: the rows behind them are read again."""
        for column in (self._file_index, self._lines, self._reason_index):
            del column[count:]
        self._order = None

    def check_share(self, rows: int) -> None:
        """Raise ``DataError`` if more than the allowed share of all ``rows`` was skipped, or all were."""
        if len(self) <= self.max_skipped * rows and len(self) < max(rows, 1):
            return
        first, many = self[0], f"{len(self):,} of {rows:,} rows cannot be used"
        which = "it" if len(self) == 1 else "the first"
        remedy = list(self._reasons)[self._reason_index[self._sorted_order[0]]][1]
        where = f"{which} is in {first.file}, {self._unit} {first.line}: {first.reason}; {remedy}"
        if len(self) == rows:
            raise DataError(f"{many}, so none is left; {where}")
        raise DataError(
            f"{many}, and at most {format_percent(self.max_skipped)} may be skipped; {where}, or "
            "allow more with `max_skipped`"
        )

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, index: int) -> RejectedRow: ...
    @overload
    def __getitem__(self, index: slice) -> list[RejectedRow]: ...
    def __getitem__(self, index: int | slice) -> RejectedRow | list[RejectedRow]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return next(self._iter_rows([self._sorted_order[index]]))

    def __iter__(self) -> Iterator[RejectedRow]:
        return self._iter_rows(self._sorted_order)

    @property
    def _sorted_order(self) -> list[int]:
        """The indices of the rows, sorted by file and line."""
        if self._order is None:
            self._order = np.lexsort((self._lines, self._file_index)).tolist()
        return self._order

    def _iter_rows(self, indices: Iterable[int]) -> Iterator[RejectedRow]:
        files, reasons = list(self._files), list(self._reasons)
        for index in indices:
            reason, _ = reasons[self._reason_index[index]]
            yield RejectedRow(files[self._file_index[index]], self._lines[index], reason)


def write_rejects(skipped: Sequence[RejectedRow], path: Path) -> None:
    """Write the skipped rows as CSV: file, line (or row number) and reason."""
    with create_text(path) as file:
        rows = csv.writer(file)
        rows.writerow(RejectedRow._fields)
        rows.writerows(skipped)
