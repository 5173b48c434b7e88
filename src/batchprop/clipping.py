"""Clipping: of each example's gradient, by its norm and a factor, and of a batch's gradient.

The limit holds for all finite numbers. In float32 the square of an entry above 1.8e19 is infinite and that of
one below 1e-19 is 0: where that could matter, norms are measured in units of the largest entry. A norm above
the largest number is infinite, and its factor is 0; so is the factor of a norm that is NaN because an
intermediate result overflowed.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from operator import add, and_, mul
from typing import Any

import numpy as np

from batchprop.arrays import Array, columnwise_dot, float_limits, namespace, shortcut_if, squared_norm
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


def squared_layer_norms(dZ: Sequence[Array], H: Sequence[Array]) -> tuple[Array, ...]:
    """Return ``‖g_i‖²`` in each layer, L + 1 of ``(m,)``; infinite only above the largest number."""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        squares, in_range = _squares(dZ, H, None)
        result: tuple[Array, ...] = shortcut_if(
            namespace(in_range).all(in_range),
            lambda squares, *_: squares,
            lambda squares, in_range, *factors: _replace(squares, in_range, _scaled_squares(*factors)),
            *(squares, in_range, tuple(dZ), tuple(H)),
        )
        return result


def _squares(
    dZ: Sequence[Array], H: Sequence[Array], resolution: float | Array | None
) -> tuple[tuple[Array, ...], Array]:
    """Return ``‖dz_i‖² (‖h_i‖² + 1)`` in each layer, and where no overflow or underflow matters ``(m,)``."""
    factors = tuple(squared_factor_norms(dZ, H))
    squares = tuple(dz_squared * h_squared for dz_squared, h_squared in factors)
    limits = float_limits(dZ[0])
    # Underflow takes at most n tiny from ‖dz_i‖², and nothing that counts from ‖h_i‖² + 1.
    if resolution is None:
        resolved = reduce(
            and_,
            (
                square >= h_squared * (dZ_l.shape[0] * limits.tiny / limits.eps)
                for dZ_l, (_, h_squared), square in zip(dZ, factors, squares, strict=True)
            ),
        )
    else:
        underflow = reduce(
            add, (h_squared * dZ_l.shape[0] for dZ_l, (_, h_squared) in zip(dZ, factors, strict=True))
        )
        bound = resolution * (limits.eps / math.sqrt(limits.tiny))  # of its root, which is measured in √tiny
        resolved = underflow <= bound * bound
    # An overflow makes the sum infinite or NaN.
    return squares, resolved & (reduce(add, squares) <= limits.max)


def _roots(squares: tuple[Array, ...]) -> tuple[Array, ...]:
    return tuple(namespace(square).sqrt(square) for square in squares)


def _replace(values: tuple[Array, ...], keep: Array, others: tuple[Array, ...]) -> tuple[Array, ...]:
    """Return the others where ``keep`` is False; an extreme example then changes no bit of the rest."""
    return tuple(
        namespace(keep).where(keep, value, other) for value, other in zip(values, others, strict=True)
    )


def _scaled_squares(dZ: Sequence[Array], H: Sequence[Array]) -> tuple[Array, ...]:
    return tuple(norm * norm for norm in _scaled_norms(dZ, H))


def _scaled_norms(dZ: Sequence[Array], H: Sequence[Array]) -> tuple[Array, ...]:
    """Return the norms in each layer, measured in units of the largest entries of each example."""
    return tuple(_scaled_norm(dZ_l, H_l) for dZ_l, H_l in zip(dZ, H, strict=True))


def _scaled_norm(dZ: Array, H: Array) -> Array:
    xp = namespace(dZ)
    ones = xp.ones_like(dZ[0, :])
    highest = _highest_unit(ones)
    largest = xp.max(xp.abs(dZ), axis=-2)
    is_zero = largest == 0  # not the negation of > 0, which would take NaN for 0
    unit = xp.minimum(xp.where(is_zero, ones, largest), highest)
    h_unit = xp.minimum(xp.maximum(xp.max(xp.abs(H), axis=-2), ones), highest)  # the bias's input is 1
    dZ, H, one = dZ / unit, H / h_unit, ones / h_unit
    norm = (unit * h_unit) * xp.sqrt(columnwise_dot(dZ, dZ) * (columnwise_dot(H, H) + one * one))
    return xp.where(is_zero, xp.zeros_like(norm), norm)  # an infinite h_i would make NaN of a zero dz_i


def _highest_unit(like: Array) -> Array:
    """Return a large number whose reciprocal is normal."""
    # XLA divides by a broadcast array as it multiplies with 1/x, and takes that for 0 if it is below normal.
    return namespace(like).full_like(like, float_limits(like).max / 8)


def global_norm(norms: Sequence[Array]) -> Array:
    """Return ``√(Σ_layers ‖g_i‖²) (m,)`` from the norms in each layer."""
    xp = namespace(norms[0])
    largest = reduce(xp.maximum, norms)
    # In units of the largest norm no square overflows; 1 replaces a unit that is 0 or infinite.
    unit = xp.where((largest > 0) & xp.isfinite(largest), largest, xp.ones_like(largest))
    with np.errstate(over="ignore"):  # a norm above the largest number is infinite
        return unit * xp.sqrt(sum(((norm / unit) ** 2 for norm in norms), start=xp.zeros_like(unit)))


def clip_factors(norms: Array, max_norm: float | Array) -> Array:
    """Return ``min(1, C / ‖g_i‖) (m,)``; 0 for NaN and where the quotient is below the normal numbers."""
    xp = namespace(norms)
    limit = _positive("max_norm", max_norm, norms)
    ones = xp.ones_like(norms)
    exceeds = ~(norms <= limit)  # NaN too
    # where computes both branches: the quotient of an infinite limit, or of a norm of 0, must not be taken.
    factors = xp.where(exceeds, limit / xp.where(exceeds, norms, ones), ones)
    return _drop_below_normal(factors)


def automatic_clip_factors(norms: Array, max_norm: float | Array, stability: float | Array) -> Array:
    """Return ``C / (‖g_i‖ + γ) (m,)``; 0 for NaN and where the quotient is below the normal numbers."""
    gamma = _positive("stability", stability, norms)
    return _drop_below_normal(_positive("max_norm", max_norm, norms) / (norms + gamma))


def clip_columns(
    dZ: Sequence[Array],
    H: Sequence[Array],
    factors_of: Callable[[tuple[Array, ...]], tuple[Array, ...]],
    coefficients: float | Array = 1.0,
    resolution: float | Array | None = None,
) -> tuple[Array, ...]:
    """Return every dZ with column i times ``c_i f_i``.

    Args:
        dZ: L + 1 matrices ``(n_l, m)``.
        H: L + 1 matrices ``(n_{l-1}, m)``.
        factors_of: the factors f in each layer from the norms in each layer, L + 1 of ``(m,)``.
        coefficients: c ``(m,)``, or one number.
        resolution: an absolute error of ``eps · resolution`` in the norms may come on top of rounding; None
            for no such error. With one, columns of dZ that are nearly or wholly zero keep to the fast way.

    Returns:
        L + 1 matrices ``(n_l, m)``. A column whose factor is 0 is 0, whatever it holds.
    """

    def scale(multiply: Callable[[Array, Array], Array], norms: tuple[Array, ...]) -> tuple[Array, ...]:
        # One product makes both factors, so that XLA writes the input of a layer's two products only once.
        return tuple(
            multiply(dZ_l, factors * coefficients)
            for dZ_l, factors in zip(dZ, factors_of(norms), strict=True)
        )

    def shortcut(squares: tuple[Array, ...], *_: Any) -> tuple[Array, ...]:
        return scale(mul, _roots(squares))

    def general(squares: tuple[Array, ...], in_range: Array, *factors: Any) -> tuple[Array, ...]:
        return scale(_multiply_normal, _replace(_roots(squares), in_range, _scaled_norms(*factors)))

    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        squares, in_range = _squares(dZ, H, resolution)
        # One branch for the whole batch: to look for the largest entries takes as long as the squares.
        operands = (squares, in_range, tuple(dZ), tuple(H))
        result: tuple[Array, ...] = shortcut_if(
            namespace(in_range).all(in_range), shortcut, general, *operands
        )
        return result


def _multiply_normal(dZ: Array, factors: Array) -> Array:
    """Return ``dZ`` with column i times ``f_i``, and 0 for a product below the smallest normal number.

    There, rounding may double a product, and JAX's compiled programs do not see it in a norm. A product that
    is NaN, because an entry overflowed and its factor is 0, is 0 too.
    """
    scaled = dZ * _drop_below_normal(factors)
    return namespace(dZ).where(namespace(dZ).abs(scaled) >= float_limits(dZ).tiny, scaled, 0.0)


def _drop_below_normal(factors: Array) -> Array:
    """Return the factors, 0 for NaN and for those below the smallest normal number, which have few digits."""
    xp = namespace(factors)
    return xp.where(factors >= float_limits(factors).tiny, factors, xp.zeros_like(factors))


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
    limit = xp.asarray(max_norm, dtype=largest.dtype)
    # In units of the largest entry: in float32 the square of an entry above 1.8e19 overflows, and that of one
    # below 1e-19 is 0. Entries far below C need no unit, and C divided by theirs would overflow.
    unit = xp.maximum(largest, xp.minimum(limit, xp.ones_like(limit)))
    unit = xp.minimum(unit, _highest_unit(unit))
    norm = xp.sqrt(sum(squared_norm(theta / unit) for layer in gradient for theta in layer))
    # One quotient instead of a branch on ‖g‖ > C, which a compiled program cannot take.
    factor = (limit / unit) / xp.maximum(norm, limit / unit)
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
