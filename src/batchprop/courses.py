"""Courses: the pieces in which the epochs of a table are run.

A plan says which rows of a table make up each batch of each epoch; a course brings the tables along. The
epochs of a table in memory are one piece each, or several for whoever wants to look in between; those of a
table larger than memory are many pieces, each of some rows that lie in memory for as long as they are needed.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

from batchprop.batches import Batches, Plan, Table


class Piece(NamedTuple):
    """Some examples, and the batches to be taken of them."""

    table: Table
    batches: Batches


Course: TypeAlias = Iterator[Iterable[Piece]]


def whole(table: Table, plan: Plan) -> Course:
    """Run each epoch in one piece.

    Args:
        table: the examples.
        plan: of their rows.

    Yields:
        For each epoch its one piece.

    Example:
        >>> import numpy as np
        >>> from batchprop.batches import mini
        >>> table = Table(np.zeros((5, 1)), np.zeros((5, 1)))
        >>> [(piece,)] = [next(whole(table, mini(5, 2)))]
        >>> len(piece.batches)
        3
    """
    return ((Piece(table, batches),) for batches in plan)


def in_parts(table: Table, plan: Plan, n_batches: int) -> Course:
    """Run each epoch in pieces of so many batches: the same steps, with a moment to look in between.

    Args:
        table: the examples.
        plan: of their rows.
        n_batches: in a piece, at least 1.

    Yields:
        For each epoch its pieces.

    Example:
        >>> import numpy as np
        >>> from batchprop.batches import mini
        >>> table = Table(np.zeros((5, 1)), np.zeros((5, 1)))
        >>> [len(piece.batches) for piece in next(in_parts(table, mini(5, 2), 2))]
        [2, 1]
    """
    return (_cut(table, batches, n_batches) for batches in plan)


def _cut(table: Table, batches: Batches, n_batches: int) -> Iterator[Piece]:
    return (Piece(table, batches[i : i + n_batches]) for i in range(0, len(batches), n_batches))


def without_first(pieces: Iterable[Piece], n_batches: int) -> Iterator[Piece]:
    """Leave out the first batches of an epoch, which were taken before.

    Args:
        pieces: of the epoch.
        n_batches: how many batches were taken.

    Yields:
        The rest of the epoch.

    Example:
        >>> import numpy as np
        >>> from batchprop.batches import mini
        >>> table = Table(np.zeros((9, 1)), np.zeros((9, 1)))
        >>> epoch = next(in_parts(table, mini(9, 2), 2))
        >>> [piece.batches[0].tolist() for piece in without_first(epoch, 3)]
        [[6, 7], [8]]
    """
    left = n_batches
    for table, batches in pieces:
        if left < len(batches):
            yield Piece(table, batches[left:] if left else batches)
        left = max(left - len(batches), 0)
