"""The events for the page: the setup when settings or data change, the state after every step."""

import math
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from batchprop.activations import ACTIVATIONS
from batchprop.optimizers import OPTIMIZERS
from batchprop.playground.data import PlaygroundData
from batchprop.playground.session import Session
from batchprop.playground.settings import (
    LEARNING_RATE_RANGE,
    MAX_HIDDEN_LAYERS,
    MAX_SEED,
    MAX_UNITS,
    ROWS_RANGE,
    SPEEDS,
)
from batchprop.playground.surface import GRID_SIZE, Plane, decision_surface
from batchprop.playground.toy_datasets import TOY_DATASETS
from batchprop.playground.trainer import Trainer
from batchprop.webdata import encode_base64, encode_matrix

MAX_FILE_BYTES = 20_000_000


class Cursor(NamedTuple):
    """What a page has received: versions of the session and its setup, the run, its steps and validations."""

    version: int = -1
    setup: int = -1
    run: int = -1
    steps: int = 0
    n_validation: int = 0


Event = tuple[str, dict[str, Any]]


def next_events(session: Session, cursor: Cursor) -> tuple[list[Event], Cursor]:
    """Return the events since a cursor, and the new cursor."""
    events: list[Event] = []
    if cursor.setup != session.setup_version:
        events.append(("setup", setup_event(session)))
    if cursor.run != session.run:
        cursor = cursor._replace(run=session.run, steps=0, n_validation=0)
    events.append(("state", state_event(session, cursor)))
    trainer = session.trainer
    new_cursor = Cursor(
        session.version, session.setup_version, session.run, trainer.steps, len(trainer.validation)
    )
    return events, new_cursor


def setup_event(session: Session) -> dict[str, Any]:
    """The settings, the choices, their limits and the data."""
    settings = asdict(session.settings)
    return {
        "run": session.run,
        "settings": settings,
        "choices": {
            "data": [
                {"name": name, "description": toy.description, "task": toy.task}
                for name, toy in TOY_DATASETS.items()
            ],
            "activations": list(dict.fromkeys(record.name for record in ACTIVATIONS.values())),
            "optimizers": list(OPTIMIZERS),
            "speeds": [{"name": name, "description": speed.description} for name, speed in SPEEDS.items()],
        },
        "limits": {
            "rows": ROWS_RANGE,
            "noise": (0, 1),
            "max_hidden_layers": MAX_HIDDEN_LAYERS,
            "max_units": MAX_UNITS,
            "learning_rate": LEARNING_RATE_RANGE,
            "seed": (0, MAX_SEED),
            "max_file_bytes": MAX_FILE_BYTES,
        },
        "file": _file(session),
        "data": _data(session.data, session.plane, session.trainer),
    }


def _file(session: Session) -> dict[str, Any] | None:
    file = session.file
    return None if file is None else {"name": file.name, "columns": file.columns, "rows": file.rows}


def _data(data: PlaygroundData, plane: Plane, trainer: Trainer) -> dict[str, Any]:
    first, second = plane.axes
    return {
        "title": data.title,
        "task": data.task,
        "features": data.features,
        "outputs": data.outputs,
        "n_train": len(trainer.train_rows),
        "n_validation": len(trainer.validation_rows),
        "layer_sizes": trainer.initial_network.sizes,
        "n_parameters": trainer.initial_network.n_parameters,
        "x": {"name": data.features[first], "range": plane.x_range},
        "y": {"name": None if second is None else data.features[second], "range": plane.y_range},
        "points": encode_matrix(plane.points),
        "values": encode_matrix(data.values[plane.rows][None, :]),
        "validation_points": np.flatnonzero(np.isin(plane.rows, trainer.validation_rows)).tolist(),
    }


def state_event(session: Session, cursor: Cursor) -> dict[str, Any]:
    """The state of the training, with the steps since the cursor."""
    trainer = session.trainer
    current = trainer.validate()
    noise_scale = trainer.noise_scales[-1] if trainer.steps else math.nan
    return {
        "run": session.run,
        "step": trainer.steps,
        "epoch": trainer.n_seen / len(trainer.train_rows),
        "running": session.running,
        "stop_reason": session.stop_reason,
        "first_step": cursor.steps,
        "losses": encode_matrix(np.array(trainer.losses[cursor.steps :])[None, :]),
        "noise_scales": encode_matrix(np.array(trainer.noise_scales[cursor.steps :])[None, :]),
        "batch_sizes": encode_matrix(np.array(trainer.batch_sizes[cursor.steps :])[None, :]),
        "validation": [
            [entry.step, _finite_or_none(entry.loss), _finite_or_none(entry.score)]
            for entry in trainer.validation[cursor.n_validation :]
        ],
        "current": {
            "loss": trainer.losses[-1] if trainer.steps else None,
            "noise_scale": "inf" if noise_scale == math.inf else _finite_or_none(noise_scale),
            "validation_loss": _finite_or_none(current.loss),
            "score": _finite_or_none(current.score),
            "batch_size": trainer.batch_size,
            "learning_rate": session.settings.learning_rate,
        },
        "surface": _surface(session),
        "last_batch_size": None if trainer.last_batch is None else len(trainer.last_batch.rows),
        "last_batch": None if session.running else _last_batch(session),
    }


def _surface(session: Session) -> dict[str, Any]:
    P = decision_surface(session.trainer.network, session.plane)
    if session.data.task == "numbers":
        return {"grid_size": GRID_SIZE, "values": encode_matrix(P.reshape(GRID_SIZE, GRID_SIZE))}
    confidence = np.nan_to_num(P.max(axis=0))
    return {
        "grid_size": GRID_SIZE,
        "labels": encode_base64(P.argmax(axis=0).astype(np.uint8)),
        "confidence": encode_base64(np.round(255 * confidence).astype(np.uint8)),
    }


def _last_batch(session: Session) -> list[int] | None:
    """The drawn points of the last batch."""
    batch = session.trainer.last_batch
    return None if batch is None else np.flatnonzero(np.isin(session.plane.rows, batch.rows)).tolist()


def _finite_or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
