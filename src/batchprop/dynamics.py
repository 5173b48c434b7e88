"""Looking: the numbers that tell how a network fares with each example of a batch, before the batch's step.

``glance`` is what a step gives away for almost nothing; ``particulars`` makes the rest of it, for all the
examples of an epoch at once. Columns are examples, and rows first ``SQUARED_NORM``, ``LOSS``, ``EL2N``; where
labels are told apart also ``PROBABILITY`` and ``MARGIN``; last P itself, K rows.
"""

from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import NamedTuple

from batchprop.arrays import Array, column_dots, namespace
from batchprop.backprop import Step
from batchprop.heads import Head

SQUARED_NORM, LOSS, EL2N, PROBABILITY, MARGIN = range(5)
"""Which row is which; a glance has the first two, and then Z."""


class Labels(NamedTuple):
    """How the rows of Y stand for labels.

    Attributes:
        blocks: for softmax how many rows each target has, ``(K,)`` for a single one; empty where every row is
            a label of its own, told by a sigmoid.
    """

    blocks: tuple[int, ...] = ()

    def probability(self, P: Array, Y: Array) -> Array:
        """What the network holds of the given labels: ``Σ Y ⊙ P`` for each target, multiplied over targets.

        Args:
            P: the network's answers ``(K, m)``.
            Y: the labels ``(K, m)``, of zeros and ones.

        Returns:
            ``(m,)``. With sigmoids a label's own is ``P`` where it is given and ``1 − P`` where not.

        Source:
            Swayamdipta et al. 2020 (data maps), arXiv 2009.10795.

        Example:
            >>> import numpy as np
            >>> Labels().probability(np.array([[0.9], [0.5]]), np.array([[0.0], [1.0]])).round(2)
            array([0.05])
        """
        xp = namespace(P)
        if not self.blocks:
            return xp.prod(Y * P + (1.0 - Y) * (1.0 - P), axis=0)
        return xp.prod(xp.stack([column_dots(y, p) for y, p in self._targets(Y, P)]), axis=0)

    def margin(self, Z: Array, Y: Array) -> Array:
        """How far the given label's score is ahead: ``z_y − max_{k ≠ y} z_k``; the least over the targets.

        Args:
            Z: the last layer's scores ``(K, m)``.
            Y: the labels ``(K, m)``, of zeros and ones.

        Returns:
            ``(m,)``, above 0 where the answer is right. With sigmoids it is ``z`` where a label is given and
            ``−z`` where not.

        Source:
            Pleiss et al. 2020 (area under the margin), arXiv 2001.10528.

        Example:
            >>> import numpy as np
            >>> Labels((3,)).margin(np.array([[1.0], [4.0], [2.0]]), np.array([[0.0], [0.0], [1.0]]))
            array([-2.])
        """
        xp = namespace(Z)
        if not self.blocks:
            return xp.min((2.0 * Y - 1.0) * Z, axis=0)
        ahead = [
            column_dots(y, z) - xp.max(xp.where(y > 0.5, -xp.inf, z), axis=0) for y, z in self._targets(Y, Z)
        ]
        return xp.min(xp.stack(ahead), axis=0)

    def _targets(self, *matrices: Array) -> Iterator[tuple[Array, ...]]:
        for start, stop in pairwise([0, *accumulate(self.blocks)]):
            yield tuple(M[start:stop, :] for M in matrices)


def glance(step: Step, _: Array) -> Array:
    """Return ``‖g_i‖²``, ``loss_i`` and the last layer's scores Z.

    Args:
        step: of a batch of m.

    Returns:
        ``(2 + K, m)``.

    Source:
        The gradient norm of each example (GraNd): Paul et al. 2021, arXiv 2107.07075.

    Example:
        >>> import numpy as np
        >>> from batchprop.backprop import backprop
        >>> from batchprop.network import Network
        >>> net = Network.create([2, 3], random_state=0, dtype="float64")
        >>> step = backprop(net, np.ones((2, 2)), np.eye(3)[:, :2])
        >>> seen = glance(step, np.eye(3)[:, :2])
        >>> seen.shape, bool((seen[SQUARED_NORM] == step.gradient.squared_norms()).all())
        ((5, 2), True)
    """
    xp = namespace(step.P)
    return xp.concat([step.gradient.squared_norms()[None, :], step.losses[None, :], step.Z[-1]], axis=0)


def particulars(seen: Array, Y: Array, head: Head, labels: Labels | None) -> Array:
    """Return what follows from a glance: ``EL2N_i = ‖P_i − Y_i‖``, the label's probability and margin; P.

    Args:
        seen: ``(2 + K, n)``, from ``glance``, a column for each example.
        Y: their targets ``(K, n)``.
        head: makes P of Z.
        labels: how Y stands for labels, or None where it holds numbers.

    Returns:
        ``(q, n)``, q = 5 + K, or 3 + K without labels.

    Source:
        EL2N: Paul et al. 2021, arXiv 2107.07075.

    Example:
        >>> import numpy as np
        >>> from batchprop.heads import HEADS
        >>> seen = np.array([[4.0], [0.7], [1.0], [1.0]])
        >>> particulars(seen, np.array([[1.0], [0.0]]), HEADS["softmax"], Labels((2,))).T.round(2)
        array([[4.  , 0.7 , 0.71, 0.5 , 0.  , 0.5 , 0.5 ]])
    """
    xp = namespace(seen)
    Z = seen[LOSS + 1 :, :]
    P = head.output(Z)
    R = P - Y
    rows = [seen[SQUARED_NORM, :], seen[LOSS, :], xp.sqrt(column_dots(R, R))]
    if labels is not None:
        rows += [labels.probability(P, Y), labels.margin(Z, Y)]
    return xp.concat([xp.stack(rows), P], axis=0)


def answers_in(seen: Array, labels: Labels | None) -> Array:
    """Return the columns of P ``(n, K)`` in what was seen ``(n, q)``.

    Example:
        >>> import numpy as np
        >>> answers_in(np.ones((4, 7)), None).shape
        (4, 4)
    """
    return seen[:, LOSS + 2 if labels is None else MARGIN + 1 :]
