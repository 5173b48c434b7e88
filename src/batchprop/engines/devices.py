"""JAX's devices: finding one, the precision of its products, random keys, and forked processes."""

from typing import Any

import jax
import numpy as np

from batchprop.engines.auto import PRECISIONS
from batchprop.engines.forking import is_forked_from_jax
from batchprop.errors import BatchpropError, ParameterError, unknown_option_error

PRODUCTS = dict(zip(PRECISIONS, ("float32", "tensorfloat32", "BF16_BF16_F32"), strict=True))
"""JAX's name of each precision; its own "bfloat16" means the fastest that a device has."""


def get_device(name: str | None) -> Any:
    """Return JAX's first device of a platform, ``"cpu"``, ``"gpu"`` or ``"tpu"``; None for JAX's default."""
    # The user's own default may be a device that is not the first of its platform.
    default = getattr(jax.config, "jax_default_device", None)
    if name is None and isinstance(default, jax.Device):
        return default
    devices = _devices(default if name is None else name)
    if not devices:
        platforms = sorted({device.platform for device in _devices(None) + _devices("cpu")})
        listed = ", ".join(map(repr, platforms)) or "none"
        raise ParameterError(
            f"device={name!r} is not there: JAX has {listed} on this machine; "
            "give one of these, or None, and see that JAX_PLATFORMS leaves it in"
        )
    return devices[0]


def _devices(name: str | None) -> list[Any]:
    try:
        # Of several processes each computes on its own devices.
        return list(jax.local_devices(backend=name))
    # JAX fails an assertion if JAX_PLATFORMS names a platform that does not exist.
    except (RuntimeError, AssertionError):
        return []


def matmul_precision(precision: str | None, device: Any) -> str | None:
    """Return the value of ``jax.default_matmul_precision`` for a precision, or None for the device's own."""
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
    """Return JAX's random key of a seed."""
    # jax.random.key would compile a program; the seed sequence also mixes the bits of small seeds.
    state: Any = np.random.SeedSequence(seed).generate_state(2)
    # The user's guard of transfers is for the user's programs, as in JaxEngine.
    with jax.transfer_guard("allow"):
        return jax.random.wrap_key_data(state, impl="threefry2x32")


def check_not_forked() -> None:
    """Raise a BatchpropError in a process forked from one in which JAX has worked."""
    # JAX's threads do not survive the fork: a program would wait for them forever.
    if is_forked_from_jax():
        raise BatchpropError(
            "JAX does not work in a process forked from one that has it: in parallel loops take joblib's "
            "'loky' or 'threading', or use engine='numpy'"
        )
