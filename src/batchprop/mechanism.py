"""The private mechanism: no example counts for more than a limit, and noise hides which ones took part.

``g = (Σ limited(g_i) + σ C N(0, 1)) / expected size``, over a batch that took each row by chance.
"""

import math
from collections.abc import Callable
from itertools import accumulate, pairwise
from typing import Any, NamedTuple, Protocol, TypeAlias

from batchprop.arrays import Array, namespace
from batchprop.errors import ParameterError
from batchprop.gradient import BatchGradient
from batchprop.network import Layers
from batchprop.optimizers import each

Normal: TypeAlias = Callable[[tuple[int, ...], Any], Array]
"""``(shape, dtype) -> `` independent standard normal numbers."""


class Clipping(Protocol):
    """Limits each example's gradient, so that none is longer than ``max_norm``."""

    @property
    def max_norm(self) -> float:
        """C, over all layers: the most that one example can add to the sum."""

    def limited(self, gradient: BatchGradient) -> BatchGradient:
        """The gradients, none longer than C."""


class Flat(NamedTuple):
    """``g_i · min(1, C / ‖g_i‖)``, the norm over all layers (Abadi et al., arXiv 1607.00133)."""

    max_norm: float

    def limited(self, gradient: BatchGradient) -> BatchGradient:
        """The gradients, none longer than C."""
        return gradient.clipped(self.max_norm)


class PerLayer(NamedTuple):
    """Each layer's own part is cut to ``C / √L``, so that all L together stay within C.

    The parts of one example are cut by different factors, so its direction changes
    (McMahan et al., arXiv 1710.06963, section 3.1).
    """

    max_norm: float

    def limited(self, gradient: BatchGradient) -> BatchGradient:
        """The gradients, none longer than C."""
        n_layers = len(gradient.dZ)
        return gradient.clipped_by_layer((self.max_norm / math.sqrt(n_layers),) * n_layers)


class Automatic(NamedTuple):
    """``C · g_i / (‖g_i‖ + γ)``: all get about the same length (Bu et al., arXiv 2206.07136)."""

    max_norm: float
    stability: float = 0.01

    def limited(self, gradient: BatchGradient) -> BatchGradient:
        """The gradients, none longer than C."""
        return gradient.normalized(self.max_norm, self.stability)


class Mechanism(NamedTuple):
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

    def limited(self, gradient: BatchGradient) -> BatchGradient:
        """The gradients, none longer than C."""
        return self.clipping.limited(gradient)

    def noisy(self, gradient: Layers, normal: Normal | None) -> Layers:
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
            >>> from batchprop.network import Layer
            >>> bits = np.random.default_rng(0)
            >>> Mechanism(Flat(2.0), 1.5, 10.0).noisy(
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
        return each(lambda g: g + namespace(g).reshape(next(parts), g.shape), gradient)
