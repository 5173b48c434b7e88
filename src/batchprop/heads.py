"""The output heads: one record each, with the map from Z to P, the loss of each example, and dZ.

Every matrix has one column per example: ``Z``, ``P`` and ``Y`` are ``(K, m)``, the losses ``(m,)``. A loss is
summed over the K outputs and belongs to one example; the mean over the batch is not taken here. For every
finite Z, no logarithm of zero is taken and nothing overflows.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, pairwise
from typing import Any

from batchprop.activations import identity, sigmoid, softplus
from batchprop.arrays import Array, columnwise_dot, float_limits, namespace
from batchprop.errors import InputError, ParameterError, unknown_option_error


@dataclass(frozen=True)
class Head:
    """One output head.

    Attributes:
        name: the head's key in ``HEADS``.
        output: ``Z (K, m) -> P (K, m)``.
        output_and_losses: ``(Z, Y) -> (P, losses)``, P and each example's loss ``(m,)``; the losses come from
            Z and not from P, which is rounded to 0 or 1 where the network is sure.
        dZ: ``(P, Y) -> (K, m)``, the derivative of each example's own loss by its column of Z.

    Example:
        >>> import numpy as np
        >>> HEADS["softmax"].output(np.zeros((2, 1)))
        array([[0.5],
               [0.5]])
    """

    name: str
    output: Callable[[Array], Array]
    output_and_losses: Callable[[Array, Array], tuple[Array, Array]]
    dZ: Callable[[Array, Array], Array]

    def losses(self, Z: Array, Y: Array) -> Array:
        """Return the loss of each example, ``(m,)``."""
        return self.output_and_losses(Z, Y)[1]


# A maker returns one object for equal settings: compiled programs are cached by head.
@cache
def softmax(label_smoothing: float = 0.0, ceiling: float = math.inf) -> Head:
    """Softmax with cross-entropy: ``P = normalize(exp Z)``, ``loss = −Σ Y ⊙ log P``, ``dZ = P − Y``.

    Args:
        label_smoothing: ε in [0, 1): every target becomes ``(1 − ε) Y + ε/K`` (arXiv 1512.00567).
        ceiling: the largest ``−log P`` that is reported; it does not change dZ.

    Returns:
        The head; Y holds one distribution per column, usually one-hot.

    Raises:
        ParameterError: ``label_smoothing`` lies outside [0, 1).

    Example:
        >>> import numpy as np
        >>> softmax().losses(np.zeros((4, 1)), np.array([[1.0], [0.0], [0.0], [0.0]])).round(4)
        array([1.3863])
    """
    _check_smoothing(label_smoothing)

    def smooth(Y: Array) -> Array:
        return (1.0 - label_smoothing) * Y + label_smoothing / Y.shape[0] if label_smoothing else Y

    def output(Z: Array) -> Array:
        _, E, total = _stable_exp(Z)
        return E / total

    def output_and_losses(Z: Array, Y: Array) -> tuple[Array, Array]:
        xp = namespace(Z)
        S, E, total = _stable_exp(Z)
        return E / total, columnwise_dot(smooth(Y), clip_loss(xp.log(total) - S, ceiling))

    return Head("softmax", output, output_and_losses, lambda P, Y: P - smooth(Y))


def softmax_groups(sizes: Sequence[int], label_smoothing: float = 0.0, ceiling: float = math.inf) -> Head:
    """Several classifications at once: one softmax for each block of rows, the losses summed.

    Args:
        sizes: the number of classes of each block; they add up to K.
        label_smoothing: as in ``softmax``.
        ceiling: as in ``softmax``.

    Returns:
        The head; it raises ``InputError`` where the last layer does not have K units.

    Example:
        >>> import numpy as np
        >>> softmax_groups([2, 2]).output(np.zeros((4, 1)))[:, 0]
        array([0.5, 0.5, 0.5, 0.5])
    """
    return _softmax_groups(tuple(sizes), label_smoothing, ceiling)


@cache  # here, where the sizes are a tuple: the public maker also takes a list, which has no hash
def _softmax_groups(sizes: tuple[int, ...], label_smoothing: float, ceiling: float) -> Head:
    one = softmax(label_smoothing, ceiling)
    K = sum(sizes)
    blocks = [slice(start, stop) for start, stop in pairwise([0, *accumulate(sizes)])]

    def per_block(function: Callable[..., Array]) -> Callable[..., Array]:
        def whole(*matrices: Array) -> Array:
            if matrices[0].shape[0] != K:
                raise InputError(
                    f"the last layer has {matrices[0].shape[0]} units: "
                    f"softmax_groups({list(sizes)}) needs {K}"
                )
            parts = [function(*(M[block, :] for M in matrices)) for block in blocks]
            return namespace(matrices[0]).concat(parts, axis=0)

        return whole

    def losses(Z: Array, Y: Array) -> Array:
        return sum(one.losses(Z[block, :], Y[block, :]) for block in blocks)

    return _head("softmax_groups", per_block(one.output), losses, per_block(one.dZ))


@cache
def sigmoid_cross_entropy(label_smoothing: float = 0.0, ceiling: float = math.inf) -> Head:
    """Sigmoid with binary cross-entropy: ``loss = −Σ [Y log P + (1 − Y) log(1 − P)]``, ``dZ = P − Y``.

    Args:
        label_smoothing: ε in [0, 1): every target becomes ``(1 − ε) Y + ε/2``.
        ceiling: the largest loss of one label that is reported; it does not change dZ.

    Returns:
        The head, for two classes (K = 1) and for K labels at once.

    Raises:
        ParameterError: ``label_smoothing`` lies outside [0, 1).

    Example:
        >>> import numpy as np
        >>> sigmoid_cross_entropy().losses(np.array([[-1e4]]), np.array([[1.0]]))
        array([10000.])
    """
    _check_smoothing(label_smoothing)

    def smooth(Y: Array) -> Array:
        return (1.0 - label_smoothing) * Y + label_smoothing / 2.0 if label_smoothing else Y

    def losses(Z: Array, Y: Array) -> Array:
        xp = namespace(Z)
        # max(z, 0) − y z is exactly 0 for a sure and correct prediction, so the tiny log1p keeps its digits.
        costs = xp.maximum(Z, 0.0) - smooth(Y) * Z + xp.log1p(xp.exp(-xp.abs(Z)))
        return xp.sum(clip_loss(costs, ceiling), axis=0)

    return _head("sigmoid", sigmoid, losses, lambda P, Y: P - smooth(Y))


def squared_error() -> Head:
    """Identity with half the squared error: ``P = Z``, ``loss = ½ Σ (P − Y)²``, ``dZ = P − Y``.

    Example:
        >>> import numpy as np
        >>> squared_error().losses(np.array([[3.0]]), np.array([[1.0]]))
        array([2.])
    """

    def losses(Z: Array, Y: Array) -> Array:
        R = Z - Y
        return 0.5 * columnwise_dot(R, R)

    return _head("squared_error", identity, losses, _residual)


def absolute_error() -> Head:
    """Identity with the absolute error, for the median: ``loss = Σ |P − Y|``, ``dZ = sign(P − Y)``.

    Example:
        >>> import numpy as np
        >>> absolute_error().losses(np.array([[3.0]]), np.array([[1.0]]))
        array([2.])
    """

    def losses(Z: Array, Y: Array) -> Array:
        xp = namespace(Z)
        return xp.sum(xp.abs(Z - Y), axis=0)

    return _head("absolute_error", identity, losses, lambda P, Y: namespace(P).sign(P - Y))


@cache
def huber(delta: float = 1.0) -> Head:
    """Identity with Huber's loss: ``½ r²`` where ``|r| ≤ δ``, else ``δ (|r| − ½ δ)``.

    Each output's derivative is the residual, clipped: ``dZ = clip(r, −δ, δ)``, ``r = P − Y``.

    Args:
        delta: δ > 0, in the units of Y: the residual from which on the loss grows linearly.

    Returns:
        The head (Huber 1964).

    Raises:
        ParameterError: ``delta`` is not a positive number.

    Example:
        >>> import numpy as np
        >>> huber(1.0).losses(np.array([[0.5, 3.0]]), np.zeros((1, 2)))
        array([0.125, 2.5  ])
    """
    if not 0 < delta < math.inf:
        raise ParameterError(
            f"huber delta={delta!r} is not allowed: give a positive number, in the units of the target"
        )

    def dZ(P: Array, Y: Array) -> Array:
        xp = namespace(P)
        return xp.maximum(xp.minimum(P - Y, delta), -delta)

    def losses(Z: Array, Y: Array) -> Array:
        # With the clipped residual c both branches are one formula, c (r − ½ c).
        C = dZ(Z, Y)
        return columnwise_dot(C, Z - Y - 0.5 * C)

    return _head("huber", identity, losses, dZ)


@cache
def quantile(level: float = 0.5) -> Head:
    """Identity with the pinball loss: ``Σ max(q (Y − P), (q − 1)(Y − P))``.

    Each output's derivative is ``−q`` below Y and ``1 − q`` above.

    Args:
        level: q in (0, 1), the level of the quantile to predict; 0.5 is the median.

    Returns:
        The head (Koenker and Bassett 1978).

    Raises:
        ParameterError: ``level`` lies outside (0, 1).

    Example:
        >>> import numpy as np
        >>> quantile(0.9).losses(np.array([[0.0, 2.0]]), np.ones((1, 2)))
        array([0.9, 0.1])
    """
    if not 0 < level < 1:
        raise ParameterError(f"quantile={level!r} is not allowed: give a number between 0 and 1, as 0.9")

    def losses(Z: Array, Y: Array) -> Array:
        xp = namespace(Z)
        R = Y - Z
        return xp.sum(xp.maximum(level * R, (level - 1.0) * R), axis=0)

    def dZ(P: Array, Y: Array) -> Array:
        # The sign s makes −q of −1 and 1 − q of 1; at the kink, where s is 0, it is the subgradient 0.
        S = namespace(P).sign(P - Y)
        return 0.5 * S + (0.5 - level) * S * S

    return _head("quantile", identity, losses, dZ)


def quantiles(levels: Sequence[float]) -> Head:
    """Several quantiles of one target that never cross, with the mean of their pinball losses.

    The first row of Z is the lowest quantile, and every other row a step up from the one below:
    ``p_0 = z_0``, ``p_j = p_{j−1} + softplus(z_j)``. So ``dZ = S ⊙ (Tᵀ G)``: G holds the derivatives by P, Tᵀ
    sums each column from its row on, S is 1 in the first row and ``σ(z_j) = 1 − exp(p_{j−1} − p_j)`` below.

    Args:
        levels: q in (0, 1), ascending: one for each row of Z. Every row of Y holds the target.

    Returns:
        The head; it raises ``InputError`` where the last layer does not have a unit for each level.

    Raises:
        ParameterError: there is no level, one lies outside (0, 1), or they do not ascend.

    Source:
        Pinball loss: Koenker and Bassett 1978. Steps in place of quantiles: Gasthaus et al., AISTATS 2019.

    Example:
        >>> import numpy as np
        >>> quantiles([0.1, 0.5, 0.9]).output(np.array([[2.0], [-1e4], [1e4]]))[:, 0].tolist()
        [2.0, 2.0, 10002.0]
    """
    return _quantiles(tuple(levels))


@cache  # here, as of ``softmax_groups``
def _quantiles(levels: tuple[float, ...]) -> Head:
    if not levels or any(low >= high for low, high in pairwise(levels)):
        raise ParameterError(
            f"quantiles={list(levels)} is not allowed: give ascending levels, each once, as [0.05, 0.5, 0.95]"
        )
    of_row = [quantile(level) for level in levels]

    def split(M: Array) -> list[Array]:
        if M.shape[0] != len(levels):
            raise InputError(
                f"the last layer has {M.shape[0]} units: quantiles({list(levels)}) needs {len(levels)}"
            )
        return [M[j : j + 1, :] for j in range(len(levels))]

    def output(Z: Array) -> Array:
        lowest, *steps = split(Z)
        # One after the other: a sum in another order could round a quantile to below the one before.
        return namespace(Z).concat(list(accumulate([lowest, *map(softplus, steps)])), axis=0)

    def losses(P: Array, Y: Array) -> Array:
        parts = zip(of_row, split(P), split(Y), strict=True)
        return sum(one.losses(p, y) for one, p, y in parts) / len(levels)

    def dZ(P: Array, Y: Array) -> Array:
        xp, rows = namespace(P), split(P)
        G = [one.dZ(p, y) / len(levels) for one, p, y in zip(of_row, rows, split(Y), strict=True)]
        first, *others = reversed(list(accumulate(reversed(G))))
        # Rounded as P is: a step too small to move P has no slope, either.
        slopes = [-xp.expm1(below - p) for below, p in pairwise(rows)]
        return xp.concat([first, *(s * g for s, g in zip(slopes, others, strict=True))], axis=0)

    def output_and_losses(Z: Array, Y: Array) -> tuple[Array, Array]:
        P = output(Z)
        return P, losses(P, Y)

    return Head("quantiles", output, output_and_losses, dZ)


def poisson() -> Head:
    """Exponential with half the Poisson deviance: ``P = exp Z``, ``loss = Σ P − Y Z + Y log Y − Y``.

    Beyond the Z whose exponential is the square root of the largest number, P stays constant and the loss
    continues as its tangent, so that ``dZ = P − Y`` remains its exact derivative and nothing overflows.

    Example:
        >>> import numpy as np
        >>> poisson().losses(np.array([[0.0]]), np.array([[2.0]])).round(4)
        array([0.3863])
    """

    def cap_log_rate(Z: Array) -> Array:
        xp = namespace(Z)
        return xp.minimum(Z, 0.5 * math.log(float(xp.finfo(Z.dtype).max)))

    def output(Z: Array) -> Array:
        return namespace(Z).exp(cap_log_rate(Z))

    def losses(Z: Array, Y: Array) -> Array:
        xp = namespace(Z)
        deviance = output(Z) * (1.0 + Z - cap_log_rate(Z)) - Y * Z
        # Y log Y is 0 at a count of 0, where log alone is infinite.
        return xp.sum(deviance + Y * xp.log(xp.where(Y > 0, Y, 1.0)) - Y, axis=0)

    return _head("poisson", output, losses, _residual)


def log_softmax(Z: Array) -> Array:
    """Return ``log P (K, m)`` of the softmax, ``z − max z − log Σ exp(z − max z)``; finite for finite Z."""
    S, _, total = _stable_exp(Z)
    return S - namespace(Z).log(total)


def log_sigmoid(Z: Array) -> Array:
    """Return ``log σ(z) = min(z, 0) − log1p(exp(−|z|))``, elementwise; finite for finite Z."""
    xp = namespace(Z)
    return xp.minimum(Z, 0.0) - xp.log1p(xp.exp(-xp.abs(Z)))


def clip_loss(losses: Array, ceiling: float) -> Array:
    """Return ``min(losses, ceiling)``, elementwise; the losses themselves without a ceiling."""
    return losses if ceiling == math.inf else namespace(losses).minimum(losses, ceiling)


def _head(
    name: str,
    output: Callable[[Array], Array],
    losses: Callable[[Array, Array], Array],
    dZ: Callable[[Array, Array], Array],
) -> Head:
    """Make a head whose output and losses share no work."""
    return Head(name, output, lambda Z, Y: (output(Z), losses(Z, Y)), dZ)


def _residual(P: Array, Y: Array) -> Array:
    return P - Y


def _stable_exp(Z: Array) -> tuple[Array, Array, Array]:
    """Return ``S = Z − max Z``, bounded below, ``exp S`` and its sum, column by column."""
    xp = namespace(Z)
    largest = xp.max(Z, axis=0, keepdims=True)
    # S ends at minus half the largest number, whose exponential is 0 too: the difference of 3e38 and -3e38
    # would overflow in float32, and 0 · ∞ make NaN of the loss of a sure and correct prediction.
    half = 0.5 * float_limits(Z).max
    lowest = xp.maximum(largest, -half) - half
    # The largest exponent is 0, so that 1 ≤ Σ exp S ≤ K: no overflow, and no logarithm of 0.
    S = xp.maximum(Z, lowest) - largest
    E = xp.exp(S)
    return S, E, xp.sum(E, axis=0, keepdims=True)


def _check_smoothing(label_smoothing: Any) -> None:
    if not 0 <= label_smoothing < 1:
        raise ParameterError(
            f"label_smoothing={label_smoothing!r} is not allowed: "
            "give a number from 0 (none) to below 1, as 0.1"
        )


HEADS: dict[str, Head] = {
    "softmax": softmax(),
    "sigmoid": sigmoid_cross_entropy(),
    "squared_error": squared_error(),
    "absolute_error": absolute_error(),
    "huber": huber(),
    "quantile": quantile(),
    "poisson": poisson(),
}
"""Every head by name, with its default settings."""


def get_head(name: str | Head) -> Head:
    """Return the record of a head.

    Args:
        name: a key of ``HEADS``, or a record (``huber(delta=2.0)``, or your own), returned unchanged.

    Returns:
        The record.

    Raises:
        ParameterError: no head has this name.

    Example:
        >>> get_head("poisson").name
        'poisson'
    """
    if isinstance(name, Head):
        return name
    if not isinstance(name, str) or name not in HEADS:
        raise unknown_option_error("head", name, HEADS)
    return HEADS[name]
