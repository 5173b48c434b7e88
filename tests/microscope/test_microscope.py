"""The microscope's data: the library's numbers, names, and invalid arguments."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import coo_matrix, csc_matrix, csr_matrix
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import batchprop as bp
from batchprop.errors import InputError, ParameterError
from batchprop.microscope.look import _predictions
from tests.estimators.tables import TARGETS, estimator, quiet, refused, table
from tests.microscope.embedded_data import numbers, page_data

pytestmark = quiet


def fitted(target: str = "multiclass", *, record: bool = True, **settings: Any) -> Any:
    X, y = table(target)
    return estimator(target, **{"dtype": "float64", **settings}).fit(X, y, record_examples=record)


def shown(model: Any, X: Any, y: Any, **options: Any) -> Any:
    return page_data(bp.microscope.look(model, X, y, **options).html)


@pytest.mark.parametrize("target", TARGETS)
def test_every_matrix_matches_the_library_at_every_snapshot(target: str) -> None:
    model = fitted(target, activation="tanh", hidden_layer_sizes=(8, 6))
    X, y = table(target)
    data = shown(model, X[:7], y[:7])
    begun, *_, last = model.weight_snapshots_
    for checkpoint, one in ((begun, data["snapshots"][0]), (last, data["snapshots"][-1])):
        then = model.at_snapshot(checkpoint)
        step = then.backprop(X[:7], y[:7])
        net = then.network_and_batch(X[:7], y[:7])[0]
        expected = {
            "Z": step.Z,
            "H": step.H[1:],
            "dZ": step.dZ,
            "derivatives": [1 - np.tanh(Z) ** 2 for Z in step.Z[:-1]],
            "dH": [net.layers[k + 1].W.T @ step.dZ[k + 1] for k in range(2)],
        }
        for name, matrices in expected.items():
            for ours, theirs in zip(one[name], matrices, strict=True):
                assert_allclose(numbers(ours), theirs, rtol=1e-5, atol=1e-6, err_msg=name)
        assert_allclose(numbers(one["P"]), step.P, rtol=1e-5)
        assert_allclose(numbers(one["losses"])[0], step.losses, rtol=1e-5, atol=1e-7)
        for ours, layer in zip(one["layers"], net.layers, strict=True):
            assert_allclose(numbers(ours["W"]), layer.W, rtol=1e-6)
            assert_allclose(numbers(ours["b"])[:, 0], layer.b, rtol=1e-6)
        gradients = [
            np.concatenate([g.ravel() for layer in step.gradient.example(i) for g in layer]) for i in range(7)
        ]
        assert_allclose(numbers(one["gram"]), np.inner(gradients, gradients), rtol=1e-4, atol=1e-6)
    assert_allclose(numbers(data["inputs"]), X[:7].T, rtol=1e-6)


def test_names_of_classes_rows_features_and_snapshots() -> None:
    flowers = load_iris(as_frame=True)
    X, y = flowers.data.set_axis(pd.RangeIndex(2, 152, name="line")), flowers.target_names[flowers.target]
    model = bp.MLPClassifier((5,), max_iter=5, random_state=0).fit(X, y, record_examples=True)
    data = shown(model, X, y, rows=6, about="Flowers")
    assert data["title"] == "Flowers through 4-5-3"
    assert data["features"] == list(X.columns) == data["levels"][0]["names"]
    assert data["outputs"] == ["setosa", "versicolor", "virginica"]
    assert [one["name"] for one in data["snapshots"]] == [
        "before the first epoch",
        *(f"after epoch {number}" for number in (1, 2, 4)),
        "after epoch 5, the last",
    ]
    labels = [one["label"] for one in data["examples"]]
    assert sorted(labels) == ["setosa"] * 2 + ["versicolor"] * 2 + ["virginica"] * 2
    lines = [int(one["row"].removeprefix("line ")) for one in data["examples"]]
    assert_array_equal(y[np.array(lines) - 2], labels)
    assert data["snapshots"][-1]["predictions"] == model.predict(X.loc[lines]).tolist()
    assert (data["activations"][0]["name"], data["head"]["dZTex"]) == ("relu", "P - Y")


def test_unrecorded_fit_shows_only_the_fitted_network() -> None:
    X, y = table("single")
    data = shown(fitted("single", record=False), X, y, rows=3)
    assert [one["name"] for one in data["snapshots"]] == ["as fitted: the training was not recorded"]
    assert data["outputs"] == ["output 0"]
    assert shown(fitted("single", record=False), X, pd.Series(y, name="price"))["outputs"] == ["price"]
    labels = pd.Series(table("binary")[1], name="sold")
    assert shown(fitted("binary", record=False), X, labels)["outputs"] == ["is yes"]
    several = shown(fitted("multioutput", record=False), X, table("multioutput")[1])["outputs"]
    assert several == ["1: 0", "1: 1", "1: 2", "2: 5", "2: 7", "2: 9"]
    assert data["examples"][0]["label"] == f"{y[int(data['examples'][0]['row'][4:])]:.6g}"


def test_restored_best_epoch_is_the_last_snapshot() -> None:
    X, y = table("multiclass")
    settings: dict[str, Any] = {
        "early_stopping": True,
        "learning_rate_init": 0.3,
        "max_iter": 30,
        "n_iter_no_change": 30,
    }
    model = fitted(**settings)
    assert not np.array_equal(model.weight_snapshots_[-1].coefs[0], model.coefs_[0])
    data = shown(model, X, y)
    assert data["snapshots"][-1]["name"] == "as fitted, the best epoch"
    assert len(data["snapshots"]) == 6
    assert_allclose(numbers(data["snapshots"][-1]["layers"][0]["W"]), model.coefs_[0].T, rtol=1e-6)


def test_large_layers_are_drawn_in_part_and_norms_stay_exact() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(64, 300)), np.arange(64) % 10
    model = bp.MLPClassifier((400, 200), max_iter=2, random_state=0).fit(X, y, record_examples=True)
    page = bp.microscope.look(model, X, y, rows=64)
    assert len(page.html) < 5e6
    data = page_data(page.html)
    assert (
        "64 of 300 inputs, 64 of 400 units of layer 1, 64 of 200 units of layer 2:" in data["description"][1]
    )
    units = [level["index"] for level in data["levels"]]
    assert [len(level) for level in units] == [64, 64, 64, 10]
    assert data["levels"][1]["names"][0] == f"unit {units[1][0] + 1}"
    step, last = model.backprop(X, y), data["snapshots"][-1]
    spread = step.H[1].std(axis=1)
    assert set(units[1]) == set(np.argsort(-spread)[:64])
    assert_allclose(numbers(last["Z"][1]), step.Z[1][units[2]], rtol=1e-4, atol=1e-5)
    W = model.coefs_[1].T[np.ix_(units[2], units[1])]
    assert_allclose(numbers(last["layers"][1]["W"]), W, rtol=1e-6)
    norms = np.sqrt(np.diag(numbers(last["gram"])))
    assert_allclose(norms, np.sqrt(step.gradient.squared_norms()), rtol=1e-4)


def test_five_layers_of_1000_units_and_64_rows_stay_under_5_megabytes() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(64, 1000)).astype("float32"), np.arange(64) % 10
    model = bp.MLPClassifier((1000,) * 5, max_iter=2, batch_size=64, random_state=0)
    page = bp.microscope.look(model.fit(X, y, record_examples=True), X, y, rows=64)
    assert len(page.html.encode()) < 5e6


def test_class_weights_label_smoothing_and_images_are_shown() -> None:
    X, y = table("multiclass")
    model = fitted(class_weight="balanced", label_smoothing=0.1)
    pictures = np.arange(120 * 6).reshape(120, 2, 3)
    data = shown(model, X, y, rows=5, images=pictures, learning_rate=0.5)
    rows = [int(one["row"][4:]) for one in data["examples"]]
    _, batch = model.network_and_batch(X[rows], y[rows])
    assert_allclose(numbers(data["weights"])[0], batch.weights, rtol=1e-6)
    assert_allclose(numbers(data["Y"]), batch.Y * 0.9 + 0.1 / 3, rtol=1e-5)
    assert "smoothed" in data["description"][-2]
    assert "have different weights" in data["description"][-1]
    assert data["imageShape"] == [2, 3]
    assert_array_equal(numbers(data["images"]), pictures[rows].reshape(5, 6).T)
    assert data["learningRate"] == 0.5


def test_wide_rows_and_large_images_keep_the_page_small() -> None:
    rng = np.random.default_rng(0)
    X = csr_matrix(rng.normal(size=(64, 20_000)) * (rng.random((64, 20_000)) < 0.01))
    model = bp.MLPClassifier((8,), max_iter=1, random_state=0).fit(X, np.arange(64) % 3)
    pictures = rng.integers(0, 255, (64, 224, 224))
    page = bp.microscope.look(model, X, np.arange(64) % 3, rows=64, images=pictures)
    assert len(page.html) < 5e6
    data = page_data(page.html)
    inputs, places = numbers(data["inputs"]), data["levels"][0]["index"]
    kept = [int(name.removeprefix("x")) for name in data["features"]]
    assert_allclose(inputs, X.toarray().T[kept], rtol=1e-6)
    assert [data["features"][place] for place in places] == data["levels"][0]["names"]
    assert data["sizes"][0] == 20_000
    largest = np.abs(X.toarray()).argmax(axis=1)
    assert set(largest) <= set(kept)
    assert data["imageShape"] == [56, 56]
    expected = pictures.reshape(64, 56, 4, 56, 4).mean(axis=(2, 4)).reshape(64, -1).T
    assert_allclose(numbers(data["images"]), expected, rtol=1e-6)


def test_batch_balances_float_labels() -> None:
    X, y = np.random.default_rng(0).normal(size=(54, 3)), np.repeat([0.0, 1.0, 2.0], [50, 2, 2])
    model = bp.MLPClassifier((3,), max_iter=2, random_state=0).fit(X, y)
    data = shown(model, X, y, rows=4)
    assert sorted(one["label"] for one in data["examples"]) == ["0", "0", "1", "2"]
    assert data["outputs"] == ["0", "1", "2"]


def test_accepts_sparse_matrices_data_frames_and_lists() -> None:
    X, y = table("multilabel")
    model = fitted("multilabel")
    plain = shown(model, X, y, rows=4)
    for sparse in (csr_matrix, csc_matrix, coo_matrix):
        assert shown(model, sparse(X), sparse(y), rows=4) == plain
    assert shown(model, X.tolist(), y.tolist(), rows=4) == plain
    framed = shown(model, pd.DataFrame(X, columns=list("abcde")), pd.DataFrame(y), rows=4)
    assert framed["features"] == list("abcde")
    assert (plain["outputs"], framed["outputs"]) == (["output 0", "output 1", "output 2"], ["0", "1", "2"])
    assert framed["snapshots"] == plain["snapshots"]


def test_lbfgs_and_custom_activations_are_shown() -> None:
    X, y = table("single")
    own = bp.activations.Activation("cube", lambda Z: Z**3, lambda Z: 3 * Z**2)
    model = estimator("single", solver="lbfgs", activation=own, max_iter=3).fit(X, y)
    data = shown(model, X, y, rows=2)
    assert data["activations"][0] == {"name": "cube", "tex": r"\sigma(z)", "derivativeTex": r"\sigma'(z)"}


def test_texts_of_a_table_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = table("binary")
    y = np.where(y == "yes", "</script><script>alert(1)</script>", "<b>no</b>")
    model = estimator("binary").fit(X, y)
    page = bp.microscope.look(model, X, y, about="<img src=x>")
    assert "<script>alert" not in page.html
    assert "<img src=x>" not in page.html
    assert set(page_data(page.html)["outputs"]) == {"is <b>no</b>"}
    monkeypatch.setattr("batchprop.microscope.widget.find_spec", lambda _: None)
    framed = page._repr_mimebundle_()["text/html"]
    assert "srcdoc" in framed
    assert "<script>" not in framed


def test_overflowing_network_keeps_its_infinite_losses() -> None:
    X, y = table("single")
    model = fitted("single", record=False)
    model.coefs_ = [coef * 1e30 for coef in model.coefs_]
    with np.errstate(all="ignore"):
        data = shown(model, X, y, rows=3)
    assert not np.isfinite(numbers(data["snapshots"][0]["losses"])).all()


def test_save_and_open(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def ask(address: str) -> bool:
        asked.append(address)
        return True

    monkeypatch.setattr("webbrowser.open", ask)
    X, y = table("single")
    page = bp.microscope.look(fitted("single"), X, y)
    assert page.open(tmp_path / "page.html")
    assert asked == [(tmp_path / "page.html").as_uri()]
    assert (tmp_path / "page.html").read_text("utf-8") == page.html


def test_invalid_arguments_raise() -> None:
    X, y = table("multiclass")
    model = fitted()
    wrong_rows: list[Any] = [0, 65, 2.0, True, "8"]
    for rows in wrong_rows:
        with refused(f"rows={rows!r}", "from 1 to 64", kind=ParameterError):
            bp.microscope.look(model, X, y, rows=rows)
    wrong_rates: list[Any] = [0, -1.0, np.nan, np.inf, "fast"]
    for rate in wrong_rates:
        with refused(f"learning_rate={rate!r}", "above 0", kind=ParameterError):
            bp.microscope.look(model, X, y, learning_rate=rate)
    with refused("120 rows and y 3", "one target for each row"):
        bp.microscope.look(model, X, y[:3])
    with refused("X has 0 rows", "one row at least"):
        bp.microscope.look(model, X[:0], y[:0])
    for seed in (-1, None, 1.5):
        with refused(f"random_state={seed!r}", "from 0", kind=ParameterError):
            bp.microscope.look(model, X, y, random_state=cast("Any", seed))
    for name, given in (("X", (None, y)), ("y", (X, None))):
        with refused(f"{name}=None has no rows"):
            bp.microscope.look(model, *given)
    for images in (X, np.zeros((3, 2, 2)), np.zeros((120, 0, 2)), np.full((120, 1, 1), "x")):
        with refused("images has shape", "X.reshape(-1, 8, 8)"):
            bp.microscope.look(model, X, y, images=images)
    frame = pd.DataFrame(X, columns=list("abcde"))
    source = bp.microscope.SourceTable(frame, list("abcd"))
    with refused("source has 120 rows and columns for 4 features", "X is 120 × 5"):
        bp.microscope.look(model, X, y, source=source)
    with refused("source.columns names 'z', which is no column"):
        bp.microscope.look(model, X, y, source=bp.microscope.SourceTable(frame, list("zbcde")))
    with pytest.raises(NotFittedError):
        bp.microscope.look(clone(model), X, y)
    with refused("a Pipeline has no network", "give its last step"):
        bp.microscope.look(make_pipeline(StandardScaler(), clone(model)).fit(X, y), X, y)
    with pytest.raises(InputError):
        bp.microscope.look(model, X, np.full(120, 99))
    with pytest.raises(ValueError, match="features"):
        bp.microscope.look(model, X[:, :3], y)


@pytest.mark.parametrize("engine", ["numpy", "jax"])
def test_predictions_of_rows_that_overflow_are_marked(engine):
    X, y = load_iris(return_X_y=True)
    clf = bp.MLPClassifier((4,), activation="identity", max_iter=3, random_state=0, engine=engine).fit(X, y)
    rows = X[:3].copy()
    rows[1] = 1e308 * np.array([1, -1, 1, -1])
    clf.coefs_ = [100 * coef for coef in clf.coefs_]
    labels = _predictions(clf, rows, y[:3])
    assert labels[1] == "not finite"
    assert [labels[0], labels[2]] == [str(label) for label in clf.predict(rows[[0, 2]])]
