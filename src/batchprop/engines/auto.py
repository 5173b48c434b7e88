"""Which engine a piece of work is for: a rule over its shapes alone, so that it is the same on every machine.

Compiling costs about a second, once for each structure. It is repaid where NumPy would take longer than
``WORTH_COMPILING``, by the estimate below. The estimate is coarse, and only has to tell seconds from minutes.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from itertools import pairwise
from typing import NamedTuple

from batchprop.errors import ParameterError

WORTH_COMPILING = 3.0
"""Seconds of NumPy from which on compiling is repaid."""

CALLS, PASSES, PRODUCTS = 1e-4, 6e-9, 1.2e-10
"""Seconds of NumPy on two cores: a step's calls; a parameter in the optimiser; a parameter and an example in
the three products."""

ENGINES = ("auto", "numpy", "jax")
PRECISIONS = ("float32", "tensorfloat32", "bfloat16")
"""Of the matrix products of float32, where a device offers them."""


class Workload(NamedTuple):
    """The shapes of some work.

    Attributes:
        sizes: the widths of the network, input and output included.
        rows: of an epoch.
        batch_size: rows in a step.
        epochs: at most.
    """

    sizes: Sequence[int]
    rows: int
    batch_size: int
    epochs: int


def estimate_numpy_seconds(work: Workload) -> float:
    """Estimate how long NumPy would take.

    Args:
        work: its shapes.

    Returns:
        Seconds on two cores.

    Example:
        >>> round(estimate_numpy_seconds(Workload((64, 100, 10), 1347, 200, 200)), 1)
        0.5
    """
    steps = work.epochs * -(-work.rows // max(work.batch_size, 1))
    parameters = sum((n_in + 1) * n_out for n_in, n_out in pairwise(work.sizes))
    return steps * (CALLS + parameters * (PASSES + PRODUCTS * work.batch_size))


def choose_engine(
    asked: str, work: Workload, *, device: str | None = None, precision: str | None = None
) -> str:
    """Return the engine for some work: ``"numpy"`` or ``"jax"``.

    ``"auto"`` is JAX where it is installed and ``estimate_numpy_seconds`` exceeds ``WORTH_COMPILING``, or a
    device or a precision is asked for, which only JAX knows.

    Args:
        asked: ``"auto"``, ``"numpy"`` or ``"jax"``.
        work: its shapes.
        device: as for ``JaxEngine``.
        precision: as for ``JaxEngine``.

    Returns:
        The engine's name.

    Raises:
        ParameterError: JAX is asked for and not installed; NumPy is asked for with a device or precision that
            only JAX has.

    Example:
        >>> choose_engine("auto", Workload((64, 100, 10), 1347, 200, 200))
        'numpy'
    """
    beyond_numpy = [
        (name, value)
        for name, value, plain in (("device", device, "cpu"), ("precision", precision, "float32"))
        if value not in {None, plain}
    ]
    if asked == "numpy" and beyond_numpy:
        name, value = beyond_numpy[0]
        raise ParameterError(
            f"{name}={value!r} does not go with engine='numpy': use engine='jax', or {name}=None"
        )
    if asked == "auto":
        asked = "jax" if beyond_numpy or (worth_compiling(work) and jax_is_installed()) else "numpy"
    if asked == "jax" and not jax_is_installed():
        wanted, instead = ("engine='jax'", "engine='numpy'")
        if beyond_numpy:
            name, value = beyond_numpy[0]
            wanted, instead = f"{name}={value!r}", f"{name}=None"
        raise ParameterError(
            f"{wanted} needs JAX, which is not installed: pip install 'batchprop[jax]', or use {instead}"
        )
    return asked


def worth_compiling(work: Workload) -> bool:
    """Whether some work repays compiling."""
    return estimate_numpy_seconds(work) > WORTH_COMPILING


def jax_is_installed() -> bool:
    """Whether JAX can be imported; it is not."""
    return find_spec("jax") is not None
