"""DP-SGD: each example's gradient is clipped, and noise hides which examples took part.

``g = (Σ clip(g_i) + σ C N(0, 1)) / expected size``, over a batch that takes each row independently at random
(Abadi et al., arXiv 1607.00133).
"""

import math
from collections.abc import Callable
from itertools import accumulate, pairwise
from typing import Any, NamedTuple, Protocol, TypeAlias

from batchprop.activations import Activation
from batchprop.arrays import Array, namespace
from batchprop.clipping import (
    automatic_clip_factors,
    clip_columns,
    clip_factors,
    global_norm,
)
from batchprop.errors import ParameterError
from batchprop.gradient import BatchGradient
from batchprop.network import Network
from batchprop.params import Layers, tree_map

_FAR_BELOW = 1024
"""A norm this many times below C needs no digits: no clipping, in no layer, tells it from 0."""

NormalSampler: TypeAlias = Callable[[tuple[int, ...], Any], Array]
"""``(shape, dtype) -> `` independent standard normal numbers."""

LayerNorms: TypeAlias = tuple[Array, ...]
"""The norm of each example's gradient in each layer, L + 1 of ``(m,)``."""


class Clipping(Protocol):
    """Clips each example's gradient to a norm of at most ``max_norm``."""

    @property
    def max_norm(self) -> float:
        """C, over all layers: the sensitivity of the sum to one example."""

    def factors(self, norms: LayerNorms) -> tuple[Array, ...]:
        """Return each layer's factor of each example ``(m,)``; 0 where the norm is not finite."""


class FlatClipping(NamedTuple):
    """``g_i · min(1, C / ‖g_i‖)``, the norm over all layers (Abadi et al., arXiv 1607.00133)."""

    max_norm: float

    def factors(self, norms: LayerNorms) -> tuple[Array, ...]:
        """Return ``min(1, C / ‖g_i‖)``, the same for all layers."""
        return (clip_factors(global_norm(norms), self.max_norm),) * len(norms)


class PerLayerClipping(NamedTuple):
    """Each layer is clipped to ``C / √L``, so that all L together stay within C.

    The layers of one example get different factors, so the direction of its gradient changes
    (McMahan et al., arXiv 1710.06963).
    """

    max_norm: float

    def factors(self, norms: LayerNorms) -> tuple[Array, ...]:
        """Return each layer's own factor."""
        return tuple(clip_factors(norm, self.max_norm / math.sqrt(len(norms))) for norm in norms)


class AutomaticClipping(NamedTuple):
    """``C · g_i / (‖g_i‖ + γ)``: all get about the same norm (Bu et al., arXiv 2206.07136)."""

    max_norm: float
    stability: float = 0.01

    def factors(self, norms: LayerNorms) -> tuple[Array, ...]:
        """Return ``C / (‖g_i‖ + γ)``, the same for all layers."""
        return (automatic_clip_factors(global_norm(norms), self.max_norm, self.stability),) * len(norms)


class DPMechanism(NamedTuple):
    """The Gaussian mechanism of DP-SGD.

    Attributes:
        clipping: clips each example's gradient.
        noise_multiplier: σ, the noise's standard deviation in units of C; None for no noise.
        expected_size: the average number of rows in a batch. The sum is divided by it and not by the batch's
            true size, which would reveal whether a row is in the batch.
    """

    clipping: Clipping
    noise_multiplier: float | None
    expected_size: float

    def clipped_sum(self, gradient: BatchGradient, coefficients: Array) -> Layers:
        """Return ``Σ c_i f_i g_i``, f the clipping factors and c ``(m,)``, for each layer ``Layer(W, b)``."""
        # An example whose norm overflowed adds zeros, as H is finite in with_finite_activations: no row can
        # spoil the training on the others.
        dZ = clip_columns(
            gradient.dZ, gradient.H, self.clipping.factors, coefficients, self.clipping.max_norm / _FAR_BELOW
        )
        return BatchGradient(dZ, gradient.H).sum()

    def add_noise(self, gradient: Layers, normal: NormalSampler | None) -> Layers:
        """Return a batch's ``g + (σ C / expected size) N(0, 1)``; call it once for each batch."""
        if self.noise_multiplier is None:
            return gradient
        if normal is None:
            raise ParameterError(
                "private training needs randomness: make the engine with some, as JaxEngine(seed=...) or "
                "NumpyEngine(np.random.default_rng())"
            )
        deviation = self.noise_multiplier * self.clipping.max_norm / self.expected_size
        # One draw for all parameters: XLA takes seconds to compile a generator for each layer.
        sizes = [math.prod(theta.shape) for layer in gradient for theta in layer]
        noise = deviation * normal((sum(sizes),), gradient[0].b.dtype)
        parts = (noise[start:stop] for start, stop in pairwise(accumulate(sizes, initial=0)))
        return tree_map(lambda g: g + namespace(g).reshape(next(parts), g.shape), gradient)


def with_finite_activations(net: Network) -> Network:
    """Return the same network, in which a unit that overflows gives 0."""
    return Network(net.layers, tuple(map(_zero_where_infinite, net.activations)), net.head)


def _zero_where_infinite(activation: Activation) -> Activation:
    def function(Z: Array) -> Array:
        xp, H = namespace(Z), activation.function(Z)
        return xp.where(xp.isfinite(H), H, 0.0)

    # The derivative stays: a dZ that is not finite makes the norm not finite, and the clipping drops it.
    return activation._replace(function=function)
