"""Rows that cannot be trained on: the first one stops the run, or they are left out, listed and counted."""

import csv
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, get_args, overload

import numpy as np

from batchprop.errors import DataError, unknown_option_error

OnBadRow: TypeAlias = Literal["error", "skip"]

MAX_SKIPPED = 0.01
"""The share of a table's rows that may be left out, where nobody says."""

_REMEDY = '--on-bad-row skip (on_bad_row="skip") leaves such rows out'
_MAX_REASONS = 1000


class BadRowError(DataError):
    """A row that cannot be used, and could be left out.

    Attributes:
        reason: without the advice to leave it out, for whoever needs every row.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}; {_REMEDY}")
        self.reason = reason


class RejectedRow(NamedTuple):
    """A row that was left out: its file, its line there (in Parquet its row), counted from 1, and why."""

    file: Path
    line: int
    reason: str


class RejectedRows(Sequence[RejectedRow]):
    """The rows that were left out of a table, by file and line; 16 bytes each.

    >>> bad = RejectedRows("skip")
    >>> bad.add(Path("a.csv"), 7, "its target is missing")
    >>> bad.add(Path("a.csv"), 3, "1 field where the first line names 2")
    >>> len(bad), bad[0].line
    (2, 3)
    >>> RejectedRows("error").add(Path("a.csv"), 7, "its target is missing")
    Traceback (most recent call last):
    batchprop.data.rejects.BadRowError: a.csv, line 7: its target is missing; correct the row; ...
    """

    def __init__(self, on_bad_row: OnBadRow, most: float = MAX_SKIPPED) -> None:
        self.most = most
        if on_bad_row not in get_args(OnBadRow):
            raise unknown_option_error("on_bad_row", on_bad_row, get_args(OnBadRow))
        self.on_bad_row = on_bad_row
        self._files = dict[Path, int]()
        self._reasons = dict[str, int]()
        self._unit = "line"
        self._of_file, self._lines, self._of_reason = array("l"), array("q"), array("i")
        self._order: list[int] | None = None

    def add(
        self, file: Path, line: int, reason: str, *, remedy: str = "correct the row", unit: str = "line"
    ) -> None:
        """Leave a row out.

        Args:
            file: where it stands.
            line: on which line it begins, or which row it is, counted from 1.
            reason: why it cannot be used.
            remedy: what to do about it, but for leaving it out.
            unit: "line" or "row".

        Raises:
            DataError: no row may be left out.
        """
        if self.on_bad_row == "error":
            raise BadRowError(f"{file}, {unit} {line}: {reason}; {remedy}")
        self._unit = unit  # the files of a table are of one kind
        if len(self._reasons) >= _MAX_REASONS and reason not in self._reasons:
            reason = "it does not parse"
        self._of_file.append(self._files.setdefault(file, len(self._files)))
        self._lines.append(line)
        self._of_reason.append(self._reasons.setdefault(reason, len(self._reasons)))
        self._order = None

    def truncate(self, count: int) -> None:
        """Forget all but the first rows that were left out: those behind them are read once more."""
        for column in (self._of_file, self._lines, self._of_reason):
            del column[count:]
        self._order = None

    def check_share(self, rows: int) -> None:
        """Check that no more of the rows were left out than may be.

        Args:
            rows: how many the table has, those left out among them.

        Raises:
            DataError: there are more; the message names the first.
        """
        if len(self) <= self.most * rows:
            return
        first = self[0]
        raise DataError(
            f"{len(self):,} of {rows:,} rows cannot be used, and at most {100 * self.most:g}% may be left "
            f"out; the first stands in {first.file}, {self._unit} {first.line}: {first.reason}; correct "
            "them, or let more be left out with --most-skipped (max_skipped=)"
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
        return next(self._rows([self._sorted[index]]))

    def __iter__(self) -> Iterator[RejectedRow]:
        return self._rows(self._sorted)

    @property
    def _sorted(self) -> list[int]:
        """The places of the rows in the order of their files and lines."""
        if self._order is None:
            self._order = np.lexsort((self._lines, self._of_file)).tolist()
        return self._order

    def _rows(self, places: Iterable[int]) -> Iterator[RejectedRow]:
        files, reasons = list(self._files), list(self._reasons)
        for at in places:
            yield RejectedRow(files[self._of_file[at]], self._lines[at], reasons[self._of_reason[at]])


def write_rejects(skipped: Sequence[RejectedRow], path: Path) -> None:
    """Write the rows that were left out as CSV: file, line (or row) and reason."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(RejectedRow._fields)
        rows.writerows(skipped)
