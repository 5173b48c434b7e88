"""How long each example's gradient is, and the factor that brings it down to a limit.

A length is never squared across factors, ``‖g_i‖ = ‖dz_i‖ √(‖h_i‖² + 1)``: the square of a long gradient
overflows in float32. Whatever is still too long counts as infinite, and gets the factor 0, not NaN.
"""

from collections.abc import Sequence
from functools import reduce

import numpy as np

from batchprop.arrays import Array, namespace
from batchprop.errors import InputError, ParameterError


def layer_lengths(left: Array, right: Array) -> Array:
    """Return the length of each example's gradient in one layer: ``‖dz_i‖ √(‖h_i‖² + 1)``, 1 for the bias.

    Args:
        left: ``‖dz_i‖²``, ``(m,)``.
        right: ``‖h_i‖² + 1``, ``(m,)``.

    Returns:
        ``(m,)``. Infinite where ``‖dz_i‖²`` or ``‖h_i‖²`` is; 0 where ``dz_i`` is 0.

    Example:
        >>> import numpy as np
        >>> layer_lengths(np.array([25.0, 0.0]), np.array([4.0, np.inf]))
        array([10.,  0.])
    """
    xp = namespace(left)
    some = left > 0  # 0 · ∞ is no number
    return xp.sqrt(left) * xp.sqrt(xp.where(some, right, xp.ones_like(right)))


def joined(lengths: Sequence[Array]) -> Array:
    """Return the length over all layers: ``√(Σ_layers ℓ²)``, with no square that overflows.

    Args:
        lengths: for each layer ``(m,)``.

    Returns:
        ``(m,)``.

    Example:
        >>> import numpy as np
        >>> joined([np.array([3e30], "float32"), np.array([4e30], "float32")])
        array([5.e+30], dtype=float32)
    """
    xp = namespace(lengths[0])
    longest = reduce(xp.maximum, lengths)
    unit = xp.where((longest > 0) & xp.isfinite(longest), longest, xp.ones_like(longest))
    return unit * xp.sqrt(sum(((length / unit) ** 2 for length in lengths), start=xp.zeros_like(unit)))


def cutting(lengths: Array, max_norm: float | Array) -> Array:
    """Return the factor that cuts each length to a limit: ``min(1, C / ℓ_i)``.

    Args:
        lengths: ℓ ``(m,)``.
        max_norm: C, positive, a number or a scalar array; infinite for no limit.

    Returns:
        ``(m,)``: 1 up to the limit, 0 for an infinite length.

    Raises:
        ParameterError: C is a number, and not above 0.

    Example:
        >>> import numpy as np
        >>> cutting(np.array([0.0, 1.0, 4.0]), 2.0)
        array([1. , 1. , 0.5])
    """
    xp = namespace(lengths)
    limit = _positive("max_norm", max_norm, lengths)
    ones = xp.ones_like(lengths)
    longer = lengths > limit
    return xp.where(longer, limit / xp.where(longer, lengths, ones), ones)


def normalizing(lengths: Array, max_norm: float | Array, stability: float | Array) -> Array:
    """Return the factor of automatic clipping: ``C / (ℓ_i + γ)``.

    Args:
        lengths: ℓ ``(m,)``.
        max_norm: C, positive, a number or a scalar array.
        stability: γ, positive, a number or a scalar array.

    Returns:
        ``(m,)``.

    Raises:
        ParameterError: C or γ is a number, and not above 0.

    Example:
        >>> import numpy as np
        >>> normalizing(np.array([0.0, 9.99]), 1.0, 0.01)
        array([100. ,   0.1])
    """
    floor = _positive("stability", stability, lengths)
    return _positive("max_norm", max_norm, lengths) / (lengths + floor)


def one_limit_a_layer(max_norms: Sequence[float | Array] | Array, n_layers: int) -> tuple[float | Array, ...]:
    """Return the limits as a tuple with one for each layer.

    Args:
        max_norms: a sequence of numbers or scalar arrays, or an array ``(L + 1,)``.
        n_layers: L + 1.

    Returns:
        L + 1 limits.

    Raises:
        InputError: they are not as many as the layers.

    Example:
        >>> one_limit_a_layer([1.0, 0.5], 2)
        (1.0, 0.5)
    """
    shape = tuple(max_norms.shape) if hasattr(max_norms, "shape") else np.shape(np.empty(len(max_norms)))
    if shape != (n_layers,):
        raise InputError(
            f"max_norms={max_norms!r} has shape {shape} for {n_layers} layers: give one limit for each layer"
        )
    return tuple(max_norms[k] for k in range(n_layers))


def _positive(name: str, value: float | Array, like: Array) -> Array:
    """Return the value as a scalar array of the others' type; a compiled program's is not looked at."""
    if isinstance(value, int | float | np.number) and not value > 0:
        raise ParameterError(f"{name}={value!r} is not allowed: give a number above 0, as {name}=1.0")
    return namespace(like).asarray(value, dtype=like.dtype)
