"""Devices of JAX: which one, the precision of its products, its random keys, and the process that owns it."""

from typing import Any

import jax
import numpy as np

from batchprop.engines.auto import PRECISIONS
from batchprop.engines.forking import forked_from_jax
from batchprop.errors import BatchpropError, ParameterError, unknown_option_error

PRODUCTS = dict(zip(PRECISIONS, ("float32", "tensorfloat32", "BF16_BF16_F32"), strict=True))
"""What JAX calls each precision; its own "bfloat16" means the fastest that a device has."""


def get_device(name: str | None) -> Any:
    """Return the first device of a kind.

    Args:
        name: ``"cpu"``, ``"gpu"``, ``"tpu"``, or None for JAX's default.

    Returns:
        JAX's device.

    Raises:
        ParameterError: JAX has none.

    Example:
        >>> get_device("cpu").platform
        'cpu'
    """
    default = getattr(jax.config, "jax_default_device", None)
    if name is None and isinstance(default, jax.Device):
        return default
    found = _devices(default if name is None else name)
    if not found:
        there = sorted({device.platform for device in _devices(None) + _devices("cpu")})
        raise ParameterError(
            f"device={name!r} is not there: JAX has {', '.join(map(repr, there)) or 'none'} on this machine; "
            "give one of these, or None, and see that JAX_PLATFORMS leaves it in"
        )
    return found[0]


def _devices(name: str | None) -> list[Any]:
    try:
        return list(jax.devices(name))
    # JAX asserts where JAX_PLATFORMS names what cannot be had.
    except (RuntimeError, AssertionError):
        return []


def matmul_precision(precision: str | None, device: Any) -> str | None:
    """Return what JAX calls a precision of its matrix products.

    Args:
        precision: ``"float32"``, ``"tensorfloat32"``, ``"bfloat16"``, or None for the device's own.
        device: where they are computed.

    Returns:
        A value for ``jax.default_matmul_precision``.

    Raises:
        ParameterError: the precision is unknown, or the processor's, which has float32 alone.

    Example:
        >>> matmul_precision("float32", get_device("cpu"))
        'float32'
    """
    if precision is None:
        return None
    if precision not in PRODUCTS:
        raise unknown_option_error("precision", precision, PRODUCTS)
    if device.platform == "cpu" and precision != "float32":
        raise ParameterError(
            f"precision={precision!r} is not there on the processor, whose products are float32: "
            "leave it out, or give an accelerator as device"
        )
    return PRODUCTS[precision]


def make_key(seed: int) -> Any:
    """Return JAX's random key of a seed; unlike ``jax.random.key`` it compiles nothing."""
    state: Any = np.random.SeedSequence(seed).generate_state(2)
    return jax.random.wrap_key_data(state, impl="threefry2x32")


def check_not_forked() -> None:
    """Refuse a process forked from one that has JAX: it would wait for ever, for threads that are not there.

    Raises:
        BatchpropError: it is one.
    """
    if forked_from_jax():
        raise BatchpropError(
            "JAX does not work in a process forked from one that has it: in parallel loops take joblib's "
            "'loky' or 'threading', or use engine='numpy'"
        )
