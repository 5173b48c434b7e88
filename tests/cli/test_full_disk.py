"""A disk that is full: what could not be written is said, and nothing half-written stays."""

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
def limited(limit):
    """This process may write files of so many bytes only."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def refused(words, limit):
    """What a command says that may write files of so many bytes only."""
    with limited(limit):
        return run(*words, code=1).stderr


def test_a_model_that_cannot_be_written(origin, folder, table):
    # In a process of its own: what Python does on its way out adds nothing to the line.
    done = origin.run(*TRAIN, cwd=folder, start=FULL.format(limit=60_000))
    assert done.returncode == 1
    assert done.stderr == (
        "batchprop: m/model.skops could not be written: File too large; raise the limit on the size of a "
        "file (ulimit -f), or name another place; this training is lost: --checkpoint-every 5min keeps the "
        "next one\n"
    )
    assert names(folder) == [table.name]


def test_the_model_before_stays_as_it_is(folder, table):
    run(*TRAIN)
    before = {path.name: path.read_bytes() for path in (folder / "m").iterdir()}
    assert "m/model.skops could not be written" in refused([*TRAIN, "--force"], 4_000)
    assert names(folder) == [table.name, "m"]
    assert {path.name: path.read_bytes() for path in (folder / "m").iterdir()} == before


def test_a_training_with_checkpoints_goes_on_from_them(folder, table, monkeypatch):
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
    assert "; then the same training with --resume goes on from m.checkpoints" in said
    assert names(folder) == [table.name, "m.checkpoints"]
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert "Going on after 3 epochs" in run(*words, "--resume").stdout
    assert names(folder) == [table.name, "m"]
    assert names(folder / "m") == FILES


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_answers_that_cannot_be_written(folder, models, ending):
    frame = pd.read_csv(models / "flowers.csv")
    pd.concat([frame] * 40).to_csv(folder / "t.csv", index=False)
    words = ["predict", models / "flowers-model", "t.csv", "--proba", "--out", f"a{ending}"]
    assert f"a{ending} could not be written: File too large; raise the limit" in refused(words, 4_000)
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
def test_what_the_other_commands_cannot_write(folder, models, table, words, file):
    given = shlex.split(words.replace("MODEL", str(models / "flowers-model")))
    assert f"{file} could not be written: File too large; raise the limit" in refused(given, 300)
    assert names(folder) == [table.name]
