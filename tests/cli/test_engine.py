"""`--engine`, `--device` and `--precision`: reported and stored; models predict on any machine."""

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
from jax.errors import JaxRuntimeError

from batchprop.engines import devices
from batchprop.engines import jax as jax_engine
from batchprop.tabular.persistence import load_pipeline
from tests.cli.commands import FILES, QUICK, WITHOUT_JAX, flowers, houses, names, run

LONG_AT_MOST = ("--epochs", "100000", "--patience", "1", "--learning-rate", "1")


@pytest.fixture
def without_jax(origin):
    """Run a command line in a process without JAX, forked from one that has not imported it."""
    return partial(origin.run, start=WITHOUT_JAX)


def facts(folder):
    return json.loads((folder / "settings.json").read_text())


@pytest.mark.parametrize(
    ("target", "words", "engine", "device", "told"),
    [
        ("species", (), "numpy", None, " with NumPy."),
        ("petal_width", ("--engine", "numpy"), "numpy", None, " with NumPy."),
        ("species", ("--device", "cpu"), "numpy", None, " with NumPy."),
        ("petal_width", ("--engine", "jax"), "jax", "cpu", " with JAX on cpu."),
        ("species", ("--engine", "jax", "--precision", "float32"), "jax", "cpu", " with JAX on cpu."),
    ],
)
def test_engine_and_device_are_reported_and_stored(folder, words, engine, device, told, target):
    data = flowers(folder / "flowers.csv")
    task = "classification" if target == "species" else "regression"
    result = run("train", data, "--target", target, "--task", task, *QUICK, *words)
    assert result.stderr == ""
    assert told in " ".join(result.stdout.split())
    stored = facts(folder / "flowers-model")
    assert (stored["training"]["engine"], stored["training"]["device"]) == (engine, device)
    asked = dict(zip(words[::2], words[1::2], strict=True))
    assert stored["settings"]["engine"] == asked.get("--engine", "auto")
    assert stored["settings"]["device"] == asked.get("--device")
    assert stored["settings"]["precision"] == asked.get("--precision")
    assert ("jax" in stored["versions"]) == (engine == "jax")


def test_precision_is_reported_before_training(folder):
    data = flowers(folder / "flowers.csv")
    said = run("train", data, "--target", "species", *QUICK, "--precision", "float32").stdout
    assert "matrix products in float32" in " ".join(said.split())


def test_auto_selects_jax_where_compiling_pays_off(folder):
    data = flowers(folder / "flowers.csv")
    result = run("train", data, "--target", "species", "--hidden", "8", *LONG_AT_MOST)
    assert " with JAX on cpu." in " ".join(result.stdout.split())


def test_both_engines_learn_the_same(folder):
    data = houses(folder / "houses.csv")
    for engine in ("numpy", "jax"):
        run("train", data, "--target", "price", "--engine", engine, "--out", engine, *QUICK)
    in_numpy, in_jax = (
        pd.read_csv(folder / engine / "history.csv")["loss"].to_numpy() for engine in ("numpy", "jax")
    )
    np.testing.assert_allclose(in_jax, in_numpy, rtol=1e-5)


# --- a model predicts on any machine -----------------------------------------------------------------


@pytest.fixture
def gpu(monkeypatch):
    """A CPU that JAX reports as a GPU."""
    find = devices.get_device
    for module in (devices, jax_engine):
        monkeypatch.setattr(module, "get_device", lambda name: find(None if name == "gpu" else name))


@pytest.mark.parametrize("target", ["species", "petal_width"])
def test_a_model_trained_on_a_gpu_predicts_where_there_is_none(without_jax, folder, gpu, monkeypatch, target):
    data = flowers(folder / "t.csv")
    run("train", data, "--target", target, *QUICK, "--device", "gpu", "--precision", "float32")
    assert facts(folder / "t-model")["settings"]["device"] == "gpu"
    with_gpu = run("predict", "t-model", data).stdout
    monkeypatch.undo()
    assert run("predict", folder / "t-model", data).stdout == with_gpu
    done = without_jax("predict", "t-model", "t.csv", cwd=folder)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", with_gpu)


def test_stored_network_has_engine_auto_and_records_the_engine_used(folder):
    data = flowers(folder / "flowers.csv")
    for target, task in (("species", "classification"), ("petal_width", "regression")):
        words = ("--task", task, "--out", task, *QUICK, "--engine", "jax", "--precision", "float32")
        run("train", data, "--target", target, *words)
    classifier, scaled = (load_pipeline(folder / task)[-1] for task in ("classification", "regression"))
    for network in (classifier, scaled.regressor, scaled.regressor_):
        assert (network.engine, network.device, network.precision) == ("auto", None, None)
    assert classifier.engine_ == scaled.regressor_.engine_ == "jax"


# --- JAX fails or is missing --------------------------------------------------------------------------


def test_device_failure_in_training_is_a_one_line_error_and_leaves_no_files(folder, monkeypatch):
    def exhausted(*_):
        raise JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\nMore about it.")

    monkeypatch.setattr(jax_engine.JaxEngine, "run_batches", exhausted)
    words = ("--engine", "jax", "--precision", "float32")
    result = run("train", flowers(folder / "t.csv"), "--target", "species", *QUICK, *words, code=1)
    assert result.stderr == (
        "batchprop: JAX gave up (RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes): "
        "try --engine numpy, or no --precision\n"
    )
    assert names(folder) == ["t.csv"]


def test_device_failure_in_prediction_is_a_one_line_error(models, folder, monkeypatch):
    def exhausted(*_, **_more):
        raise JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")

    monkeypatch.setattr("batchprop.tabular.predictions.predict_frame", exhausted)
    result = run("predict", models / "flowers-model", models / "flowers.csv", "--out", "p.csv", code=1)
    assert "JAX gave up (RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes)" in result.stderr
    assert "JAX_PLATFORMS=cpu" in result.stderr
    assert names(folder) == []


@pytest.mark.parametrize("words", [("--engine", "jax"), ("--device", "gpu"), ("--precision", "bfloat16")])
def test_requested_but_missing_jax_is_an_error_before_the_table_is_read(without_jax, folder, words):
    done = without_jax("train", "nowhere.csv", "--target", "y", *words, cwd=folder)
    assert done.returncode == 2
    assert "needs JAX, which is not installed: pip install 'batchprop[jax]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert names(folder) == []


def test_missing_jax_prints_one_line_where_jax_would_be_faster(without_jax, folder):
    flowers(folder / "t.csv")
    done = without_jax("train", "t.csv", "--target", "species", "--hidden", "8", *LONG_AT_MOST, cwd=folder)
    assert done.returncode == 0
    assert done.stderr.startswith("batchprop: note: this fit may take long in NumPy")
    assert "pip install 'batchprop[jax]'" in done.stderr
    assert "--engine numpy" in done.stderr
    assert "engine=" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert " with NumPy." in " ".join(done.stdout.split())
    assert names(folder / "t-model") == FILES


@pytest.mark.parametrize("words", [QUICK, ("--hidden", "8", *LONG_AT_MOST, "--engine", "numpy")])
def test_missing_jax_prints_nothing_where_jax_would_not_help(without_jax, folder, words):
    flowers(folder / "t.csv")
    done = without_jax("train", "t.csv", "--target", "species", *words, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
