"""Checks of the arguments of a display, and iteration over its rows in chunks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from batchprop.errors import InputError
from batchprop.format import pluralize

CHUNK_ROWS = 1024
"""The number of rows in memory at a time."""


def check_fitted(estimator: Any) -> None:
    """Refuse anything but a fitted ``MLPClassifier`` or ``MLPRegressor``.

    Example:
        >>> check_fitted("a network")
        Traceback (most recent call last):
        batchprop.errors.InputError: a str has no network to plot: give a fitted MLPClassifier or ...
    """
    from sklearn.utils.validation import check_is_fitted

    if hasattr(estimator, "to_pipeline"):
        raise InputError(
            f"a {type(estimator).__name__} holds several networks, and this shows one: give "
            "model.network_.members_[0], and X as model.preprocessor_.transform(X)"
        )
    if hasattr(estimator, "n_members"):
        raise InputError(
            f"a {type(estimator).__name__} holds several networks, and this shows one: give model.members_[0]"
        )
    if not hasattr(estimator, "at_snapshot"):
        raise InputError(
            f"a {type(estimator).__name__} has no network to plot: give a fitted MLPClassifier or "
            "MLPRegressor; of a pipeline give its last step, and X as transformed by the steps before"
        )
    check_is_fitted(estimator)


def iter_row_chunks(*tables: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the same rows of arrays, frames, sparse matrices or lists, ``CHUNK_ROWS`` at a time.

    Example:
        >>> [(len(X), len(y)) for X, y in iter_row_chunks([[0.0]] * 1500, [1] * 1500)]
        [(1024, 1024), (476, 476)]
    """
    counts = [n_rows(name, table) for name, table in zip("Xy", tables, strict=False)]
    if len(set(counts)) > 1:
        raise InputError(
            f"X has {pluralize(counts[0], 'row')} and y {counts[1]}: give one target for each row"
        )
    if not counts[0]:
        raise InputError("X has no rows: give the rows to plot")
    for start in range(0, counts[0], CHUNK_ROWS):
        rows = slice(start, start + CHUNK_ROWS)
        yield tuple(table.iloc[rows] if hasattr(table, "iloc") else table[rows] for table in tables)


def n_rows(name: str, table: Any) -> int:
    """Return the number of rows of an array, a frame, a sparse matrix or a list; ``name`` is for the error.

    Example:
        >>> n_rows("X", [[0.0], [1.0]])
        2
    """
    try:
        return int(table.shape[0]) if hasattr(table, "shape") else len(table)
    except (IndexError, TypeError) as error:
        raise InputError(f"{name}={table!r} has no rows: give an array, a frame or a list of rows") from error


def layer_names(count: int) -> tuple[str, ...]:
    """Return the names of ``count`` layers: numbered from 1, as in the equations, and "output".

    Example:
        >>> layer_names(3)
        ('layer 1', 'layer 2', 'output')
    """
    return (*(f"layer {k}" for k in range(1, count)), "output")
