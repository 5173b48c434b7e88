"""Saving: how a fit starts, and what a checkpoint says of it, as arrays and plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from batchprop.data.shuffle import ShuffleConfig, shuffle_config
from batchprop.data.sources import DataSource
from batchprop.errors import CheckpointError, ParameterError
from batchprop.estimators.interface import FitInterface
from batchprop.estimators.keeping.checkpoints import Checkpoints, Saved
from batchprop.estimators.keeping.restoring import mixing_of, rows_seen_of, set_random
from batchprop.estimators.keeping.standing import PLAIN, Standing
from batchprop.estimators.source_summary import DEFAULT_MEMORY
from batchprop.estimators.validation import FitArgs
from batchprop.files import file_lock
from batchprop.network import Network
from batchprop.params import Layers, tree_flatten

_FREE = {"callbacks", "max_iter", "n_iter_no_change", "random_state", "tol", "verbose", "warm_start"}
"""Parameters that may be others when a fit goes on."""

_PLANNED = {"cosine", "warmup_cosine", "one_cycle"}
"""Schedules that plan all epochs."""


class Start(NamedTuple):
    """How a fit starts.

    Attributes:
        rng: draws weights, split and order.
        random: where that stood at first.
        checkpoints: where the fit is saved, or None.
        saved: what it goes on from, or None.
    """

    rng: np.random.RandomState
    random: dict[str, Any]
    checkpoints: Checkpoints | None = None
    saved: Saved | None = None

    @property
    def rows_seen(self) -> int | None:
        """How many rows fits before the one that goes on had seen."""
        return None if self.saved is None else rows_seen_of(self.saved)

    def shuffle_config(self, source: DataSource, row_bytes: int) -> ShuffleConfig:
        """Return how rows are shuffled: as when the fit was begun, whatever memory there is now."""
        if self.saved is not None:
            return mixing_of(self.saved, row_bytes)
        memory, partition_bytes = (
            getattr(source, "memory", DEFAULT_MEMORY),
            getattr(source, "partition_bytes", 0),
        )
        return shuffle_config(len(source.partitions), row_bytes, memory, partition_bytes)

    def alone(self) -> AbstractContextManager[Any]:
        """Keep other fits out of the folder of the checkpoints."""
        if self.checkpoints is None:
            return nullcontext()
        return file_lock(self.checkpoints.folder, option="checkpoint=")


class Beginning(NamedTuple):
    """How a fit began: what it takes to begin it again in the same way, and to see that it is the same.

    Attributes:
        random: where the generator stood that draws weights, split and order.
        rows_seen: by earlier fits.
        kind: what kind of fit it is, in plain data by name.
    """

    random: dict[str, Any]
    rows_seen: int
    kind: dict[str, Any]


def start_of(estimator: FitInterface, call: FitArgs) -> Start:
    """Return how a fit starts: anew, or in the way in which a saved one did.

    Args:
        estimator: its ``random_state``.
        call: its ``checkpoint`` and ``resume``.

    Returns:
        The start.

    Raises:
        ParameterError: ``resume`` without ``checkpoint``; what is asked for besides cannot be saved.
        CheckpointError: there are checkpoints, and nobody said to go on from them, or all are damaged.
    """
    checkpoints, rng = Checkpoints.of(call.checkpoint), check_random_state(estimator.random_state)
    _check_resume(checkpoints, resume=call.resume)
    _refuse_unkept(estimator, call)
    saved = checkpoints.latest() if checkpoints is not None and call.resume else None
    if saved is not None:
        rng = np.random.RandomState()
        set_random(rng, saved)
    return Start(rng, rng.get_state(legacy=False), checkpoints, saved)


def _check_resume(checkpoints: Checkpoints | None, *, resume: Any) -> None:
    if not isinstance(resume, bool | np.bool_):
        raise ParameterError(f"resume={resume!r} is not allowed: give True or False")
    if resume and checkpoints is None:
        raise ParameterError("resume=True needs checkpoint=FOLDER, where a fit was saved: name it")
    if checkpoints is not None and not resume and checkpoints.files():
        raise CheckpointError(
            f"the folder {checkpoints.folder} holds checkpoints of an earlier fit: go on from them with "
            "resume=True, or name another folder"
        )


def _refuse_unkept(estimator: FitInterface, call: FitArgs) -> None:
    """Refuse to keep fits whose state is not in a checkpoint."""
    asked = {
        "checkpoint": call.checkpoint is not None,
        "on_divergence='rewind'": estimator.on_divergence == "rewind",
    }
    cannot = {
        "solver='lbfgs'": (estimator.solver == "lbfgs", "SciPy keeps its memory to itself"),
        "privacy": (
            estimator.privacy is not None,
            "noise that is drawn again for other weights would tell about the rows",
        ),
        "batch_size='noise'": (estimator.batch_size == "noise", "the batches measured so far are not kept"),
        "monitor": (bool(call.monitor), "what was seen of an epoch that is under way is not kept"),
        "record_examples=True": (call.record_examples, "what was seen of every row so far is not kept"),
    }
    for what, is_asked in asked.items():
        for other, (given, why) in cannot.items():
            if is_asked and given:
                raise ParameterError(f"{what} does not go with {other}: {why}; leave one of them out")


def kind_of(estimator: FitInterface, net: Network, engine: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what has to be the same for a fit to go on, in plain data.

    Args:
        estimator: its parameters.
        net: where it begins.
        engine: what it runs on.
        data: about its rows.

    Returns:
        Text and numbers by name.
    """
    free = _FREE - {"max_iter"} if estimator.learning_rate in _PLANNED else _FREE
    parameters = estimator.get_params(deep=False)
    return {
        "estimator": type(estimator).__name__,
        "network": f"{list(net.sizes)} in {net.layers[0].b.dtype}",
        "engine": engine,
        **data,
        **{name: _named(value) for name, value in parameters.items() if name not in free | {"engine"}},
    }


def saved_of(standings: Mapping[str, Standing], beginning: Beginning) -> Saved:
    """Return what a checkpoint holds of a fit.

    Args:
        standings: where it stands, by name.
        beginning: how it began.

    Returns:
        Arrays and plain data.
    """
    arrays = {"random.key": beginning.random["state"]["key"]}
    for name, standing in standings.items():
        arrays |= {f"{name}.{what}": array for what, array in _arrays_of(standing).items()}
    facts = {
        "kind": beginning.kind,
        "rows_seen": beginning.rows_seen,
        "random": {**beginning.random, "state": {"pos": beginning.random["state"]["pos"]}},
        "standings": {name: _facts_of(standing) for name, standing in standings.items()},
    }
    return Saved(arrays, facts)


def _arrays_of(standing: Standing) -> dict[str, NDArray[Any]]:
    place = standing.place
    memory = tree_flatten(place.state.optimizer)
    return {
        **_of_layers("layers", place.state.layers),
        **({} if standing.best is None else _of_layers("best", standing.best.layers)),
        **{f"optimizer.{i}": np.asarray(leaf) for i, leaf in enumerate(memory)},
        "losses": place.losses,
        "sizes": place.sizes,
    }


def _facts_of(standing: Standing) -> dict[str, Any]:
    place = standing.place
    return {
        "steps": place.state.steps,
        "epochs_done": place.epochs,
        "seconds": place.seconds,
        "learning_rate": place.learning_rate,
        "plain": {name: getattr(standing, name) for name in PLAIN},
    }


def _of_layers(name: str, layers: Layers) -> dict[str, NDArray[Any]]:
    return {
        f"{name}.{k}.{which}": np.asarray(theta)
        for k, layer in enumerate(layers)
        for which, theta in layer._asdict().items()
    }


def _named(value: Any) -> Any:
    """A parameter in plain data; of functions and objects their name."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Sequence | np.ndarray):
        return [_named(entry) for entry in value]
    if isinstance(value, Mapping):
        return {str(key): _named(entry) for key, entry in value.items()}
    if isinstance(value, np.generic):
        return value.item()
    return str(getattr(value, "__qualname__", getattr(value, "name", type(value).__name__)))
