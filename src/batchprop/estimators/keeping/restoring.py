"""Restoring: from what a checkpoint holds back to where the fit stood, or to one line that says why not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from batchprop.data.shuffle import BUFFER_BYTES, MAX_OPEN_PARTITIONS, ShuffleConfig
from batchprop.errors import CheckpointError
from batchprop.estimators.keeping.checkpoints import Saved
from batchprop.estimators.keeping.standing import CURVES, Standing
from batchprop.network import Network
from batchprop.params import Layer, Layers, tree_flatten, tree_unflatten
from batchprop.training import TrainProgress, TrainState

_KEY = 624  # words, in the Mersenne Twister


def set_random(rng: np.random.RandomState, saved: Saved) -> None:
    """Let a generator stand where that of a saved fit stood when it began.

    Raises:
        CheckpointError: the file tells no such thing.
    """
    with of_a_fit():
        random, key = saved.facts["random"], saved.arrays["random.key"]
        place = _whole(random["state"]["pos"])
        # NumPy looks at neither, and reads beyond the key.
        whole = key.dtype == np.uint32 and key.shape == (_KEY,) and place <= _KEY
        if random["bit_generator"] != "MT19937" or not whole:
            raise ValueError("the random numbers are not those of a RandomState")
        gauss = (_whole(random["has_gauss"]), _number(random["gauss"]))
        rng.set_state(("MT19937", key, place, *gauss))


def rows_seen_of(saved: Saved) -> int:
    """Return how many rows earlier fits had seen."""
    with of_a_fit():
        return _whole(saved.facts["rows_seen"])


def mixing_of(saved: Saved, row_bytes: int) -> ShuffleConfig:
    """Return how a saved fit mixes rows.

    Args:
        saved: of the fit.
        row_bytes: what a row takes.

    Returns:
        The mixing.

    Raises:
        CheckpointError: the file tells none, or one that no fit has.
    """
    with of_a_fit():
        kind = dict(saved.facts["kind"])
        if "shuffle_config" not in kind:
            raise ValueError("its rows lay in memory")
        rows, runs = map(_whole, kind["shuffle_config"])
        if not (1 <= rows <= max(BUFFER_BYTES // row_bytes, 1) and 1 <= runs <= MAX_OPEN_PARTITIONS):
            raise ValueError(f"rows are mixed in buffers of {rows} from {runs} runs")
        return ShuffleConfig(rows, runs)


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
    """Return what a saved fit tells of its epochs.

    Raises:
        CheckpointError: the file tells no such thing.
    """
    with of_a_fit():
        plain = _plain(saved.facts["standings"]["now"]["plain"])
        epochs, curves = plain["epochs"], plain["curves"]
        losses, rates, validation = (
            [None] * len(epochs) if curves[name] is None else curves[name][-len(epochs) :]
            for name in ("loss_curve_", "learning_rate_curve_", "validation_loss_curve_")
        )
        of_epochs = zip(losses, rates, validation, epochs, strict=True) if epochs else ()
        return [Past(*curved, *epoch) for *curved, epoch in of_epochs]


def check_same(saved: Saved, kind: Mapping[str, Any]) -> None:
    """Refuse to go on with another fit than the one that was saved.

    Args:
        saved: of it.
        kind: from ``kind_of``.

    Raises:
        CheckpointError: they differ; the message says in what.
    """
    with of_a_fit():
        before = dict(saved.facts["kind"])
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
        The standings, by name: ``now``, and for a fit that may go back ``good``.

    Raises:
        CheckpointError: something is missing, or has another shape or type than this fit's.
    """
    with of_a_fit():
        all_facts = dict(saved.facts["standings"])
        found = {name: _standing(saved.arrays, name, facts, net, memory) for name, facts in all_facts.items()}
        return {"now": found["now"], **found}


def _standing(
    arrays: Mapping[str, NDArray[Any]], name: str, facts: Mapping[str, Any], net: Network, memory: Any
) -> Standing:
    of_it = f"{name}."
    arrays = {what.removeprefix(of_it): array for what, array in arrays.items() if what.startswith(of_it)}
    remembered = (_like(arrays, f"optimizer.{i}", leaf) for i, leaf in enumerate(tree_flatten(memory)))
    state = TrainState(
        _layers(arrays, "layers", net.layers), tree_unflatten(memory, remembered), _whole(facts["steps"])
    )
    losses, sizes = arrays["losses"], arrays["sizes"]
    if losses.ndim != 1 or losses.shape != sizes.shape or (losses.dtype.kind, sizes.dtype.kind) != ("f", "i"):
        raise ValueError("losses and sizes of the batches do not match")
    numbers = (_number(facts["seconds"]), _number(facts["learning_rate"]))
    place = TrainProgress(state, _whole(facts["epochs_done"]), losses, sizes, *numbers)
    best = net.replace_layers(_layers(arrays, "best", net.layers)) if "best.0.W" in arrays else None
    return Standing(place=place, best=best, **_plain(facts["plain"]))


def _plain(plain: Mapping[str, Any]) -> dict[str, Any]:
    """What a standing has in plain data, every part of it of its type."""
    curves = {name: plain["curves"][name] for name in CURVES}
    return {
        "random_bits": None if plain["random_bits"] is None else dict(plain["random_bits"]),
        "curves": {
            name: None if curve is None else [_number(value) for value in curve]
            for name, curve in curves.items()
        },
        "numbers": {str(name): _number(value) for name, value in dict(plain["numbers"]).items()},
        "epochs": [(_whole(rows), _number(seconds)) for rows, seconds in plain["epochs"]],
        "rewinds": _whole(plain["rewinds"]),
        "ended": bool(plain["ended"]),
    }


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{value!r:.40} is no number")
    return float(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError(f"{value!r:.40} is no whole number")
    return value


def _layers(arrays: Mapping[str, NDArray[Any]], name: str, template: Layers) -> Layers:
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


@contextmanager
def of_a_fit() -> Iterator[None]:
    """Say of a file that is whole and lacks something that no fit has written it."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        reason = " ".join(str(error).split())[:80]
        raise CheckpointError(
            f"the checkpoint is none that a fit has written ({type(error).__name__}: {reason}): remove it, "
            "or begin anew in another folder"
        ) from error
