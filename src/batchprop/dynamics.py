"""Training dynamics: how a network learns each example, epoch by epoch.

``basic_metrics`` computes what a step provides at almost no cost; ``example_metrics`` adds the rest, for all
examples of an epoch at once. Examples are columns. The rows are first ``SQUARED_NORM``, ``LOSS``, ``EL2N``;
with labels also ``PROBABILITY`` and ``MARGIN``; last P itself, K rows. ``TrainingDynamics`` sums them over
epochs, there with a row for each example.
"""

from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import NamedTuple

from batchprop.arrays import Array, columnwise_dot, namespace
from batchprop.backprop import Step
from batchprop.heads import Head

SQUARED_NORM, LOSS, EL2N, PROBABILITY, MARGIN = range(5)
"""The index of each metric; ``basic_metrics`` has the first two, and then Z."""

EARLY_EPOCHS = 10
"""The number of first epochs over which EL2N is averaged: later, hard examples are memorised too."""


class LabelEncoding(NamedTuple):
    """How the rows of Y encode labels.

    Attributes:
        blocks: for softmax the number of rows of each target, ``(K,)`` for a single one; empty for sigmoids,
            where every row is a label of its own.
    """

    blocks: tuple[int, ...] = ()

    def given_label_probability(self, P: Array, Y: Array) -> Array:
        """Return the probability of the given labels ``(m,)``: ``Σ Y ⊙ P`` for each target, multiplied.

        With sigmoids a row's factor is ``P`` where its label is given and ``1 − P`` where not
        (data maps: Swayamdipta et al. 2020, arXiv 2009.10795).
        """
        xp = namespace(P)
        if not self.blocks:
            return xp.prod(Y * P + (1.0 - Y) * (1.0 - P), axis=0)
        return xp.prod(xp.stack([columnwise_dot(y, p) for y, p in self._targets(Y, P)]), axis=0)

    def margin(self, Z: Array, Y: Array) -> Array:
        """Return ``z_y − max_{k ≠ y} z_k (m,)``, the least over the targets; above 0 the prediction is right.

        With sigmoids it is ``z`` where a label is given and ``−z`` where not
        (area under the margin: Pleiss et al. 2020, arXiv 2001.10528).
        """
        xp = namespace(Z)
        if not self.blocks:
            return xp.min((2.0 * Y - 1.0) * Z, axis=0)
        margins = [
            columnwise_dot(y, z) - xp.max(xp.where(y > 0.5, -xp.inf, z), axis=0)
            for y, z in self._targets(Y, Z)
        ]
        return xp.min(xp.stack(margins), axis=0)

    def _targets(self, *matrices: Array) -> Iterator[tuple[Array, ...]]:
        for start, stop in pairwise([0, *accumulate(self.blocks)]):
            yield tuple(M[start:stop, :] for M in matrices)


def basic_metrics(step: Step, _: Array) -> Array:
    """Return ``‖g_i‖²`` (GraNd: Paul et al. 2021, arXiv 2107.07075), ``loss_i`` and Z, ``(2 + K, m)``."""
    # Z and not P: P, EL2N and the margin all follow from it, once an epoch instead of at every step.
    xp = namespace(step.P)
    return xp.concat([step.gradient.squared_norms()[None, :], step.losses[None, :], step.Z[-1]], axis=0)


def example_metrics(metrics: Array, Y: Array, head: Head, labels: LabelEncoding | None) -> Array:
    """Return all metrics ``(q, n)`` from the basic ones; q is 5 + K, or 3 + K without labels.

    ``EL2N_i = ‖P_i − Y_i‖`` (Paul et al. 2021, arXiv 2107.07075).
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
    """Return the columns of P ``(n, K)`` in metrics ``(n, q)``."""
    return metrics[:, LOSS + 2 if labels is None else MARGIN + 1 :]


class TrainingDynamics(NamedTuple):
    """Sums over T epochs of the q metrics of n examples.

    Attributes:
        labels: how Y encodes labels, or None if it holds numbers.
        epochs: T.
        total: ``Σ x_t``, ``(n, q)``.
        early: ``Σ`` of EL2N over the early epochs, ``(n,)``.
        norms: ``Σ t ‖g_t‖``, ``(n,)``.
        influence: ``Σ α_t ‖g_t‖²``, ``(n,)``.
        squares: ``Σ p_t²`` of the given label's probability, ``(n,)``; None without labels.
        last_correct: whether the last prediction was right, ``(n,)``; or None.
        n_correct: the number of right predictions, ``(n,)``; or None.
        forgetting_events: how often a right prediction was followed by a wrong one, ``(n,)``; or None.
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


def init_dynamics(metrics: Array, learning_rate: float, labels: LabelEncoding | None) -> TrainingDynamics:
    """Return the dynamics of one epoch from its metrics ``(n, q)``, a row for each example."""
    xp, squared = namespace(metrics), metrics[:, SQUARED_NORM]
    dynamics = TrainingDynamics(
        labels, 1, metrics, metrics[:, EL2N], xp.sqrt(squared), learning_rate * squared
    )
    if labels is None:
        return dynamics
    correct = metrics[:, MARGIN] > 0
    n_correct = xp.astype(correct, metrics.dtype)
    return dynamics._replace(
        squares=metrics[:, PROBABILITY] ** 2,
        last_correct=correct,
        n_correct=n_correct,
        forgetting_events=xp.zeros_like(n_correct),
    )


def update_dynamics(dynamics: TrainingDynamics, metrics: Array, learning_rate: float) -> TrainingDynamics:
    """Return the dynamics with one more epoch, the examples in the same order."""
    xp, t, squared = namespace(metrics), dynamics.epochs + 1, metrics[:, SQUARED_NORM]
    updated = dynamics._replace(
        epochs=t,
        total=dynamics.total + metrics,
        early=dynamics.early + metrics[:, EL2N] if t <= EARLY_EPOCHS else dynamics.early,
        norms=dynamics.norms + t * xp.sqrt(squared),
        influence=dynamics.influence + learning_rate * squared,
    )
    if dynamics.labels is None:
        return updated
    correct = metrics[:, MARGIN] > 0
    forgotten = xp.astype(xp.logical_and(dynamics.last_correct, xp.logical_not(correct)), metrics.dtype)
    return updated._replace(
        squares=dynamics.squares + metrics[:, PROBABILITY] ** 2,
        last_correct=correct,
        n_correct=dynamics.n_correct + xp.astype(correct, metrics.dtype),
        forgetting_events=dynamics.forgetting_events + forgotten,
    )


def summarize(dynamics: TrainingDynamics) -> dict[str, Array]:
    """Return by name ``(n,)`` the statistics of each example over T epochs; without labels the first four.

    - ``loss``: the mean of the loss.
    - ``el2n``: the mean of ``‖P − Y‖`` over the early epochs (Paul et al. 2021, arXiv 2107.07075).
    - ``grand``: the mean of the gradient's norm ``‖g‖``, weighted by the epoch t (GraNd, the same paper,
      which takes the mean over networks at their start).
    - ``self_influence``: ``Σ α_t ‖g_t‖²``, how much its own steps reduced its loss, to first order (TracIn:
      Pruthi et al. 2020, arXiv 2002.08484, with a checkpoint every epoch).
    - ``aum``: the mean of the margin ``z_y − max_{k≠y} z_k`` (Pleiss et al. 2020, arXiv 2001.10528).
    - ``forgetting``: how often a right prediction was followed by a wrong one (Toneva et al. 2019, arXiv
      1812.05159, who count an example that was never right as forgotten infinitely often: see
      ``correctness``).
    - ``correctness``: the fraction of epochs in which the prediction was right.
    - ``confidence``: the mean of the given label's probability p, and ``variability``, its standard
      deviation ``√(mean p² − (mean p)²)`` (data maps: Swayamdipta et al. 2020, arXiv 2009.10795).
    - ``aleatoric``: the mean of ``p (1 − p)`` (Data-IQ: Seedat et al. 2022, arXiv 2210.13043).
    """
    xp, T = namespace(dynamics.total), dynamics.epochs
    result = {
        "loss": dynamics.total[:, LOSS] / T,
        "el2n": dynamics.early / min(T, EARLY_EPOCHS),
        "grand": dynamics.norms / (0.5 * T * (T + 1)),
        "self_influence": dynamics.influence,
    }
    if dynamics.labels is None or dynamics.squares is None or dynamics.n_correct is None:
        return result
    mean, mean_square = dynamics.total[:, PROBABILITY] / T, dynamics.squares / T
    # The difference of two nearly equal numbers may round to below 0, whose root is NaN.
    variance = xp.maximum(mean_square - mean**2, xp.zeros_like(mean))
    return result | {
        "aum": dynamics.total[:, MARGIN] / T,
        "forgetting": dynamics.forgetting_events,
        "correctness": dynamics.n_correct / T,
        "confidence": mean,
        "variability": xp.sqrt(variance),
        "aleatoric": mean - mean_square,
    }


def mean_predictions(dynamics: TrainingDynamics) -> Array:
    """Return the mean of P over the epochs ``(n, K)``."""
    # The mean over epochs favours what a network learns first over the labels it memorises at the end.
    return predictions_of(dynamics.total, dynamics.labels) / dynamics.epochs


def mislabel_score(dynamics: TrainingDynamics) -> Array:
    """Return the mean loss over the epochs ``(n,)``; the higher, the more suspicious the label."""
    # A wrong label costs much until the network memorises the row, which happens late. Chosen by experiment
    # among all statistics, the margins of the mean predictions, and sums of their ranks: docs/examples.md.
    return dynamics.total[:, LOSS] / dynamics.epochs
