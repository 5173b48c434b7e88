"""`python -m fuzz.run KIND FOLDER [options]`: search for a file that ends in anything but one line.

What may come of a file is an answer, or a BatchpropError. All else is a crash, which libFuzzer keeps in the
folder; a test under tests/hostile is then made of it.
"""

import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import atheris
import numpy as np

with atheris.instrument_imports(include=["batchprop", "skops", "zipfile"]):
    from batchprop.cli.walk_command import steps
    from batchprop.cli.walk_table import from_table
    from batchprop.data.reader import read_table, read_tables
    from batchprop.errors import BatchpropError
    from batchprop.estimators import checkpoint_manager
    from batchprop.estimators.checkpoints import deserialize
    from batchprop.tabular.persistence import load_pipeline

from fuzz.seeds import ARRAY, SCHEMA, Kept, kept_with, parts_of, seeds, sound_checkpoint, sound_model

LONGEST = 200_000
HERE = Path(tempfile.mkdtemp(prefix="batchprop-fuzz-"))


def _file(name: str, content: bytes) -> Path:
    path = HERE / name
    path.write_bytes(content)
    return path


def csv(data: bytes) -> None:
    """A table of text, read whole and in pieces."""
    path = _file("table.csv", data)
    for reader in (read_table, read_tables):
        with suppress(BatchpropError):
            reader(path)


def parquet(data: bytes) -> None:
    """A table in Parquet."""
    path = _file("table.parquet", data)
    for reader in (read_table, read_tables):
        with suppress(BatchpropError):
            reader(path)


def walk(data: bytes) -> None:
    """A table of text, walked through with its last column for the target."""
    path = _file("table.csv", data)
    for line in steps(from_table(path, "y", None, 3, 0), (2,), "sigmoid", 0.5, 0):
        line.encode()


def model(data: bytes) -> None:
    """A model's file, or its schema, or one of its arrays with all else sound."""
    kind, content = data[:1], data[1:]
    path = HERE / "model.skops"
    if kind not in (SCHEMA, ARRAY):
        path.write_bytes(content)
    else:
        parts = dict(_SOUND)
        name = "schema.json" if kind == SCHEMA else next(n for n in parts if n.endswith(".npy"))
        parts[name] = content
        with zipfile.ZipFile(path, "w") as archive:
            for part, held in parts.items():
                archive.writestr(part, held)
    load_pipeline(path)


def checkpoint(data: bytes) -> None:
    """A checkpoint's file, or its facts with all else sound, the checksum too."""
    kind, content = data[:1], data[1:]
    (sound,) = _KEPT
    if kind == SCHEMA:
        content = kept_with(sound, content.decode(errors="replace"))
    saved = deserialize(_file("checkpoint-000001.safetensors", content))
    for look in (checkpoint_manager.epoch_summaries, checkpoint_manager.saved_rows_seen):
        with suppress(BatchpropError):
            look(saved)
    with suppress(BatchpropError):
        checkpoint_manager.restore_rng(np.random.RandomState(0), saved)
    with suppress(BatchpropError):
        checkpoint_manager.saved_shuffle_config(saved, 8)
    checkpoint_manager.from_checkpoint(saved, sound.template)


KINDS: dict[str, Callable[[bytes], None]] = {
    "csv": csv,
    "parquet": parquet,
    "model": model,
    "checkpoint": checkpoint,
    "walk": walk,
}
_SOUND: dict[str, bytes] = {}
_KEPT: list[Kept] = []


def main() -> None:
    """Search as the command line says."""
    kind, folder, *options = sys.argv[1:]
    corpus = Path(folder) / kind
    corpus.mkdir(parents=True, exist_ok=True)
    for i, seed in enumerate(seeds(kind, HERE)):
        (corpus / f"seed-{i}").write_bytes(seed)
    if kind == "checkpoint":
        _KEPT.append(sound_checkpoint(HERE))
    if kind == "model":
        _SOUND.update(parts_of(sound_model(HERE)))
    warnings.simplefilter("ignore")

    def one(data: bytes) -> None:
        with suppress(BatchpropError):
            KINDS[kind](data)

    given = [f"-max_len={LONGEST}", "-rss_limit_mb=3000", "-timeout=30", f"-artifact_prefix={corpus}-"]
    atheris.Setup([sys.argv[0], *given, *options, str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
