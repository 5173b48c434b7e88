"""The choice of an engine: a rule over the shapes of the work, so that it is the same on every machine.

Compiling costs about a second, once for each structure. It pays where NumPy would take longer than
``WORTH_COMPILING``, by a coarse estimate that only has to separate seconds from minutes.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from itertools import pairwise
from typing import NamedTuple

from batchprop.errors import ParameterError

WORTH_COMPILING = 3.0
"""Seconds of NumPy above which compiling pays."""

CALLS, PASSES, PRODUCTS = 1e-4, 6e-9, 1.2e-10
"""Seconds of NumPy, measured on two cores: for the calls of a step; for each parameter in the optimiser; for
each parameter and example in the three products."""

ENGINES = ("auto", "numpy", "jax")
PRECISIONS = ("float32", "tensorfloat32", "bfloat16")
"""The precisions of float32's matrix products; a device may not have them all."""


class Workload(NamedTuple):
    """The shapes of a fit.

    Attributes:
        sizes: the widths of the network, input and output included.
        rows: the number of rows in an epoch.
        batch_size: the number of rows in a step.
        epochs: the largest number of epochs.
    """

    sizes: Sequence[int]
    rows: int
    batch_size: int
    epochs: int


def estimate_numpy_seconds(work: Workload) -> float:
    """Estimate the time that a fit takes in NumPy.

    Args:
        work: the shapes of the fit.

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
    engine: str, work: Workload, *, device: str | None = None, precision: str | None = None
) -> str:
    """Choose the engine for a fit: ``"numpy"`` or ``"jax"``.

    ``"auto"`` is JAX if it is installed and ``estimate_numpy_seconds`` exceeds ``WORTH_COMPILING``, or
    if a device or a precision is given, which only JAX has.

    Args:
        engine: ``"auto"``, ``"numpy"`` or ``"jax"``.
        work: the shapes of the fit.
        device: as for ``JaxEngine``.
        precision: as for ``JaxEngine``.

    Returns:
        The engine's name.

    Raises:
        ParameterError: JAX is needed and not installed; NumPy is given with a device or precision that only
            JAX has.

    Example:
        >>> choose_engine("auto", Workload((64, 100, 10), 1347, 200, 200))
        'numpy'
    """
    jax_only = [
        (name, value)
        for name, value, in_numpy in (("device", device, "cpu"), ("precision", precision, "float32"))
        if value not in {None, in_numpy}
    ]
    if engine == "numpy" and jax_only:
        name, value = jax_only[0]
        raise ParameterError(
            f"{name}={value!r} does not go with engine='numpy': use engine='jax', or {name}=None"
        )
    if engine == "auto":
        engine = "jax" if jax_only or (worth_compiling(work) and jax_is_installed()) else "numpy"
    if engine == "jax" and not jax_is_installed():
        option, instead = ("engine='jax'", "engine='numpy'")
        if jax_only:
            name, value = jax_only[0]
            option, instead = f"{name}={value!r}", f"{name}=None"
        raise ParameterError(
            f"{option} needs JAX, which is not installed: pip install 'batchprop[jax]', or use {instead}"
        )
    return engine


def worth_compiling(work: Workload) -> bool:
    """Return whether compiling pays."""
    return estimate_numpy_seconds(work) > WORTH_COMPILING


def jax_is_installed() -> bool:
    """Return whether JAX can be imported, without importing it."""
    # A fit in NumPy should not wait for the import.
    return find_spec("jax") is not None
