"""How long each example's gradient is, and the factor that brings it down to a limit.

A length is never squared across factors, ``‖g_i‖ = ‖dz_i‖ √(‖h_i‖² + 1)``: the square of a long gradient
overflows in float32. Whatever is still too long counts as infinite, and gets the factor 0, not NaN; so does
what has no length, because a number on the way to it overflowed.
"""

import math
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any

import numpy as np

from batchprop.arrays import Array, columnwise_dot, namespace
from batchprop.errors import InputError, ParameterError


def squared_factor_norms(dZ: Sequence[Array], H: Sequence[Array]) -> Iterator[tuple[Array, Array]]:
    """Yield for each layer ``‖dz_i‖²`` and ``‖h_i‖² + 1``, whose product is the gradient's squared norm.

    Args:
        dZ: for each layer ``(n_l, m)``.
        H: for each layer ``(n_{l-1}, m)``; the first is the batch.

    Yields:
        Pairs of ``(m,)``.

    Example:
        >>> import numpy as np
        >>> list(squared_factor_norms((np.array([[1.0, 2.0]]),), (np.array([[3.0, 4.0]]),)))
        [(array([1., 4.]), array([10., 17.]))]
    """
    B, *hidden = H
    # A batch's columns are rows of the table: vecdot runs along memory there, and across it elsewhere.
    right = (namespace(B).vecdot(B, B, axis=-2), *(columnwise_dot(H_l, H_l) for H_l in hidden))
    return ((columnwise_dot(dZ_l, dZ_l), square + 1.0) for dZ_l, square in zip(dZ, right, strict=True))


def layer_norms(left: Array, right: Array) -> Array:
    """Return the length of each example's gradient in one layer: ``‖dz_i‖ √(‖h_i‖² + 1)``, 1 for the bias.

    Args:
        left: ``‖dz_i‖²``, ``(m,)``.
        right: ``‖h_i‖² + 1``, ``(m,)``.

    Returns:
        ``(m,)``. Infinite where ``‖dz_i‖²`` or ``‖h_i‖²`` is; 0 where ``dz_i`` is 0.

    Example:
        >>> import numpy as np
        >>> layer_norms(np.array([25.0, 0.0]), np.array([4.0, np.inf]))
        array([10.,  0.])
    """
    xp = namespace(left)
    some = left > 0  # 0 · ∞ is no number
    return xp.sqrt(left) * xp.sqrt(xp.where(some, right, xp.ones_like(right)))


def global_norm(lengths: Sequence[Array]) -> Array:
    """Return the length over all layers: ``√(Σ_layers ℓ²)``, with no square that overflows.

    Args:
        lengths: for each layer ``(m,)``.

    Returns:
        ``(m,)``.

    Example:
        >>> import numpy as np
        >>> global_norm([np.array([3e30], "float32"), np.array([4e30], "float32")])
        array([5.e+30], dtype=float32)
    """
    xp = namespace(lengths[0])
    longest = reduce(xp.maximum, lengths)
    unit = xp.where((longest > 0) & xp.isfinite(longest), longest, xp.ones_like(longest))
    return unit * xp.sqrt(sum(((length / unit) ** 2 for length in lengths), start=xp.zeros_like(unit)))


def clip_factors(lengths: Array, max_norm: float | Array) -> Array:
    """Return the factor that cuts each length to a limit: ``min(1, C / ℓ_i)``.

    Args:
        lengths: ℓ ``(m,)``.
        max_norm: C, positive, a number or a scalar array; infinite for no limit.

    Returns:
        ``(m,)``: 1 up to the limit, 0 for an infinite length, and for one that is no number.

    Raises:
        ParameterError: C is not above 0, or no number.

    Example:
        >>> import numpy as np
        >>> clip_factors(np.array([0.0, 1.0, 4.0]), 2.0)
        array([1. , 1. , 0.5])
    """
    xp = namespace(lengths)
    limit = _positive("max_norm", max_norm, lengths)
    ones = xp.ones_like(lengths)
    longer = lengths > limit
    cut = xp.where(longer, limit / xp.where(longer, lengths, ones), ones)
    return xp.where(xp.isnan(lengths), xp.zeros_like(lengths), cut)


def automatic_clip_factors(lengths: Array, max_norm: float | Array, stability: float | Array) -> Array:
    """Return the factor of automatic clipping: ``C / (ℓ_i + γ)``.

    Args:
        lengths: ℓ ``(m,)``.
        max_norm: C, positive, a number or a scalar array.
        stability: γ, positive, a number or a scalar array.

    Returns:
        ``(m,)``: 0 for an infinite length, and for one that is no number.

    Raises:
        ParameterError: C or γ is not above 0, or no number.

    Example:
        >>> import numpy as np
        >>> automatic_clip_factors(np.array([0.0, 9.99]), 1.0, 0.01)
        array([100. ,   0.1])
    """
    xp = namespace(lengths)
    floor = _positive("stability", stability, lengths)
    factors = _positive("max_norm", max_norm, lengths) / (lengths + floor)
    return xp.where(xp.isnan(lengths), xp.zeros_like(lengths), factors)


def per_layer_limits(max_norms: Sequence[float | Array] | Array, n_layers: int) -> tuple[float | Array, ...]:
    """Return the limits as a tuple with one for each layer.

    Args:
        max_norms: a sequence of numbers or scalar arrays, or an array ``(L + 1,)``.
        n_layers: L + 1.

    Returns:
        L + 1 limits.

    Raises:
        InputError: they are not as many as the layers, or no sequence.

    Example:
        >>> per_layer_limits([1.0, 0.5], 2)
        (1.0, 0.5)
    """
    if hasattr(max_norms, "shape"):
        shape = tuple(max_norms.shape)
    else:
        counts = hasattr(max_norms, "__len__") and not isinstance(max_norms, str)
        shape = (len(max_norms),) if counts else ()
    if shape != (n_layers,):
        raise InputError(
            f"max_norms={max_norms!r} has shape {shape} for {n_layers} layers: give one limit for each layer"
        )
    return tuple(max_norms[k] for k in range(n_layers))


def _positive(name: str, value: float | Array, like: Array) -> Array:
    """Return the value as a scalar array of the others' type; a compiled program's is not looked at."""
    if not _as_float(value) > 0:
        raise ParameterError(f"{name}={value!r} is not allowed: give a number above 0, as {name}=1.0")
    return namespace(like).asarray(value, dtype=like.dtype)


def _as_float(value: Any) -> float:
    """The value as a float: NaN, which nothing lets pass, for what is none; 1 for what has no value yet."""
    if isinstance(value, bool | np.bool_ | str) or getattr(value, "shape", ()) != ():
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        # What stands for a number in a program that is being compiled is an abstract value, and no float.
        return 1.0 if hasattr(value, "aval") else math.nan
