"""The choice and construction of an estimator's engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from batchprop.activations import ACTIVATIONS
from batchprop.batches import MICROBATCH_SIZE
from batchprop.engines.auto import Workload, choose_engine, jax_is_installed, worth_compiling
from batchprop.engines.forking import is_forked_from_jax
from batchprop.engines.numpy import NumpyEngine
from batchprop.engines.padding import poisson_batch_capacity
from batchprop.errors import ParameterError, warn
from batchprop.estimators.parameters import AUTO_BATCH
from batchprop.processes import current

if TYPE_CHECKING:
    from batchprop.estimators.interface import FitInterface
    from batchprop.network import Network
    from batchprop.training import Engine


def fit_engine(
    estimator: FitInterface,
    net: Network,
    n_rows: int,
    batch_size: int,
    entropy: list[int] | None,
    batch_share: int = 1,
) -> Engine:
    """Return the engine for a fit, seeded with ``entropy``, and note its name as ``engine_``.

    Args:
        estimator: its parameters; it gets ``engine_``.
        net: the initial network.
        n_rows: the number of training rows.
        batch_size: the first batch size.
        entropy: the seed, or None where nothing is drawn.
        batch_share: the rows of a batch that one of several processes has.
    """
    processes = current()
    if processes.count > 1:
        return _make_shared(estimator, entropy, batch_share, processes.mesh)
    # A call of partial_fit is also judged by max_iter epochs, as it is rarely the only one.
    work = Workload(net.sizes, n_rows, batch_size, estimator.max_iter)
    estimator.engine_ = _choose(estimator, net, work)
    if estimator.engine == "auto" and not jax_is_installed() and worth_compiling(work) and _is_builtin(net):
        warn(
            "this fit may take long in NumPy, and JAX, which would compile it, is not installed: "
            "pip install 'batchprop[jax]', or set engine='numpy' to silence this warning"
        )
    return _make(estimator, estimator.engine_, entropy)


def predict_engine(estimator: FitInterface, net: Network, n_rows: int) -> Engine:
    """Return the engine for one forward pass over ``n_rows`` rows."""
    return _make(estimator, _choose(estimator, net, Workload(net.sizes, n_rows, MICROBATCH_SIZE, 1)), None)


def overhead_in_rows(engine: Engine) -> float:
    """Return the fixed cost of a step, as a number of rows."""
    # Measured (benchmarks/NOTES.md): 150 in NumPy, 50 compiled for a processor; on an accelerator nearly any
    # batch costs the same.
    platform = getattr(getattr(engine, "device", None), "platform", None)
    return {None: 150.0, "cpu": 50.0}.get(platform, 10_000.0)


def _choose(estimator: FitInterface, net: Network, work: Workload) -> str:
    # Only NumPy is sure to run a user's own activation.
    asked = estimator.engine if _is_builtin(net) or estimator.engine != "auto" else "numpy"
    chosen = choose_engine(asked, work, device=estimator.device, precision=estimator.precision)
    if chosen == "jax" and asked == "auto" and estimator.device is None and is_forked_from_jax():
        warn(
            "this process was forked from one that uses JAX, where JAX does not work: NumPy does the work; "
            "in parallel loops take joblib's 'loky' or 'threading'"
        )
        return "numpy"
    return chosen


def _is_builtin(net: Network) -> bool:
    return all(activation in ACTIVATIONS.values() for activation in net.activations)


def _make_shared(estimator: FitInterface, entropy: list[int] | None, capacity: int, mesh: Any) -> Engine:
    """Return the engine of a fit of several processes, which JAX alone can run."""
    if estimator.device is not None and estimator.device != mesh.device.platform:
        raise ParameterError(
            f"device={estimator.device!r} differs from the device of the processes, "
            f"{mesh.device.platform!r}: give it to distributed.initialize"
        )
    from batchprop.engines.jax import JaxEngine

    estimator.engine_ = "jax"
    return JaxEngine(seed=_derive_seed(entropy), precision=estimator.precision, capacity=capacity, mesh=mesh)


def _derive_seed(entropy: list[int] | None) -> int | None:
    return None if entropy is None else _pack_words(np.random.SeedSequence(entropy).generate_state(4))


def _make(estimator: FitInterface, name: str, entropy: list[int] | None) -> Engine:
    if name == "numpy":
        return NumpyEngine(None if entropy is None else np.random.default_rng(entropy))
    from batchprop.engines.jax import JaxEngine

    # A call of partial_fit with few rows is padded to a batch, as the next one may have more.
    named = {"auto": AUTO_BATCH, "full": 1, "noise": 1}
    capacity = int(named.get(str(estimator.batch_size), estimator.batch_size))
    if estimator.privacy is not None:
        capacity = poisson_batch_capacity(capacity)
    return JaxEngine(
        estimator.device, seed=_derive_seed(entropy), precision=estimator.precision, capacity=capacity
    )


def _pack_words(words: NDArray[Any]) -> int:
    return int.from_bytes(words.tobytes(), "little")
