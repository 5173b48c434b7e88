"""Matrices as text: name, shape and aligned values; large ones are cut, with a note."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from batchprop.format import format_power

Matrix = npt.NDArray[np.float64]

MAX_ROWS, MAX_COLUMNS, MAX_SLICES = 8, 10, 6
_LARGE, _SMALL, _DECIMALS, _DIGITS = 1e4, 5e-4, 3, 2
_GAP, _INDENT, _MORE = "  ", "  ", " ..."
_BRACKETS = len("[  ]")


def format_matrices(*named: tuple[str, Matrix], width: int) -> Iterator[str]:
    r"""Write matrices under their names and shapes, side by side as far as lines of this width allow.

    >>> named = ("W", np.eye(2)), ("b", np.array([0.5, -1.25]))
    >>> print("\n".join(format_matrices(*named, width=80)))
      W (2, 2)         b (2,)
      [ 1.000 0.000 ]  [  0.500 ]
      [ 0.000 1.000 ]  [ −1.250 ]
    """
    blocks = []
    for name, M in named:
        lines, columns = format_matrix(M, width - len(_INDENT))
        heading = _join_heading(f"{name} {_format_shape(M)}", _elision_note(M, columns), width - len(_INDENT))
        blocks.append([*heading, *lines])
    yield from _fill_page(blocks, width)


def _format_shape(M: Matrix) -> str:
    return f"({', '.join(map(str, M.shape))}{',' if M.ndim == 1 else ''})"


def _elision_note(M: Matrix, n_shown: int) -> str:
    rows, columns = M.shape[0], M.shape[1] if M.ndim > 1 else 1
    shown = []
    if rows > MAX_ROWS:
        shown.append(f"the first {MAX_ROWS} of {rows} rows")
    if columns > n_shown:
        shown.append(f"the first {n_shown} of {columns} columns")
    return f"(shown: {' and '.join(shown)})" if shown else ""


def _join_heading(name: str, note: str, width: int) -> list[str]:
    """Return a name and a note on one line, or on two where one is too short."""
    line = f"{name}  {note}".rstrip()
    return [line] if len(line) <= width else [name, note]


def format_matrix(M: Matrix, width: int) -> tuple[list[str], int]:
    """Write the values of a matrix, aligned: at most 8 rows, and 10 columns if they fit.

    Returns:
        The lines, and how many columns they show.

    >>> format_matrix(np.array([[1.0, -20.0]]), width=80)
    (['[   1.000 −20.000 ]'], 2)
    """
    A = M[:, None] if M.ndim == 1 else M
    words = [[_format_number(value) for value in row[:MAX_COLUMNS]] for row in A[:MAX_ROWS]]
    longest = max(len(word) for row in words for word in row)
    room = (width - _BRACKETS - len(_MORE) + 1) // (longest + 1)
    n_shown = min(max(room, 1), MAX_COLUMNS, A.shape[1])
    more = _MORE if A.shape[1] > n_shown else ""
    lines = [f"[ {' '.join(word.rjust(longest) for word in row[:n_shown])}{more} ]" for row in words]
    if len(A) > MAX_ROWS:
        lines.append("  ...".ljust(len(lines[0])))
    return lines, n_shown


def _format_number(value: float) -> str:
    size = abs(value)
    if size >= _LARGE or 0 < size < _SMALL:
        return format_power(value, _DIGITS)
    # As many decimals for all: their points stand below each other.
    return f"{value:.{_DECIMALS}f}".replace("-", "−")


def format_tensor(name: str, T: npt.NDArray[np.float64], *, width: int) -> Iterator[str]:
    r"""Write a tensor (rows, columns, m) as its slices, one for each example, side by side.

    >>> print("\n".join(format_tensor("DW", np.arange(4.0).reshape(1, 2, 2), width=80)))
      DW (1, 2, 2)
      DW[:, :, 1]      DW[:, :, 2]
      [ 0.000 2.000 ]  [ 1.000 3.000 ]
    """
    m = T.shape[2]
    more = f"(shown: the first {MAX_SLICES} of {m} slices)" if m > MAX_SLICES else ""
    slices = [format_matrix(T[:, :, i], width - len(_INDENT)) for i in range(min(m, MAX_SLICES))]
    n_shown = min(columns for _, columns in slices)
    note = f"{_elision_note(T[:, :, 0], n_shown)}  {more}".strip()
    yield from (
        _INDENT + line for line in _join_heading(f"{name} {_format_shape(T)}", note, width - len(_INDENT))
    )
    blocks = [[f"{name}[:, :, {i + 1}]", *lines] for i, (lines, _) in enumerate(slices)]
    yield from _fill_page(blocks, width)


def _fill_page(blocks: Sequence[list[str]], width: int) -> Iterator[str]:
    """Fill the lines of the page with blocks, as many side by side as fit."""
    row: list[list[str]] = []
    for each in blocks:
        if row and max(map(len, hstack_text([*row, each]))) + len(_INDENT) > width:
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
