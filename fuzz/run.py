"""`python -m fuzz.run KIND FOLDER [options]`: search for a file that raises anything but a BatchpropError.

A file gives a result or a BatchpropError. Anything else is a crash, which libFuzzer stores in the folder; it
then becomes a test under tests/hostile.
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
    from batchprop.tabular.options import TrainOptions
    from batchprop.tabular.persistence import load_pipeline

from fuzz.seeds import (
    ARRAY,
    SCHEMA,
    SavedCheckpoint,
    make_checkpoint,
    make_model,
    make_seeds,
    read_parts,
    replace_metadata,
)

MAX_LENGTH = 200_000
WORK_FOLDER = Path(tempfile.mkdtemp(prefix="batchprop-fuzz-"))


def _write_file(name: str, content: bytes) -> Path:
    path = WORK_FOLDER / name
    path.write_bytes(content)
    return path


def csv(data: bytes) -> None:
    """Fuzz a CSV file, read at once and in blocks."""
    path = _write_file("table.csv", data)
    for reader in (read_table, read_tables):
        with suppress(BatchpropError):
            reader(path)


def parquet(data: bytes) -> None:
    """Fuzz a Parquet file."""
    path = _write_file("table.parquet", data)
    for reader in (read_table, read_tables):
        with suppress(BatchpropError):
            reader(path)


def walk(data: bytes) -> None:
    """Fuzz a CSV file for `walk`, with its last column as the target."""
    path = _write_file("table.csv", data)
    for line in steps(from_table(path, TrainOptions(target="y"), 3), (2,), "sigmoid", 0.5, 0, 80):
        line.encode()


def model(data: bytes) -> None:
    """Fuzz a model file, or the schema or one array of an otherwise valid file."""
    kind, content = data[:1], data[1:]
    path = WORK_FOLDER / "model.skops"
    if kind not in (SCHEMA, ARRAY):
        path.write_bytes(content)
    else:
        parts = dict(_MODEL_PARTS)
        name = "schema.json" if kind == SCHEMA else next(n for n in parts if n.endswith(".npy"))
        parts[name] = content
        with zipfile.ZipFile(path, "w") as archive:
            for part, held in parts.items():
                archive.writestr(part, held)
    load_pipeline(path)


def checkpoint(data: bytes) -> None:
    """Fuzz a checkpoint, or the metadata of an otherwise valid file with the right checksum."""
    kind, content = data[:1], data[1:]
    (sound,) = _CHECKPOINTS
    if kind == SCHEMA:
        content = replace_metadata(sound, content.decode(errors="replace"))
    saved = deserialize(_write_file("checkpoint-000001.safetensors", content))
    for look in (checkpoint_manager.read_epochs, checkpoint_manager.read_rows_seen):
        with suppress(BatchpropError):
            look(saved)
    with suppress(BatchpropError):
        checkpoint_manager.restore_rng(np.random.RandomState(0), saved)
    with suppress(BatchpropError):
        checkpoint_manager.read_shuffle_config(saved, 8)
    checkpoint_manager.from_checkpoint(saved, sound.template)


KINDS: dict[str, Callable[[bytes], None]] = {
    "csv": csv,
    "parquet": parquet,
    "model": model,
    "checkpoint": checkpoint,
    "walk": walk,
}
_MODEL_PARTS: dict[str, bytes] = {}
_CHECKPOINTS: list[SavedCheckpoint] = []


def main() -> None:
    """Run the search given by the command line."""
    kind, folder, *options = sys.argv[1:]
    corpus = Path(folder) / kind
    corpus.mkdir(parents=True, exist_ok=True)
    for i, seed in enumerate(make_seeds(kind, WORK_FOLDER)):
        (corpus / f"seed-{i}").write_bytes(seed)
    if kind == "checkpoint":
        _CHECKPOINTS.append(make_checkpoint(WORK_FOLDER))
    if kind == "model":
        _MODEL_PARTS.update(read_parts(make_model(WORK_FOLDER)))
    warnings.simplefilter("ignore")

    def one(data: bytes) -> None:
        with suppress(BatchpropError):
            KINDS[kind](data)

    arguments = [f"-max_len={MAX_LENGTH}", "-rss_limit_mb=3000", "-timeout=30", f"-artifact_prefix={corpus}-"]
    atheris.Setup([sys.argv[0], *arguments, *options, str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
