"""What the search begins with: small good files of each kind, made anew each time."""

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
"""The first byte of a model's seed: a whole file, a schema with sound arrays, an array of a sound schema."""


def table(rows: int = 24) -> pd.DataFrame:
    """A table with a column of each kind, a gap here and there, and a target of two classes."""
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


def sound_model(folder: Path) -> Path:
    """Train a small model and save it."""
    frame = table()
    columns = make_preprocessor(infer_schema(frame.drop(columns="y")), len(frame))
    X = columns.fit_transform(frame)
    network = bp.MLPClassifier((2,), max_iter=1, engine="numpy", random_state=0)
    network.partial_fit(X, frame["y"], classes=[0, 1])
    path = folder / "model.skops"
    save_pipeline(type(columns)([*columns.steps, ("network", network)]), path)
    return path


def parts_of(path: Path) -> dict[str, bytes]:
    """The parts of a model, its schema without blanks."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["schema.json"] = json.dumps(json.loads(parts["schema.json"]), separators=(",", ":")).encode()
    return parts


class Kept(NamedTuple):
    """A checkpoint, and what a fit has that goes on from it.

    Attributes:
        content: the file.
        saved: what it holds.
        template: where a fit that resumes it would begin.
    """

    content: bytes
    saved: CheckpointData
    template: FitState


def sound_checkpoint(folder: Path) -> Kept:
    """Train a small network, and keep it."""
    X, y = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20) % 2
    kept, sizes = Checkpoints(folder / "kept"), (2, 2, 1)
    kept.clear()
    network = bp.MLPClassifier((2,), max_iter=2, engine="numpy", random_state=0, dropout=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.fit(X, y, checkpoint=kept)
    (path,) = kept.files()
    net = Network.create(sizes, activation="relu", head="sigmoid", random_state=0, dtype="float64")
    state = TrainState(net.layers, adam().init(net.layers), 0)
    network.partial_fit(X, y)
    template = initial_fit_state(network, state, validates=False)
    return Kept(path.read_bytes(), deserialize(path), template)


def kept_with(kept: Kept, text: str) -> bytes:
    """A checkpoint with another text, and the checksum that belongs to it."""
    arrays = dict(kept.saved.arrays)
    return save(arrays, {"batchprop": text, "sha256": sha256(arrays, text)})


def seeds(kind: str, folder: Path) -> list[bytes]:
    """The seeds of a harness.

    Args:
        kind: its name.
        folder: where to make them.
    """
    frame = table()
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
        kept = sound_checkpoint(folder)
        return [RAW + kept.content, SCHEMA + json.dumps(kept.saved.metadata).encode()]
    path = sound_model(folder)
    parts = parts_of(path)
    arrays = [content for name, content in parts.items() if name.endswith(".npy")]
    return [RAW + path.read_bytes(), SCHEMA + parts["schema.json"], *(ARRAY + array for array in arrays)]


def _parquet(frame: pd.DataFrame, compression: str) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False, compression=None if compression == "none" else "snappy")
    return buffer.getvalue()
