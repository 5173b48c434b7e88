"""A full disk: unwritable files are reported, and no partial files remain."""

from __future__ import annotations

import resource
import shlex
from contextlib import contextmanager

import pandas as pd
import pytest

from batchprop.tabular import result
from batchprop.tabular.evaluation import evaluate
from tests.cli.commands import FILES, QUICK, START, flowers, names, run

FULL = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); " + START
TRAIN = ["train", "flowers.csv", "--target", "species", "--out", "m", *QUICK]


@pytest.fixture
def table(folder):
    return flowers(folder / "flowers.csv")


@contextmanager
def file_size_limit(limit):
    """Limit the size of files that this process may write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def error_message(words, limit):
    """Run a command with a file size limit, and return its error message."""
    with file_size_limit(limit):
        return run(*words, code=1).stderr


def test_unwritable_model_is_reported_and_leaves_no_files(origin, folder, table):
    # In a separate process, to include Python's shutdown: it adds nothing to the line.
    done = origin.run(*TRAIN, cwd=folder, start=FULL.format(limit=60_000))
    assert done.returncode == 1
    assert done.stderr == (
        "batchprop: m/model.skops could not be written: File too large; raise the limit on the size of a "
        "file (ulimit -f), or name another place; this training is lost: --checkpoint-every 5min keeps the "
        "next one\n"
    )
    assert names(folder) == [table.name]


def test_existing_model_survives_a_full_disk(folder, table):
    run(*TRAIN)
    before = {path.name: path.read_bytes() for path in (folder / "m").iterdir()}
    assert "m/model.skops could not be written" in error_message([*TRAIN, "--force"], 4_000)
    assert names(folder) == [table.name, "m"]
    assert {path.name: path.read_bytes() for path in (folder / "m").iterdir()} == before


def test_training_resumes_from_its_checkpoints(folder, table, monkeypatch):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(*given):
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, limits[1]))
        return evaluate(*given)

    monkeypatch.setattr(result, "evaluate", fill)
    words = [*TRAIN, "--checkpoint-every", "1"]
    try:
        said = run(*words, code=1).stderr
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "m/model.skops could not be written: File too large" in said
    assert "; then the same training with --resume continues from m.checkpoints" in said
    assert names(folder) == [table.name, "m.checkpoints"]
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert "Resuming after 3 epochs" in run(*words, "--resume").stdout
    assert names(folder) == [table.name, "m"]
    assert names(folder / "m") == FILES


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_unwritable_predictions_are_reported(folder, models, ending):
    frame = pd.read_csv(models / "flowers.csv")
    pd.concat([frame] * 40).to_csv(folder / "t.csv", index=False)
    words = ["predict", models / "flowers-model", "t.csv", "--proba", "--out", f"a{ending}"]
    assert f"a{ending} could not be written: File too large; raise the limit" in error_message(words, 4_000)
    assert names(folder) == ["t.csv"]


@pytest.mark.parametrize(
    ("words", "file"),
    [
        ("examine flowers.csv --target species --epochs 2 --engine numpy", "flowers-examined.csv"),
        ("examine flowers.csv --target species --epochs 2 --out e.parquet --map map.png", "e.parquet"),
        ("look flowers.csv --target species --epochs 2 --no-open", "flowers.html"),
        ("export MODEL --onnx m.onnx", "m.onnx"),
        ("export MODEL --weights w.safetensors", "w.safetensors"),
    ],
)
def test_unwritable_files_of_other_commands_are_reported(folder, models, table, words, file):
    given = shlex.split(words.replace("MODEL", str(models / "flowers-model")))
    assert f"{file} could not be written: File too large; raise the limit" in error_message(given, 300)
    assert names(folder) == [table.name]
