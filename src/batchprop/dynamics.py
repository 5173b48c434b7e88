"""Looking: the numbers that tell how a network fares with each example of a batch, before the batch's step.

``basic_metrics`` is what a step gives away almost free; ``example_metrics`` makes the rest, for all the
examples of an epoch at once. Columns are examples, and rows first ``SQUARED_NORM``, ``LOSS``, ``EL2N``; where
labels are told apart also ``PROBABILITY`` and ``MARGIN``; last P itself, K rows.
"""

from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import NamedTuple

from batchprop.arrays import Array, columnwise_dot, namespace
from batchprop.backprop import Step
from batchprop.heads import Head

SQUARED_NORM, LOSS, EL2N, PROBABILITY, MARGIN = range(5)
"""Which row is which; a glance has the first two, and then Z."""


class LabelEncoding(NamedTuple):
    """How the rows of Y stand for labels.

    Attributes:
        blocks: for softmax how many rows each target has, ``(K,)`` for a single one; empty where every row is
            a label of its own, told by a sigmoid.
    """

    blocks: tuple[int, ...] = ()

    def given_label_probability(self, P: Array, Y: Array) -> Array:
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
            >>> LabelEncoding().given_label_probability(
            ...     np.array([[0.9], [0.5]]), np.array([[0.0], [1.0]])
            ... ).round(2)
            array([0.05])
        """
        xp = namespace(P)
        if not self.blocks:
            return xp.prod(Y * P + (1.0 - Y) * (1.0 - P), axis=0)
        return xp.prod(xp.stack([columnwise_dot(y, p) for y, p in self._targets(Y, P)]), axis=0)

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
            >>> LabelEncoding((3,)).margin(
            ...     np.array([[1.0], [4.0], [2.0]]), np.array([[0.0], [0.0], [1.0]])
            ... )
            array([-2.])
        """
        xp = namespace(Z)
        if not self.blocks:
            return xp.min((2.0 * Y - 1.0) * Z, axis=0)
        ahead = [
            columnwise_dot(y, z) - xp.max(xp.where(y > 0.5, -xp.inf, z), axis=0)
            for y, z in self._targets(Y, Z)
        ]
        return xp.min(xp.stack(ahead), axis=0)

    def _targets(self, *matrices: Array) -> Iterator[tuple[Array, ...]]:
        for start, stop in pairwise([0, *accumulate(self.blocks)]):
            yield tuple(M[start:stop, :] for M in matrices)


def basic_metrics(step: Step, _: Array) -> Array:
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
        >>> seen = basic_metrics(step, np.eye(3)[:, :2])
        >>> seen.shape, bool((seen[SQUARED_NORM] == step.gradient.squared_norms()).all())
        ((5, 2), True)
    """
    xp = namespace(step.P)
    return xp.concat([step.gradient.squared_norms()[None, :], step.losses[None, :], step.Z[-1]], axis=0)


def example_metrics(metrics: Array, Y: Array, head: Head, labels: LabelEncoding | None) -> Array:
    """Return what follows from a glance: ``EL2N_i = ‖P_i − Y_i‖``, the label's probability and margin; P.

    Args:
        metrics: ``(2 + K, n)``, from ``basic_metrics``, a column for each example.
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
        >>> example_metrics(
        ...     seen, np.array([[1.0], [0.0]]), HEADS["softmax"], LabelEncoding((2,))
        ... ).T.round(2)
        array([[4.  , 0.7 , 0.71, 0.5 , 0.  , 0.5 , 0.5 ]])
    """
    xp = namespace(metrics)
    Z = metrics[LOSS + 1 :, :]
    P = head.output(Z)
    R = P - Y
    rows = [metrics[SQUARED_NORM, :], metrics[LOSS, :], xp.sqrt(columnwise_dot(R, R))]
    if labels is not None:
        rows += [labels.given_label_probability(P, Y), labels.margin(Z, Y)]
    return xp.concat([xp.stack(rows), P], axis=0)


def predictions_of(metrics: Array, labels: LabelEncoding | None) -> Array:
    """Return the columns of P ``(n, K)`` in what was seen ``(n, q)``.

    Example:
        >>> import numpy as np
        >>> predictions_of(np.ones((4, 7)), None).shape
        (4, 4)
    """
    return metrics[:, LOSS + 2 if labels is None else MARGIN + 1 :]


EARLY_EPOCHS = 10
"""How many epochs are early, where EL2N tells hard examples from easy ones."""


class TrainingDynamics(NamedTuple):
    """What the epochs so far add up to, for n examples of which q numbers were seen.

    Attributes:
        labels: how Y stands for labels, or None where it holds numbers.
        epochs: T.
        total: ``Σ x_t``, ``(n, q)``.
        early: ``Σ`` of EL2N over the early epochs, ``(n,)``.
        norms: ``Σ t ‖g_t‖``, ``(n,)``.
        influence: ``Σ α_t ‖g_t‖²``, ``(n,)``.
        squares: ``Σ p_t²`` of the given label's probability, ``(n,)``; None without labels.
        right: whether the last answer was, ``(n,)``; or None.
        n_correct: how many were, ``(n,)``; or None.
        forgotten: how often a right answer was followed by a wrong one, ``(n,)``; or None.
    """

    labels: LabelEncoding | None
    epochs: int
    total: Array
    early: Array
    norms: Array
    influence: Array
    squares: Array | None = None
    last_correct: Array | None = None
    n_correct: Array | None = None
    forgetting_events: Array | None = None


def init_dynamics(seen: Array, learning_rate: float, labels: LabelEncoding | None) -> TrainingDynamics:
    """Return the history of one epoch.

    Args:
        seen: ``(n, q)``, ``looking.particulars`` turned over, a row for each example.
        learning_rate: α of that epoch.
        labels: how Y stands for labels, or None.

    Returns:
        The history.

    Example:
        >>> import numpy as np
        >>> init_dynamics(np.ones((4, 6)), 0.1, None).influence
        array([0.1, 0.1, 0.1, 0.1])
    """
    xp, lengths = namespace(seen), seen[:, SQUARED_NORM]
    first = TrainingDynamics(labels, 1, seen, seen[:, EL2N], xp.sqrt(lengths), learning_rate * lengths)
    if labels is None:
        return first
    right = seen[:, MARGIN] > 0
    times = xp.astype(right, seen.dtype)
    return first._replace(
        squares=seen[:, PROBABILITY] ** 2,
        last_correct=right,
        n_correct=times,
        forgetting_events=xp.zeros_like(times),
    )


def update_dynamics(history: TrainingDynamics, seen: Array, learning_rate: float) -> TrainingDynamics:
    """Return the history with one more epoch.

    Args:
        history: of the epochs before.
        seen: ``(n, q)`` of the new one, the examples in the same order.
        learning_rate: α of that epoch.

    Returns:
        The longer history; the one given stays as it is.

    Example:
        >>> import numpy as np
        >>> history = init_dynamics(np.ones((4, 6)), 0.1, None)
        >>> update_dynamics(history, 3 * np.ones((4, 6)), 0.1).total[0]
        array([4., 4., 4., 4., 4., 4.])
    """
    xp, t, lengths = namespace(seen), history.epochs + 1, seen[:, SQUARED_NORM]
    longer = history._replace(
        epochs=t,
        total=history.total + seen,
        early=history.early + seen[:, EL2N] if t <= EARLY_EPOCHS else history.early,
        norms=history.norms + t * xp.sqrt(lengths),
        influence=history.influence + learning_rate * lengths,
    )
    if history.labels is None:
        return longer
    right = seen[:, MARGIN] > 0
    lost = xp.astype(xp.logical_and(history.last_correct, xp.logical_not(right)), seen.dtype)
    return longer._replace(
        squares=history.squares + seen[:, PROBABILITY] ** 2,
        last_correct=right,
        n_correct=history.n_correct + xp.astype(right, seen.dtype),
        forgetting_events=history.forgetting_events + lost,
    )


def summarize(history: TrainingDynamics) -> dict[str, Array]:
    """Return what a history says of each example.

    Args:
        history: of T epochs.

    Returns:
        By name ``(n,)``, all that follow for labels, the first four for numbers:

        - ``loss``: the mean of the loss.
        - ``el2n``: the early mean of ``‖P − Y‖`` (Paul et al. 2021, arXiv 2107.07075).
        - ``grand``: the late mean of the gradient's norm ``‖g‖`` (GraNd, the same; theirs is the mean over
          networks that hardly began).
        - ``self_influence``: ``Σ α_t ‖g_t‖²``, what its own steps took off its loss, to first order (TracIn:
          Pruthi et al. 2020, arXiv 2002.08484, every epoch a checkpoint).
        - ``aum``: the mean of the margin ``z_y − max_{k≠y} z_k`` (Pleiss et al. 2020, arXiv 2001.10528).
        - ``forgetting``: how often a right answer was followed by a wrong one (Toneva et al. 2019, arXiv
          1812.05159, who call an example that was never right forgotten without end: see ``correctness``).
        - ``correctness``: the part of the epochs in which the answer was right.
        - ``confidence``: the mean of the given label's probability p, and ``variability``, its standard
          deviation ``√(mean p² − (mean p)²)`` (data maps: Swayamdipta et al. 2020, arXiv 2009.10795).
        - ``aleatoric``: the mean of ``p (1 − p)`` (Data-IQ: Seedat et al. 2022, arXiv 2210.13043).

    Example:
        >>> import numpy as np
        >>> seen = np.array([[4.0, 0.7, 0.7, 0.5, -1.0, 0.5, 0.5]])
        >>> found = summarize(init_dynamics(seen, 0.1, LabelEncoding((2,))))
        >>> {name: round(float(values[0]), 3) for name, values in found.items()}
        {'loss': 0.7, 'el2n': 0.7, 'grand': 2.0, 'self_influence': 0.4, 'aum': -1.0, 'forgetting': 0.0,
         'correctness': 0.0, 'confidence': 0.5, 'variability': 0.0, 'aleatoric': 0.25}
    """
    xp, T = namespace(history.total), history.epochs
    found = {
        "loss": history.total[:, LOSS] / T,
        "el2n": history.early / min(T, EARLY_EPOCHS),
        "grand": history.norms / (0.5 * T * (T + 1)),
        "self_influence": history.influence,
    }
    if history.labels is None or history.squares is None or history.n_correct is None:
        return found
    mean, square = history.total[:, PROBABILITY] / T, history.squares / T
    spread = xp.maximum(square - mean**2, xp.zeros_like(mean))
    return found | {
        "aum": history.total[:, MARGIN] / T,
        "forgetting": history.forgetting_events,
        "correctness": history.n_correct / T,
        "confidence": mean,
        "variability": xp.sqrt(spread),
        "aleatoric": mean - square,
    }


def mean_predictions(history: TrainingDynamics) -> Array:
    """Return the mean of P over the epochs ``(n, K)``, in which what was learned by heart counts little.

    Example:
        >>> import numpy as np
        >>> seen = np.array([[1.0, 1.0, 1.0, 4.0]])
        >>> mean_predictions(update_dynamics(init_dynamics(seen, 0.1, None), 2 * seen, 0.1))
        array([[6.]])
    """
    return predictions_of(history.total, history.labels) / history.epochs


def mislabel_score(history: TrainingDynamics) -> Array:
    """Return how suspicious each example is, ``(n,)``: its mean loss over all epochs.

    What a network gives a wrong label costs much until it has learned the row by heart, and that comes late.

    Args:
        history: of T epochs.

    Returns:
        ``(n,)``, the higher the more suspicious.

    Source:
        Chosen by experiment among the figures, the margins of the mean answers, and sums of their ranks: see
        ``docs/examples.md``.

    Example:
        >>> import numpy as np
        >>> mislabel_score(
        ...     init_dynamics(np.array([[1.0, 0.2, 0.1, 0.5], [1.0, 4.0, 0.1, 0.5]]), 0.1, None)
        ... )
        array([0.2, 4. ])
    """
    return history.total[:, LOSS] / history.epochs
