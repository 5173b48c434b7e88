"""`batchprop export`: a trained model in ONNX and safetensors files."""

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from safetensors.numpy import load_file

import batchprop as bp
from batchprop.tabular import persistence
from tests.cli.commands import names, run


def answers(path, feeds):
    session = onnxruntime.InferenceSession(path)
    return session.run(None, {each.name: feeds[each.name] for each in session.get_inputs()})


def test_classification_model_is_exported(models, folder):
    shown = run("export", models / "flowers-model", "--onnx", "flowers.onnx").output
    assert shown == "The model as ONNX in flowers.onnx\n"
    frame = pd.read_csv(models / "flowers.csv")
    label, P = answers("flowers.onnx", {name: frame[[name]].to_numpy() for name in frame})
    predicted = run("predict", models / "flowers-model", models / "flowers.csv", "--proba", "--out", "p.csv")
    assert not predicted.stderr
    wanted = pd.read_csv("p.csv")
    assert (label == wanted["species"]).all()
    np.testing.assert_allclose(P, wanted.iloc[:, 1:].to_numpy(), rtol=0, atol=1e-5)
    assert names(folder) == ["flowers.onnx", "p.csv"]


def test_regression_model_is_exported(models):
    run("export", models / "houses-model", "--onnx", "houses.onnx")
    frame = pd.read_parquet(models / "houses.parquet")
    feeds = {
        "size": frame[["size"]].to_numpy(),
        "town": frame[["town"]].to_numpy(object),
        "sold": frame[["sold"]].to_numpy("datetime64[us]").view("int64"),
        "garden": frame[["garden"]].astype(str).to_numpy(object),
    }
    run("predict", models / "houses-model", models / "houses.parquet", "--out", "p.csv")
    (result,) = answers("houses.onnx", feeds)
    np.testing.assert_allclose(result[:, 0], pd.read_csv("p.csv")["price"], rtol=1e-5)


@pytest.mark.parametrize("name", ["flowers-model", "houses-model"])
def test_weights_are_exported_without_onnx(models, name):
    shown = run("export", models / name / "model.skops", "--weights", "net.safetensors").output
    assert shown == "The weights in net.safetensors\n"
    assert bp.Network.from_weights("net.safetensors").sizes[1:] == (8, 3 if name == "flowers-model" else 1)
    assert len(load_file("net.safetensors")) == 4


@pytest.mark.parametrize("kind", ["species", "petal_length"])
def test_a_model_of_several_networks_is_exported(kind, models, monkeypatch):
    frame = pd.read_csv(models / "flowers.csv")
    y, X = frame[kind], frame.drop(columns=kind)
    estimator = bp.TabularClassifier if kind == "species" else bp.TabularRegressor
    model = estimator(n_members=3, max_iter=2, hidden_layer_sizes=(8,)).fit(X, y).to_pipeline()
    monkeypatch.setattr(persistence, "load_pipeline", lambda _: model)
    run("export", "several", "--onnx", "several.onnx", "--weights", "several.safetensors")
    *_, result = answers("several.onnx", {name: X[[name]].to_numpy() for name in X})
    ensemble = bp.export.load_ensemble("several.safetensors")
    P = ensemble.predict(model[:-1].transform(X).T).T
    if kind == "species":
        np.testing.assert_allclose(result, model.predict_proba(X), rtol=0, atol=1e-5)
        np.testing.assert_allclose(P, model.predict_proba(X), rtol=0, atol=1e-5)
    else:
        np.testing.assert_allclose(result[:, 0], model.predict(X), rtol=1e-5)
        np.testing.assert_allclose(
            model[-1].transformer_.inverse_transform(P)[:, 0], model.predict(X), rtol=1e-5
        )


def test_existing_files_are_replaced_only_with_force(models, folder):
    model = models / "flowers-model"
    both = ("--onnx", "f.onnx", "--weights", "f.safetensors")
    (folder / "f.safetensors").write_text("mine")
    assert "f.safetensors exists" in run("export", model, *both, code=1).stderr
    assert names(folder) == ["f.safetensors"]
    assert (folder / "f.safetensors").read_text() == "mine"
    run("export", model, *both, "--force")
    assert names(folder) == ["f.onnx", "f.safetensors"]
    assert len(load_file("f.safetensors")) == 4


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), 2, "nothing to export: name a file with --onnx or --weights"),
        (("--onnx", "model.txt"), 2, "--onnx model.txt names another format: end it in .onnx"),
        (("--weights", "model.pt"), 2, "end it in .safetensors"),
        (("--onnx", "none/of/these.onnx"), 0, ""),
    ],
)
def test_misuse_is_refused(models, words, code, message):
    assert message in run("export", models / "flowers-model", *words, code=code).stderr


def test_missing_model_is_refused(folder):
    assert "there is no model none" in run("export", "none", "--onnx", "m.onnx", code=1).stderr
    assert names(folder) == []
