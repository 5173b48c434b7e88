"""A full disk: unwritable files are reported, and no partial files remain."""

from __future__ import annotations

import json
import resource
import shlex
import tempfile
from contextlib import contextmanager

import pandas as pd
import pytest

import batchprop as bp
from batchprop.tabular import model_validation, result
from batchprop.tabular.evaluation import evaluate
from batchprop.tabular.persistence import load_pipeline
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


def test_unwritable_model_is_reported_and_its_network_is_kept(origin, folder, table):
    # In a separate process, to include Python's shutdown: it adds nothing to the line.
    done = origin.run(*TRAIN, cwd=folder, start=FULL.format(limit=60_000))
    assert done.returncode == 1
    assert done.stderr == (
        "batchprop: m/model.skops could not be written: File too large; raise the limit on the size of a "
        "file (ulimit -f), or name another place; the trained network is kept in m.unsaved: history.csv, "
        "reason.txt, settings.json, weights.safetensors\n"
    )
    assert names(folder) == [table.name, "m.unsaved"]
    info = json.loads((folder / "m.unsaved" / "settings.json").read_text())
    weights = bp.export.load_weights(folder / "m.unsaved" / "weights.safetensors").layers
    assert [W.shape[1] for W, _ in weights] + [len(weights[-1].b)] == info["network"]["sizes"]
    assert "File too large" in (folder / "m.unsaved" / "reason.txt").read_text()


def test_existing_model_survives_a_full_disk(folder, table, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    run(*TRAIN)
    before = {path.name: path.read_bytes() for path in (folder / "m").iterdir()}
    refusal = error_message([*TRAIN, "--force"], 300)
    assert "m/model.skops could not be written" in refusal
    # Not even the weights can be written: the message claims nothing.
    assert "this training is lost: --checkpoint-every 5min keeps the next one" in refusal
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


def test_model_that_fails_its_audit_is_kept_with_the_reason(folder, table, monkeypatch):
    # A new scikit-learn may put a type into the pipeline that the audit does not know.
    known = model_validation._BUILT_TYPES
    scaler = "sklearn.preprocessing._data.RobustScaler"
    monkeypatch.setitem(known, "ObjectNode", known["ObjectNode"] - {scaler})
    (folder / "m.unsaved").mkdir()
    said = run(*TRAIN, code=1).stderr
    assert f"m/model.skops holds types that no model of batchprop has, and was not loaded: {scaler}" in said
    kept = "history.csv, reason.txt, refused-model.skops, settings.json, weights.safetensors"
    assert f"kept in m.unsaved-2: {kept}" in said
    assert names(folder) == [table.name, "m.unsaved", "m.unsaved-2"]
    assert scaler in (folder / "m.unsaved-2" / "reason.txt").read_text()
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    # With the right library, the whole model can be read again.
    model = load_pipeline(folder / "m.unsaved-2" / "refused-model.skops")
    assert len(model.predict(pd.read_csv(table))) == len(pd.read_csv(table))


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
