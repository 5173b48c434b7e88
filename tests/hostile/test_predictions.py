"""Predictions do not depend on order or chunks, to the precision stated in docs/scikit-learn.md."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import batchprop as bp
from batchprop.data.reader import read_table
from batchprop.tabular.persistence import load_pipeline
from batchprop.tabular.predictions import predict_frame
from tests.cli.commands import QUICK, houses, run

NEARLY = {"float32": 1e-5, "float64": 1e-12}
"""How far answers may be apart: probabilities, and numbers in units of the largest."""

ROWS = 41


def data(kind):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(ROWS, 7))
    return X, {
        "binary": np.where(X[:, 0] > 0, "yes", "no"),
        "multiclass": rng.integers(0, 4, ROWS),
        "labels": (X[:, :3] > 0.3).astype(int),
        "targets": rng.integers(0, 3, (ROWS, 2)),
        "numbers": 1000 * X[:, 0] + 7,
        "several numbers": X[:, :2] * [1.0, 1e6],
        "counts": rng.poisson(3, ROWS),
    }[kind]


CLASSES = ("binary", "multiclass", "labels", "targets")
NUMBERS = ("numbers", "several numbers", "counts")


def fitted(kind, engine, dtype):
    X, y = data(kind)
    how = {"hidden_layer_sizes": (9, 5), "max_iter": 3, "random_state": 0, "engine": engine, "tol": 0}
    make = bp.MLPClassifier if kind in CLASSES else bp.MLPRegressor
    if kind == "counts":
        how["loss"] = "poisson"
    with pytest.warns(match="still falling after"):
        return make(**how, dtype=dtype).fit(X, y), X.astype(dtype)


# Few sizes, since each compiles a program.
chunkings = st.tuples(st.permutations(range(ROWS)), st.sampled_from([1, 16]))


def in_turn(kinds):
    """Every kind in both types on NumPy; on JAX, which compiles programs for each, the types take turns."""
    return [
        (kind, engine, dtype)
        for number, kind in enumerate(kinds)
        for engine in ("numpy", "jax")
        for place, dtype in enumerate(NEARLY)
        if engine == "numpy" or place == number % 2
    ]


def iter_row_chunks(answer, X, order, size):
    """Predict rows in another order, so many at a time, and restore the order."""
    parts = [answer(X[order[at : at + size]]) for at in range(0, len(order), size)]
    result = np.concatenate(parts)
    back = np.empty_like(result)
    back[order] = result
    return back


def check_near(answer, X, chunking, tolerance):
    whole, (order, size) = answer(X), chunking
    result = iter_row_chunks(answer, X, np.array(order), size)
    assert result.dtype == whole.dtype
    np.testing.assert_allclose(result, whole, rtol=0, atol=tolerance * max(1.0, np.abs(whole).max()))


@pytest.mark.parametrize(("kind", "engine", "dtype"), in_turn(CLASSES))
def test_probabilities_and_labels_do_not_depend_on_chunks(kind, engine, dtype):
    clf, X = fitted(kind, engine, dtype)
    tolerance = NEARLY[dtype]

    def proba(rows):
        result = clf.predict_proba(rows)
        return np.hstack(result) if isinstance(result, list) else result

    def margin():
        """The distance of each row from a label change by rounding."""
        if kind == "labels":
            return np.abs(proba(X) - 0.5).min(axis=1)
        result = clf.predict_proba(X)
        each = [np.sort(P, axis=1) for P in (result if isinstance(result, list) else [result])]
        return np.min([P[:, -1] - P[:, -2] for P in each], axis=0)

    clear = margin() > 2 * tolerance
    assert clear.mean() > 0.9

    @settings(max_examples=4)
    @given(chunking=chunkings)
    def same(chunking):
        check_near(proba, X, chunking, tolerance)
        order, size = np.array(chunking[0]), chunking[1]
        np.testing.assert_array_equal(
            iter_row_chunks(clf.predict, X, order, size)[clear], clf.predict(X)[clear]
        )

    same()


@pytest.mark.filterwarnings("ignore::batchprop.errors.TargetScaleWarning")
@pytest.mark.parametrize(("kind", "engine", "dtype"), in_turn(NUMBERS))
def test_regression_predictions_do_not_depend_on_chunks(kind, engine, dtype):
    reg, X = fitted(kind, engine, dtype)

    @settings(max_examples=4)
    @given(chunking=chunkings)
    def same(chunking):
        check_near(reg.predict, X, chunking, NEARLY[dtype])

    same()


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory, saved):
    folder = tmp_path_factory.mktemp("houses")
    table = houses(folder / "houses.parquet", n=60)
    run("train", table, "--target", "price", "--out", folder / "model", "--engine", "numpy", *QUICK)
    return {"classes": (saved, saved.parents[1] / "flowers.csv"), "numbers": (folder / "model", table)}


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_pipeline_predictions_do_not_depend_on_chunks(pipelines, kind):
    path, table = pipelines[kind]
    model, frame = load_pipeline(path), read_table(table)[::3]
    whole = predict_frame(model, frame, proba=kind == "classes")
    numbers = whole.select_dtypes("number")
    rng = np.random.default_rng(0)
    for size in (1, 7, len(frame)):
        order = rng.permutation(len(frame))
        parts = [
            predict_frame(model, frame.iloc[order[at : at + size]], proba=kind == "classes")
            for at in range(0, len(frame), size)
        ]
        result = pd.concat(parts).iloc[np.argsort(order)].reset_index(drop=True)
        scale = max(1.0, np.abs(numbers.to_numpy()).max())
        np.testing.assert_allclose(result[numbers.columns], numbers, rtol=0, atol=NEARLY["float32"] * scale)
        if kind == "classes":
            assert result.iloc[:, 0].tolist() == whole.iloc[:, 0].tolist()


CODES = ["01", "x", "1.50", "TRUE", "2020-01-01", "1e5", "7", "Yes", "0x1", "+3", "-inf"]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_digit_strings_stay_text_in_a_file_of_one_row(folder, ending):
    rows = len(CODES) * 5
    frame = pd.DataFrame({"code": CODES * 5, "size": np.arange(rows) % 7, "y": np.arange(rows) % len(CODES)})
    path = folder / f"all.{ending}"
    frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path)
    run("train", path, "--target", "y", "--task", "regression", "--out", "model", "--engine", "numpy",
        "--hidden", 8, "--epochs", 30, "--learning-rate", 0.02)  # fmt: skip
    told = run("predict", "model", path).stdout.splitlines()[1:]
    assert len(set(told)) > len(CODES)
    # Half of them, as the files of one row are the same for both endings.
    for row in range(ending == "parquet", len(CODES), 2):
        frame.iloc[[row]].to_csv(folder / "one.csv", index=False)
        alone = run("predict", "model", "one.csv").stdout.splitlines()[1]
        assert float(alone) == pytest.approx(float(told[row]), rel=1e-5), CODES[row]
