"""The seeds of the search: small valid files of each kind."""

import io
import json
import warnings
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from safetensors.numpy import save

import batchprop as bp
from batchprop import Network
from batchprop.estimators.checkpoints import CheckpointData, Checkpoints, deserialize, sha256
from batchprop.estimators.fit_state import FitState, initial_fit_state
from batchprop.optimizers import adam
from batchprop.tabular.persistence import save_pipeline
from batchprop.tabular.schema import infer_schema
from batchprop.tabular.transformers import make_preprocessor
from batchprop.training import TrainState

RAW, SCHEMA, ARRAY = b"\0", b"\1", b"\2"
"""The first byte of a seed: a whole file, a schema for valid arrays, or an array for a valid schema."""


def make_table(rows: int = 24) -> pd.DataFrame:
    """Make a table with a column of each type, missing values, and a target of two classes."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "size": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows)),
            "town": rng.choice(["Ulm", 'the "old" one', "a, b", "two\nlines"], rows),
            "sold": pd.date_range("2020-02-28", periods=rows, freq="13h"),
            "garden": rng.random(rows) < 0.5,
            "y": np.arange(rows) % 2,
        }
    )


def make_model(folder: Path) -> Path:
    """Train a small model and save it."""
    frame = make_table()
    columns = make_preprocessor(infer_schema(frame.drop(columns="y")), len(frame))
    X = columns.fit_transform(frame)
    network = bp.MLPClassifier((2,), max_iter=1, engine="numpy", random_state=0)
    network.partial_fit(X, frame["y"], classes=[0, 1])
    path = folder / "model.skops"
    save_pipeline(type(columns)([*columns.steps, ("network", network)]), path)
    return path


def read_parts(path: Path) -> dict[str, bytes]:
    """Read the parts of a model file, its schema without blanks."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["schema.json"] = json.dumps(json.loads(parts["schema.json"]), separators=(",", ":")).encode()
    return parts


class SavedCheckpoint(NamedTuple):
    """A checkpoint file, its data, and the initial state of a fit that resumes from it."""

    content: bytes
    saved: CheckpointData
    template: FitState


def make_checkpoint(folder: Path) -> SavedCheckpoint:
    """Train a small network with a checkpoint."""
    X, y = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20) % 2
    checkpoints, sizes = Checkpoints(folder / "kept"), (2, 2, 1)
    checkpoints.clear()
    network = bp.MLPClassifier((2,), max_iter=2, engine="numpy", random_state=0, dropout=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.fit(X, y, checkpoint=checkpoints)
    (path,) = checkpoints.files()
    net = Network.create(sizes, activation="relu", head="sigmoid", random_state=0, dtype="float64")
    state = TrainState(net.layers, adam().init(net.layers), 0)
    network.partial_fit(X, y)
    template = initial_fit_state(network, state, validates=False)
    return SavedCheckpoint(path.read_bytes(), deserialize(path), template)


def replace_metadata(checkpoint: SavedCheckpoint, text: str) -> bytes:
    """Return a checkpoint with other metadata and the right checksum."""
    arrays = dict(checkpoint.saved.arrays)
    return save(arrays, {"batchprop": text, "sha256": sha256(arrays, text)})


def make_seeds(kind: str, folder: Path) -> list[bytes]:
    """Return the seeds of a kind; ``folder`` receives temporary files."""
    frame = make_table()
    text = frame.to_csv(index=False).encode()
    if kind in ("csv", "walk"):
        return [
            text,
            b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"),
            b"a,y\n1,0\n?,1\n",
            b'"a\nb",y\n"x""y",1\n',
        ]
    if kind == "parquet":
        return [_parquet(frame, compression) for compression in ("none", "snappy")]
    if kind == "checkpoint":
        checkpoint = make_checkpoint(folder)
        return [RAW + checkpoint.content, SCHEMA + json.dumps(checkpoint.saved.metadata).encode()]
    path = make_model(folder)
    parts = read_parts(path)
    arrays = [content for name, content in parts.items() if name.endswith(".npy")]
    return [RAW + path.read_bytes(), SCHEMA + parts["schema.json"], *(ARRAY + array for array in arrays)]


def _parquet(frame: pd.DataFrame, compression: str) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False, compression=None if compression == "none" else "snappy")
    return buffer.getvalue()
