"""The line number of each row of a CSV file."""

import csv
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from batchprop.data.files import get_delimiter, open_text


def line_numbers(path: Path) -> npt.NDArray[np.intp] | None:
    r"""Return the line on which each row begins, counted from 1, the names' line included.

    Args:
        path: a file that ``read`` has read: quoted fields may span several lines, and blank lines
            are not rows.

    Returns:
        ``(n,)``; None for a Parquet file, which has no lines.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "notes.csv"
    >>> _ = file.write_text('note,stars\n"two\nlines",3\n\nshort,5\n')
    >>> line_numbers(file).tolist()
    [2, 5]
    """
    delimiter = get_delimiter(path)
    if delimiter is None:
        return None
    begins, next_line = list[int](), 1
    longest = csv.field_size_limit(sys.maxsize)  # of the process; `read` takes fields of any length
    try:
        with open_text(path) as file:
            rows = csv.reader(file, delimiter=delimiter)
            for row in rows:
                if row:
                    begins.append(next_line)
                next_line = rows.line_num + 1
    finally:
        csv.field_size_limit(longest)
    return np.array(begins[1:], dtype=np.intp)
