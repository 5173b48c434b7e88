"""Text cut into pieces of whole rows: a quoted field may hold ends of lines, and no piece ends within one."""

import codecs
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from batchprop.data.files import check_magic, open_decompressed
from batchprop.errors import DataError

BLOCK_BYTES = 1 << 22
"""Bytes that are read at a time."""

_HINT_BYTES = 16

MAX_ROW_BYTES = 1 << 26
"""Bytes of a row, at most: 64 MiB. What is longer is an open quote, or no table."""

_UNCLOSED_QUOTE = (
    "a quote opens a field here and is {}; close it behind the field, or write a quote that belongs to the "
    "text as two, in a field within quotes"
)
# The first line with which Excel writes and reads the separator of a file.
_SEPARATOR_LINE = re.compile(rb"(?i:\"?sep=([^\r\n])\"?)(?:\r\n?|\n)")
_LINE_FEED, _RETURN = b"\n"[0], b"\r"[0]


class QuotePatterns(NamedTuple):
    """What finds the fields in quotes that go over several lines.

    Attributes:
        quiet: text up to the next quote that opens such a field.
        field: that field: its text, where quotes come in pairs; the quote that closes it; what stands wrongly
            behind that.
    """

    quiet: re.Pattern[bytes]
    field: re.Pattern[bytes]


class UnclosedQuote(NamedTuple):
    """A quote that opens a field and is not closed behind it: where, and what is wrong."""

    line: int
    reason: str


class CsvBlock(NamedTuple):
    """Whole rows of a text.

    Attributes:
        content: their bytes.
        line: the line on which they begin, counted from 1.
        fields: (k, 2), the begin and the end of each field in quotes that goes over several lines.
    """

    content: bytes
    line: int
    fields: npt.NDArray[np.intp]

    def starts(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Return where each row begins (n,), and on which line (n,); blank lines are no rows."""
        ends = _line_ends(self.content)
        begins = np.concatenate([[0], ends])
        if begins[-1] == len(self.content):
            begins = begins[:-1]
        lines = self.line + np.arange(len(begins))
        content = np.frombuffer(self.content, dtype=np.uint8)
        row = ~np.isin(content[begins], (_LINE_FEED, _RETURN))
        if len(self.fields):
            field = np.searchsorted(self.fields[:, 0], begins) - 1
            row &= (field < 0) | (begins > self.fields[field, 1])
        return begins[row], lines[row]


def _line_ends(content: bytes) -> npt.NDArray[np.intp]:
    """Where each line ends, its end included; lines end as on Unix, on Windows, or on an old Mac."""
    array = np.frombuffer(content, dtype=np.uint8)
    feeds = np.flatnonzero(array == _LINE_FEED)
    if b"\r" in content:
        returns = np.flatnonzero(array == _RETURN)
        lonely = array[np.minimum(returns + 1, len(array) - 1)] != _LINE_FEED
        feeds = np.union1d(feeds, returns[lonely])
    return feeds + 1


def count_lines(content: bytes) -> int:
    r"""Return how many lines end in the content.

    >>> count_lines(b"a\nb\r\nc\rd")
    3
    """
    feeds = content.count(b"\n")
    return feeds + content.count(b"\r") - content.count(b"\r\n") if b"\r" in content else feeds


def quotes(delimiter: str) -> QuotePatterns:
    """Return what finds quoted fields between these delimiters."""
    between = re.escape(delimiter.encode())
    opens = rb"(?:(?<=[\r\n%b])|\A)\"" % between
    quiet = rb'(?:[^"]++|%b[^"\r\n]*+(?:""[^"\r\n]*+)*+"|(?!\A)(?<![\r\n%b])")*+' % (
        opens,
        between,
    )
    return QuotePatterns(
        re.compile(quiet), re.compile(rb'"([^"]*+(?:""[^"]*+)*+)("?)([^ \t\r\n%b]?)' % between)
    )


class QuoteScan(NamedTuple):
    """What a look through the quotes of a text has found.

    Attributes:
        fields: begin and end of each field in quotes that goes over several lines.
        stop: up to here no field is left open.
        reason: why the quote at ``stop`` is wrong, or None.
    """

    fields: list[tuple[int, int]]
    stop: int
    reason: str | None


def scan_quotes(content: bytes, marks: QuotePatterns, first_line: int, *, last: bool) -> QuoteScan:
    """Look through the quotes of a text that begins with a row.

    Args:
        content: the text.
        marks: from ``quotes``.
        first_line: the line that it begins with, for the reason.
        last: whether nothing follows it.
    """
    fields, at = list[tuple[int, int]](), 0
    while (at := _end(marks.quiet, content, at)) < len(content):
        field = marks.field.match(content, at)
        if field is None:  # not a quote: cannot be, as the quiet part ends only before one
            break
        text, closed, stray = field.groups()
        end = field.end(2)
        if not last and (not closed or end == len(content)):
            return QuoteScan(fields, at, None)
        if b"\n" in text and (stray or not closed):
            line = first_line + count_lines(content[:at])
            until = f"closed only in line {line + count_lines(text)}" if closed else "never closed"
            return QuoteScan(fields, at, _UNCLOSED_QUOTE.format(until))
        fields.append((at, end))
        at = end
    return QuoteScan(fields, at, None)


def _end(pattern: re.Pattern[bytes], content: bytes, at: int) -> int:
    match = pattern.match(content, at)
    return at if match is None else match.end()


def iter_csv_blocks(
    path: Path, delimiter: str, on_broken: Callable[[UnclosedQuote], None]
) -> Iterator[CsvBlock]:
    """Cut a file of text into blocks of whole rows, about 4 MiB each.

    Args:
        path: the file, compressed or not.
        delimiter: between its fields.
        on_broken: called for each quote that is left open; it raises, or the line of the quote is left out.

    Raises:
        DataError: the file is no text, is compressed and damaged, or has a row of more than 64 MiB.
    """
    marks = quotes(delimiter)
    with open_decompressed(path) as file:
        content, line, last = file.read(BLOCK_BYTES), 1, False
        check_magic(path, content[:4])
        content = content.removeprefix(codecs.BOM_UTF8)
        if (hint := _SEPARATOR_LINE.match(content)) is not None:
            content, line = content[hint.end() :], line + 1
        while content:
            scan = scan_quotes(content, marks, line, last=last)
            end = _last_row_end(content, scan, last=last)
            if end:
                yield _make_block(content[:end], line, scan.fields)
                line += count_lines(content[:end])
            rest = content[end:]
            reason = scan.reason or _too_long(path, line, rest, scan.stop - end)
            if reason is not None:
                line += count_lines(rest[: scan.stop - end])
                on_broken(UnclosedQuote(line, reason))
                content, line = _next_line(rest, scan.stop - end), line + 1
                continue
            # An unfinished row is read on in steps that double, so that it is scanned a few times only.
            more = b"" if last else file.read(max(BLOCK_BYTES, len(rest)))
            last = not more
            content = rest + more


def read_separator_line(path: Path) -> str | None:
    """Return the separator that a first line such as ``sep=;`` names; None without such a line."""
    with open_decompressed(path) as file:
        hint = _SEPARATOR_LINE.match(file.read(_HINT_BYTES).removeprefix(codecs.BOM_UTF8))
    return None if hint is None else hint[1].decode("latin1")


def _make_block(content: bytes, line: int, fields: list[tuple[int, int]]) -> CsvBlock:
    within = [field for field in fields if field[1] <= len(content)]
    return CsvBlock(content, line, np.array(within, dtype=np.intp).reshape(-1, 2))


def _last_row_end(content: bytes, scan: QuoteScan, *, last: bool) -> int:
    """Where the last row ends that is there as a whole; 0 if there is none."""
    if last and scan.stop == len(content):
        return len(content)
    begins = [0, *(end for _, end in scan.fields)]
    ends = [*(begin for begin, _ in scan.fields), scan.stop]
    for begin, end in zip(reversed(begins), reversed(ends), strict=True):
        at = content.rfind(b"\n", begin, end)
        # A return that is the last byte may be half of an end of line.
        at = at if at >= 0 else content.rfind(b"\r", begin, min(end, len(content) - 1))
        if at >= 0:
            return at + 1
    return 0


def _too_long(path: Path, line: int, rest: bytes, stop: int) -> str | None:
    if len(rest) <= MAX_ROW_BYTES:
        return None
    if stop < len(rest):
        return _UNCLOSED_QUOTE.format(f"not closed within {MAX_ROW_BYTES >> 20} MiB")
    raise DataError(
        f"{path}, line {line}: a row of more than {MAX_ROW_BYTES >> 20} MiB; is this a table? "
        "end each row with the end of a line"
    )


def _next_line(content: bytes, at: int) -> bytes:
    match = re.compile(rb"\r\n?|\n").search(content, at)
    return b"" if match is None else content[match.end() :]
