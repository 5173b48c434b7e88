"""The private mechanism: no example counts for more than a limit, and noise hides which ones took part.

``g = (Σ limited(g_i) + σ C N(0, 1)) / expected size``, over a batch that took each row by chance.
"""

import math
from collections.abc import Callable
from itertools import accumulate, pairwise
from typing import Any, NamedTuple, Protocol, TypeAlias

from batchprop.activations import Activation
from batchprop.arrays import Array, namespace
from batchprop.clipping import (
    automatic_clip_factors,
    clip_factors,
    global_norm,
    layer_norms,
    squared_factor_norms,
)
from batchprop.errors import ParameterError
from batchprop.gradient import BatchGradient
from batchprop.network import Network
from batchprop.params import Layers, tree_map

NormalSampler: TypeAlias = Callable[[tuple[int, ...], Any], Array]
"""``(shape, dtype) -> `` independent standard normal numbers."""


LayerNorms: TypeAlias = tuple[Array, ...]
"""How long each example's gradient is in each layer, L + 1 of ``(m,)``."""


class Clipping(Protocol):
    """Limits each example's gradient, so that none is longer than ``max_norm``."""

    @property
    def max_norm(self) -> float:
        """C, over all layers: the most that one example can add to the sum."""

    def factors(self, lengths: LayerNorms) -> tuple[Array, ...]:
        """For each layer what each example's part is multiplied with ``(m,)``; 0 where it has no length."""


class FlatClipping(NamedTuple):
    """``g_i · min(1, C / ‖g_i‖)``, the norm over all layers (Abadi et al., arXiv 1607.00133)."""

    max_norm: float

    def factors(self, lengths: LayerNorms) -> tuple[Array, ...]:
        """The same for all layers."""
        return (clip_factors(global_norm(lengths), self.max_norm),) * len(lengths)


class PerLayerClipping(NamedTuple):
    """Each layer's own part is cut to ``C / √L``, so that all L together stay within C.

    The parts of one example are cut by different factors, so its direction changes
    (McMahan et al., arXiv 1710.06963).
    """

    max_norm: float

    def factors(self, lengths: LayerNorms) -> tuple[Array, ...]:
        """Of each layer's own length."""
        return tuple(clip_factors(length, self.max_norm / math.sqrt(len(lengths))) for length in lengths)


class AutomaticClipping(NamedTuple):
    """``C · g_i / (‖g_i‖ + γ)``: all get about the same length (Bu et al., arXiv 2206.07136)."""

    max_norm: float
    stability: float = 0.01

    def factors(self, lengths: LayerNorms) -> tuple[Array, ...]:
        """The same for all layers."""
        return (automatic_clip_factors(global_norm(lengths), self.max_norm, self.stability),) * len(lengths)


class DPMechanism(NamedTuple):
    """What makes a step private.

    Attributes:
        clipping: limits each example's gradient.
        noise_multiplier: σ, the noise's standard deviation in units of C; None for no noise.
        expected_size: how many rows a batch has on average; the sum is divided by it, whatever came out, for
            a batch's true size would tell whether a row is in it.
    """

    clipping: Clipping
    noise_multiplier: float | None
    expected_size: float

    def clipped_sum(self, gradient: BatchGradient, shares: Array) -> Layers:
        """The sum of the limited gradients, each times its share: ``Σ s_i f_i g_i``, f from the clipping.

        Args:
            gradient: the batch's.
            shares: s ``(m,)``.

        Returns:
            For each layer ``Layer(W, b)``. An example whose length overflowed adds zeros, provided that its H
            are finite, as those of ``with_finite_activations`` are: no row can keep the others from being
            trained on.

        Example:
            >>> import numpy as np
            >>> g = BatchGradient((np.array([[3.0, np.inf]]),), (np.array([[0.0, 7.0]]),))
            >>> DPMechanism(FlatClipping(1.0), None, 2.0).clipped_sum(g, np.array([0.5, 0.5]))
            (Layer(W=array([[0.]]), b=array([0.5])),)
        """
        xp, pairs = namespace(shares), squared_factor_norms(gradient.dZ, gradient.H)
        factors = self.clipping.factors(tuple(layer_norms(left, right) for left, right in pairs))
        # Scaled at once, so that a compiler writes what enters a layer's two products only once; and chosen,
        # for zero times infinity is not zero.
        dZ = tuple(
            xp.where(factor > 0, dZ, 0.0) * (factor * shares)
            for dZ, factor in zip(gradient.dZ, factors, strict=True)
        )
        return BatchGradient(dZ, gradient.H).sum()

    def add_noise(self, gradient: Layers, normal: NormalSampler | None) -> Layers:
        """Add noise to a batch's gradient: ``g + (σ C / expected size) N(0, 1)``, once for a batch.

        Args:
            gradient: the sum of limited gradients over the expected size.
            normal: where the noise comes from.

        Returns:
            The gradient.

        Raises:
            ParameterError: there is noise to add but nothing to draw it from.

        Example:
            >>> import numpy as np
            >>> from batchprop.params import Layer
            >>> bits = np.random.default_rng(0)
            >>> DPMechanism(FlatClipping(2.0), 1.5, 10.0).add_noise(
            ...     (Layer(np.zeros((1, 1)), np.zeros(1)),),
            ...     lambda shape, dtype: bits.standard_normal(shape, dtype),
            ... )
            (Layer(W=array([[0.03771907]]), b=array([-0.03963146])),)
        """
        if self.noise_multiplier is None:
            return gradient
        if normal is None:
            raise ParameterError(
                "private training needs randomness: make the engine with some, as JaxEngine(seed=...) or "
                "NumpyEngine(np.random.default_rng())"
            )
        deviation = self.noise_multiplier * self.clipping.max_norm / self.expected_size
        # Drawn at once: a compiler takes seconds for a generator in each layer.
        sizes = [math.prod(theta.shape) for layer in gradient for theta in layer]
        noise = deviation * normal((sum(sizes),), gradient[0].b.dtype)
        parts = (noise[start:stop] for start, stop in pairwise(accumulate(sizes, initial=0)))
        return tree_map(lambda g: g + namespace(g).reshape(next(parts), g.shape), gradient)


def with_finite_activations(net: Network) -> Network:
    """Return the same network, in which a unit that overflows gives 0.

    Example:
        >>> import numpy as np
        >>> from batchprop.backprop import predict
        >>> net = Network.create(
        ...     [1, 1, 1], activation="identity", head="squared_error", random_state=0
        ... )
        >>> float(predict(with_finite_activations(net), np.array([[np.inf]]))[0, 0]) == float(
        ...     net.layers[1].b[0]
        ... )
        True
    """
    return Network(net.layers, tuple(map(_kept_finite, net.activations)), net.head)


def _kept_finite(activation: Activation) -> Activation:
    def function(Z: Array) -> Array:
        xp, H = namespace(Z), activation.function(Z)
        return xp.where(xp.isfinite(H), H, 0.0)

    return activation._replace(function=function)
