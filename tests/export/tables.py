"""Random tables, a pipeline for them as in `train`, and inputs for its ONNX graph."""

from functools import cache

import numpy as np
import onnxruntime
import pandas as pd
from sklearn.compose import TransformedTargetRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import batchprop as bp
from batchprop.export.onnx import convert_model
from batchprop.tabular import infer_schema, make_preprocessor

TOWNS = ["Ulm", "Bonn", "Jena", "Köln", "x y"]
WORDS = [*TOWNS, "nowhere", "ULM", "(missing)", "true", "r1", "r7", "née", "城"]
# Names that need escaping, or that the graph uses for something else.
NAMES = {
    "size": "size (m²)",
    "rooms": "label",
    "price": "probabilities",
    "flat": "prediction",
    "town": "a b",
    "rare": "a_b",
    "sold": "constant",
    "born": "input_0",
    "garden": "X",
}


def table(n, seed, *, known=True):
    """Numbers of all sizes, text with rare words, dates, booleans; a tenth of each missing."""
    rng = np.random.default_rng(seed)
    few = rng.choice(["a", "b"], n)
    frame = pd.DataFrame(
        {
            "size": rng.normal(100, 30, n),
            "rooms": rng.integers(0, 9, n) * 1.0,
            "price": rng.choice([-1, 1], n) * 10 ** rng.uniform(-300, 300, n),
            "flat": rng.choice([0.0, 5.0], n, p=[0.9, 0.1]),
            "town": rng.choice(TOWNS if known else WORDS, n),
            "rare": np.where(rng.random(n) < 0.03, [f"r{i}" for i in rng.integers(0, 9, n)], few),
            "sold": moments(rng.integers(-(10**16), 10**16, n)),
            "born": moments(rng.integers(0, 90_000, n) * 86_400_000_000),
            "garden": rng.random(n) < 0.5,
        }
    )
    for name in frame.columns:
        frame[name] = frame[name].mask(rng.random(n) < 0.1)
    return frame.astype({"garden": "boolean"}).rename(columns=NAMES)


def moments(microseconds):
    """Dates from microseconds since 1970."""
    return np.asarray(microseconds, "int64").view("datetime64[us]")


@cache
def pipeline(task, seed=0, n=800, columns=None, **options):
    """A fitted pipeline over such a table: for classes, or for numbers of thousands."""
    frame = table(n, seed)
    frame = frame if columns is None else frame[[NAMES[name] for name in columns]]
    rng = np.random.default_rng(seed)
    steps = make_preprocessor(infer_schema(frame), n, "y")
    X = steps.fit_transform(frame)
    options = {"hidden_layer_sizes": (16,), "max_iter": 30, "tol": 1.0, "random_state": 0, **options}
    if task == "classes":
        y = np.array(["p", "q", "r"])[rng.integers(0, 3, n)]
        network = bp.MLPClassifier(learning_rate_init=0.01, **options).fit(X, y)
    else:
        regressor = bp.MLPRegressor(**options)
        network = TransformedTargetRegressor(regressor, transformer=StandardScaler())
        network.fit(X, 5e3 + 1e3 * X.sum(axis=1) + rng.normal(size=n))
    return Pipeline([*steps.steps, ("network", network)])


@cache
def session_of(task, **options):
    """A runtime for such a pipeline's graph."""
    return runtime(pipeline(task, **options))


def runtime(model, dtype=None):
    """A runtime for a model's graph."""
    return onnxruntime.InferenceSession(convert_model(model, dtype).SerializeToString())


def answers(session, feeds):
    """Run the graph, and return its outputs by name."""
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds), strict=True))


def fed(frame, kinds):
    """The graph's inputs for a table: one matrix (n, 1) per column."""
    return {name: _input(frame[name], kind)[:, None] for name, kind in kinds.items()}


def _input(column, kind):
    if kind == "number":
        return column.to_numpy(float, na_value=np.nan)
    if kind == "date":
        return column.to_numpy("datetime64[us]").astype("int64")
    if kind == "boolean":
        column = column.map({True: "true", False: "false"})
    return column.astype(object).where(column.notna(), "").to_numpy(object)
