"""Matrices as text: name, shape and aligned values; large ones are cut, with a note."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

MAX_ROWS, MAX_COLUMNS, MAX_SLICES = 8, 10, 6
WIDTH = 100
_LARGE, _SMALL = 1e4, 5e-4
_GAP, _INDENT = "  ", "  "


def format_matrices(*named: tuple[str, Matrix]) -> Iterator[str]:
    r"""Write matrices under their names and shapes, side by side within the width of the page.

    >>> print("\n".join(format_matrices(("W", np.eye(2)), ("b", np.array([0.5, -1.25])))))
      W (2, 2)           b (2,)
      [  1.000  0.000 ]  [  0.500 ]
      [  0.000  1.000 ]  [ -1.250 ]
    """
    yield from _fill_page(
        [[f"{name} {_format_shape(M)}{_elision_note(M)}", *format_matrix(M)] for name, M in named]
    )


def _format_shape(M: Matrix) -> str:
    return f"({', '.join(map(str, M.shape))}{',' if M.ndim == 1 else ''})"


def _elision_note(M: Matrix) -> str:
    rows, columns = M.shape[0], M.shape[1] if M.ndim > 1 else 1
    shown = []
    if rows > MAX_ROWS:
        shown.append(f"the first {MAX_ROWS} of {rows} rows")
    if columns > MAX_COLUMNS:
        shown.append(f"the first {MAX_COLUMNS} of {columns} columns")
    return f"  (shown: {' and '.join(shown)})" if shown else ""


def format_matrix(M: Matrix) -> list[str]:
    """Write the values of a matrix, at most 8 rows and 10 columns of it, aligned.

    >>> format_matrix(np.array([[1.0, 20.0]]))
    ['[  1.000 20.000 ]']
    """
    A = M[:, None] if M.ndim == 1 else M
    words = [[_format_number(value) for value in row[:MAX_COLUMNS]] for row in A[:MAX_ROWS]]
    width = max(len(word) for row in words for word in row)
    more = " ..." if A.shape[1] > MAX_COLUMNS else ""
    lines = [f"[ {' '.join(word.rjust(width) for word in row)}{more} ]" for row in words]
    if len(A) > MAX_ROWS:
        lines.append("  ...".ljust(len(lines[0])))
    return lines


def _format_number(value: float) -> str:
    size = abs(value)
    if size >= _LARGE or 0 < size < _SMALL:
        return f"{value: .1e}"
    return f"{value: .3f}"


def format_tensor(name: str, T: npt.NDArray[np.float64]) -> Iterator[str]:
    r"""Write a tensor (rows, columns, m) as its slices, one for each example, side by side.

    >>> print("\n".join(format_tensor("DW", np.arange(4.0).reshape(1, 2, 2))))
      DW (1, 2, 2)
      DW[:, :, 1]        DW[:, :, 2]
      [  0.000  2.000 ]  [  1.000  3.000 ]
    """
    m = T.shape[2]
    more = f"  (shown: the first {MAX_SLICES} of {m} slices)" if m > MAX_SLICES else ""
    yield f"  {name} {_format_shape(T)}{_elision_note(T[:, :, 0])}{more}"
    numbers = range(min(m, MAX_SLICES))
    yield from _fill_page([[f"{name}[:, :, {i + 1}]", *format_matrix(T[:, :, i])] for i in numbers])


def _fill_page(blocks: Sequence[list[str]]) -> Iterator[str]:
    """Fill the lines of the page with blocks, as many side by side as fit."""
    row: list[list[str]] = []
    for each in blocks:
        if row and max(map(len, hstack_text([*row, each]))) + len(_INDENT) > WIDTH:
            yield from (_INDENT + line for line in hstack_text(row))
            row = []
        row.append(each)
    yield from (_INDENT + line for line in hstack_text(row))


def hstack_text(blocks: Sequence[list[str]]) -> list[str]:
    """Put blocks of lines next to each other.

    >>> hstack_text([["a", "bb"], ["c"]])
    ['a   c', 'bb']
    """
    height = max(map(len, blocks))
    widths = [max(map(len, each)) for each in blocks]
    padded = (
        [line.ljust(width) for line in [*each, *[""] * (height - len(each))]]
        for each, width in zip(blocks, widths, strict=True)
    )
    return [_GAP.join(parts).rstrip() for parts in zip(*padded, strict=True)]
