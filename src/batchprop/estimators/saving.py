"""Saving: what a checkpoint says of a fit, as arrays and plain data, and back."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from batchprop.batches import Rows, Table, taken
from batchprop.errors import CheckpointError, ParameterError
from batchprop.estimators.attributes import Estimator
from batchprop.estimators.checkpoints import Checkpoints, Saved
from batchprop.estimators.examples import Call
from batchprop.estimators.leaves import leaves, rebuilt
from batchprop.estimators.standing import Standing
from batchprop.network import Layer, Layers, Network
from batchprop.training import Place, State

_FREE = {"callbacks", "max_iter", "n_iter_no_change", "random_state", "tol", "verbose", "warm_start"}
"""Parameters that may be others when a fit goes on."""

_PLANNED = {"cosine", "warmup_cosine", "one_cycle"}
"""Schedules that plan all epochs."""

_SAMPLE = 64

_PLAIN = ("random_bits", "curves", "numbers", "epochs", "rewinds", "ended")
"""What a standing has in plain data."""


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
        return None if self.saved is None else int(self.saved.facts["rows_seen"])


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


def start_of(estimator: Estimator, call: Call) -> Start:
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
        rng.set_state(random_of(saved))
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


def _refuse_unkept(estimator: Estimator, call: Call) -> None:
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


def kind_of(estimator: Estimator, net: Network, engine: str, data: Mapping[str, Any]) -> dict[str, Any]:
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


def about(table: Table, rows: Rows) -> dict[str, Any]:
    """Return what tells a table's rows from others: their number, and a checksum of some.

    Example:
        >>> about(Table(np.ones((3, 1)), np.ones((3, 1))), np.arange(2))["rows"]
        2
    """
    some = rows[np.linspace(0, len(rows) - 1, min(len(rows), _SAMPLE)).astype(int)]
    checksum = 0
    for matrix in (table.X, table.Y):
        checksum = zlib.crc32(np.ascontiguousarray(taken(matrix, some)).tobytes(), checksum)
    return {"rows": len(rows), "data": checksum}


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
    memory = leaves(place.state.optimizer)
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
        "plain": {name: getattr(standing, name) for name in _PLAIN},
    }


def random_of(saved: Saved) -> dict[str, Any]:
    """Return where the generator of a saved fit stood when it began."""
    random = dict(saved.facts["random"])
    random["state"] = {**random["state"], "key": saved.arrays["random.key"]}
    return random


class Past(NamedTuple):
    """What a saved fit tells of an epoch that it has done.

    Attributes:
        loss: of the training.
        learning_rate: the last step's.
        validation_loss: on the validation rows, or None.
        rows: how many were trained on.
        seconds: how long that took.
    """

    loss: float
    learning_rate: float
    validation_loss: float | None
    rows: int
    seconds: float


def past_of(saved: Saved) -> list[Past]:
    """Return what a saved fit tells of its epochs."""
    plain = saved.facts["standings"]["now"]["plain"]
    epochs, curves = plain["epochs"], plain["curves"]
    n = len(epochs)
    losses, rates, validation = (
        ([None] * n if curves[name] is None else curves[name])[-n:]
        for name in ("loss_curve_", "learning_rate_curve_", "validation_loss_curve_")
    )
    rows, seconds = zip(*epochs, strict=True) if n else ((), ())
    return [Past(*epoch) for epoch in zip(losses, rates, validation, rows, seconds, strict=True)] if n else []


def check_same(saved: Saved, kind: Mapping[str, Any]) -> None:
    """Refuse to go on with another fit than the one that was saved.

    Args:
        saved: of it.
        kind: from ``kind_of``.

    Raises:
        CheckpointError: they differ; the message says in what.
    """
    before = saved.facts["kind"]
    for name in {**before, **kind}:
        if before.get(name) != kind.get(name):
            raise CheckpointError(
                f"the checkpoint is of another fit: {name} was {before.get(name)}, and now is "
                f"{kind.get(name)}; set it as it was, or begin anew in another folder"
            )


def standings_from(saved: Saved, net: Network, memory: Any) -> dict[str, Standing]:
    """Return where a saved fit stood.

    Args:
        saved: of it.
        net: as this fit would begin.
        memory: of the optimiser, likewise.

    Returns:
        The standings, by name.

    Raises:
        CheckpointError: an array is missing, or has another shape or type than this fit's.
    """
    found = {}
    for name, facts in saved.facts["standings"].items():
        begun = f"{name}."
        arrays = {
            what.removeprefix(begun): array for what, array in saved.arrays.items() if what.startswith(begun)
        }
        found[name] = _standing_from(arrays, facts, net, memory)
    return found


def _standing_from(
    arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any], net: Network, memory: Any
) -> Standing:
    remembered = (_like(arrays, f"optimizer.{i}", leaf) for i, leaf in enumerate(leaves(memory)))
    layers = _layers_from(arrays, "layers", net.layers)
    place = Place(
        State(layers, rebuilt(memory, remembered), facts["steps"]),
        facts["epochs_done"],
        arrays["losses"],
        arrays["sizes"],
        facts["seconds"],
        facts["learning_rate"],
    )
    best = net.with_layers(_layers_from(arrays, "best", net.layers)) if "best.0.W" in arrays else None
    return Standing(place=place, best=best, **facts["plain"])


def _of_layers(name: str, layers: Layers) -> dict[str, NDArray[Any]]:
    return {
        f"{name}.{k}.{which}": np.asarray(theta)
        for k, layer in enumerate(layers)
        for which, theta in layer._asdict().items()
    }


def _layers_from(arrays: Mapping[str, NDArray[Any]], name: str, template: Layers) -> Layers:
    return tuple(
        Layer(*(_like(arrays, f"{name}.{k}.{which}", theta) for which, theta in layer._asdict().items()))
        for k, layer in enumerate(template)
    )


def _like(arrays: Mapping[str, NDArray[Any]], name: str, template: Any) -> Any:
    """An array of the file, or the number that it was, where it is what the fit has there."""
    found, wanted = arrays.get(name), np.asarray(template)
    if found is None or found.shape != wanted.shape or found.dtype.kind != wanted.dtype.kind:
        shape = "is missing" if found is None else f"has shape {found.shape} and type {found.dtype}"
        raise CheckpointError(
            f"the checkpoint is of another fit: its {name} {shape}, not {wanted.shape} and {wanted.dtype}"
        )
    return found if isinstance(template, np.ndarray) else found.item()


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
