"""Clipping: of each example's gradient, by its norm and a factor, and of a batch's gradient.

An example's norm is the product of two norms, ``‖g_i‖ = ‖dz_i‖ √(‖h_i‖² + 1)``, and never the root of a
product of squares, which overflows in float32 from ``‖g_i‖`` = 1.8e19 on. A norm that still overflows is
infinite, and its factor is 0; so is the factor of a norm that is NaN because an intermediate result
overflowed.
"""

import math
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any

import numpy as np

from batchprop.arrays import Array, columnwise_dot, namespace, squared_norm
from batchprop.errors import InputError, ParameterError
from batchprop.params import Layers, tree_map


def squared_factor_norms(dZ: Sequence[Array], H: Sequence[Array]) -> Iterator[tuple[Array, Array]]:
    """Yield for each layer ``‖dz_i‖²`` and ``‖h_i‖² + 1``, both ``(m,)``; the 1 is the bias's input."""
    B, *hidden = H
    # B is a transposed view of rows: vecdot runs along memory there, and across it everywhere else.
    input_norms = (namespace(B).vecdot(B, B, axis=-2), *(columnwise_dot(H_l, H_l) for H_l in hidden))
    return (
        (columnwise_dot(dZ_l, dZ_l), squared + 1.0) for dZ_l, squared in zip(dZ, input_norms, strict=True)
    )


def layer_norms(dz_squared: Array, h_squared: Array) -> Array:
    """Return ``‖g_i‖ (m,)`` in one layer from ``squared_factor_norms``; 0 where ``dz_i`` is 0."""
    xp = namespace(dz_squared)
    nonzero = dz_squared > 0  # without it a zero dz_i and an infinite h_i make NaN
    h_squared = xp.where(nonzero, h_squared, xp.ones_like(h_squared))
    return xp.sqrt(dz_squared) * xp.sqrt(h_squared)


def global_norm(norms: Sequence[Array]) -> Array:
    """Return ``√(Σ_layers ‖g_i‖²) (m,)`` from the norms in each layer."""
    xp = namespace(norms[0])
    largest = reduce(xp.maximum, norms)
    # In units of the largest norm no square overflows; 1 replaces a unit that is 0 or infinite.
    unit = xp.where((largest > 0) & xp.isfinite(largest), largest, xp.ones_like(largest))
    return unit * xp.sqrt(sum(((norm / unit) ** 2 for norm in norms), start=xp.zeros_like(unit)))


def clip_factors(norms: Array, max_norm: float | Array) -> Array:
    """Return ``min(1, C / ‖g_i‖) (m,)``; 0 for an infinite norm and for NaN."""
    xp = namespace(norms)
    limit = _positive("max_norm", max_norm, norms)
    ones = xp.ones_like(norms)
    exceeds = norms > limit
    # where computes both branches: the quotient of an infinite limit, or of a norm of 0, must not be taken.
    factors = xp.where(exceeds, limit / xp.where(exceeds, norms, ones), ones)
    return xp.where(xp.isnan(norms), xp.zeros_like(norms), factors)


def automatic_clip_factors(norms: Array, max_norm: float | Array, stability: float | Array) -> Array:
    """Return ``C / (‖g_i‖ + γ) (m,)``; 0 for an infinite norm and for NaN."""
    xp = namespace(norms)
    gamma = _positive("stability", stability, norms)
    factors = _positive("max_norm", max_norm, norms) / (norms + gamma)
    return xp.where(xp.isnan(norms), xp.zeros_like(norms), factors)


def per_layer_limits(max_norms: Sequence[float | Array] | Array, n_layers: int) -> tuple[float | Array, ...]:
    """Return the limits as a tuple, or raise an InputError unless there is one for each layer."""
    if hasattr(max_norms, "shape"):
        shape = tuple(max_norms.shape)
    else:
        is_sequence = hasattr(max_norms, "__len__") and not isinstance(max_norms, str)
        shape = (len(max_norms),) if is_sequence else ()
    if shape != (n_layers,):
        raise InputError(
            f"max_norms={max_norms!r} has shape {shape} for {n_layers} layers: give one limit for each layer"
        )
    return tuple(max_norms[k] for k in range(n_layers))


def clip_by_global_norm(gradient: Layers, max_norm: float | None) -> Layers:
    """Clip the gradient's norm over all layers: ``g · min(1, C / ‖g‖)``.

    Args:
        gradient: in the shapes of the layers.
        max_norm: C, or None for no limit.

    Returns:
        The gradient, its direction unchanged.

    Source:
        Pascanu, Mikolov and Bengio, arXiv 1211.5063.
    """
    if max_norm is None:
        return gradient
    xp = namespace(gradient[0].W)
    largest = reduce(xp.maximum, (xp.max(xp.abs(theta)) for layer in gradient for theta in layer))
    # In units of the largest entry: in float32 the square of an entry above 1.8e19 overflows.
    unit = xp.maximum(largest, 1.0)
    norm = xp.sqrt(sum(squared_norm(theta / unit) for layer in gradient for theta in layer))
    # One quotient instead of a branch on ‖g‖ > C, which a compiled program cannot take.
    factor = (max_norm / unit) / xp.maximum(norm, max_norm / unit)
    return tree_map(lambda g: factor * g, gradient)


def _positive(name: str, value: float | Array, like: Array) -> Array:
    """Return a positive value as a scalar array of another array's type."""
    if not _as_float(value) > 0:
        raise ParameterError(f"{name}={value!r} is not allowed: give a number above 0, as {name}=1.0")
    return namespace(like).asarray(value, dtype=like.dtype)


def _as_float(value: Any) -> float:
    """Return the value as a float, or NaN, which passes no comparison, if it is not a number."""
    # float(True) is 1.0 and float("2") is 2.0, but a limit of that type is a mistake.
    if isinstance(value, bool | np.bool_ | str) or getattr(value, "shape", ()) != ():
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        # While JAX traces, a number is an abstract value with no float: it passes unchecked.
        return 1.0 if hasattr(value, "aval") else math.nan
