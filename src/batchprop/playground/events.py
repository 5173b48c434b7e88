"""What the page is told: the lesson when something else is learned, a frame when something happened."""

import math
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from batchprop.activations import ACTIVATIONS
from batchprop.optimizers import OPTIMIZERS
from batchprop.playground.data import PlaygroundData
from batchprop.playground.session import Session
from batchprop.playground.settings import HIDDEN_LAYERS, LAST_SEED, RATES, ROWS, SPEEDS, UNITS
from batchprop.playground.surface import GRID_SIZE, Plane, decision_surface
from batchprop.playground.toy_datasets import TOYS
from batchprop.playground.trainer import Trainer
from batchprop.webdata import encode_base64, encode_matrix

MAX_BYTES = 20_000_000
"""Of a file."""


class Cursor(NamedTuple):
    """How much a page knows.

    Attributes:
        version: of the playground.
        lesson: version of the lesson.
        run: which training.
        steps: of this training.
        held: how many measurements on the rows held out.
    """

    version: int = -1
    lesson: int = -1
    run: int = -1
    steps: int = 0
    held: int = 0


Event = tuple[str, dict[str, Any]]


def next_events(playground: Session, heard: Cursor) -> tuple[list[Event], Cursor]:
    """Return what a page does not know yet, and what it knows then."""
    events: list[Event] = []
    if heard.lesson != playground.lesson_version:
        events.append(("lesson", setup_event(playground)))
    if heard.run != playground.run:
        heard = heard._replace(run=playground.run, steps=0, held=0)
    events.append(("frame", state_event(playground, heard)))
    training = playground.training
    known = Cursor(
        playground.version, playground.lesson_version, playground.run, training.steps, len(training.held)
    )
    return events, known


def setup_event(playground: Session) -> dict[str, Any]:
    """What can be chosen, what was chosen, and what is learned from."""
    settings = asdict(playground.settings)
    return {
        "run": playground.run,
        "settings": settings,
        "choices": {
            "data": [{"name": name, "about": toy.about, "task": toy.task} for name, toy in TOYS.items()],
            "activations": list(dict.fromkeys(record.name for record in ACTIVATIONS.values())),
            "optimizers": list(OPTIMIZERS),
            "speeds": [{"name": name, "about": speed.about} for name, speed in SPEEDS.items()],
        },
        "limits": {
            "rows": ROWS,
            "noise": (0, 1),
            "hidden_layers": HIDDEN_LAYERS,
            "units": UNITS,
            "learning_rate": RATES,
            "seed": (0, LAST_SEED),
            "file_bytes": MAX_BYTES,
        },
        "file": _file(playground),
        "data": _data(playground.examples, playground.plane, playground.training),
    }


def _file(playground: Session) -> dict[str, Any] | None:
    file = playground.file
    return None if file is None else {"name": file.name, "columns": file.columns, "rows": file.rows}


def _data(examples: PlaygroundData, plane: Plane, training: Trainer) -> dict[str, Any]:
    first, second = plane.axes
    return {
        "title": examples.title,
        "task": examples.task,
        "features": examples.features,
        "outputs": examples.outputs,
        "train": len(training.rows),
        "held_out": len(training.rows_held_out),
        "sizes": training.start.sizes,
        "parameters": training.start.n_parameters,
        "x": {"name": examples.features[first], "ends": plane.x},
        "y": {"name": None if second is None else examples.features[second], "ends": plane.y},
        "points": encode_matrix(plane.points),
        "values": encode_matrix(examples.values[plane.drawn][None, :]),
        "held": np.flatnonzero(np.isin(plane.drawn, training.rows_held_out)).tolist(),
    }


def state_event(playground: Session, heard: Cursor) -> dict[str, Any]:
    """What happened since."""
    training = playground.training
    now = training.held_out()
    noise_scale = training.noise_scales[-1] if training.steps else math.nan
    return {
        "run": playground.run,
        "step": training.steps,
        "epoch": training.seen / len(training.rows),
        "running": playground.running,
        "ended": playground.ended,
        "first": heard.steps,
        "losses": encode_matrix(np.array(training.losses[heard.steps :])[None, :]),
        "noise": encode_matrix(np.array(training.noise_scales[heard.steps :])[None, :]),
        "sizes": encode_matrix(np.array(training.sizes[heard.steps :])[None, :]),
        "held": [
            [held.step, _finite(held.loss), _finite(held.score)] for held in training.held[heard.held :]
        ],
        "now": {
            "loss": training.losses[-1] if training.steps else None,
            "noise_scale": "inf" if noise_scale == math.inf else _finite(noise_scale),
            "held_loss": _finite(now.loss),
            "score": _finite(now.score),
            "batch_size": training.batch_size,
            "learning_rate": playground.settings.learning_rate,
        },
        "surface": _surface(playground),
        "taken": None if training.taken is None else len(training.taken.rows),
        "batch": None if playground.running else _batch(playground),
    }


def _surface(playground: Session) -> dict[str, Any]:
    P = decision_surface(playground.training.network, playground.plane)
    if playground.examples.task == "numbers":
        return {"side": GRID_SIZE, "values": encode_matrix(P.reshape(GRID_SIZE, GRID_SIZE))}
    sure = np.nan_to_num(P.max(axis=0))
    return {
        "side": GRID_SIZE,
        "labels": encode_base64(P.argmax(axis=0).astype(np.uint8)),
        "sure": encode_base64(np.round(255 * sure).astype(np.uint8)),
    }


def _batch(playground: Session) -> list[int] | None:
    """Which of the points drawn are in the batch taken last."""
    taken = playground.training.taken
    return None if taken is None else np.flatnonzero(np.isin(playground.plane.drawn, taken.rows)).tolist()


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
