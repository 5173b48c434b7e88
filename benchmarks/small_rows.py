"""Compare ways to find flipped labels on small tables: `examine`, and models that did not learn from the row.

`python -m benchmarks.small_rows [TABLE ...]` prints the mean average precision of three seeds.
"""

from __future__ import annotations

import io
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from sklearn import datasets
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import batchprop as bp
from batchprop.cli.examine_command import examine
from batchprop.tabular.options import TrainOptions
from batchprop.tabular.training_table import load
from benchmarks.bad_rows_data import Table, flip_labels

RATE, SEEDS = 0.05, 3


def make_classes(n_columns: int, n_informative: int, n_classes: int, seed: int) -> Any:
    """Make 150 rows of known classes."""
    return datasets.make_classification(
        150,
        n_features=n_columns,
        n_informative=n_informative,
        n_redundant=2 if n_classes > 2 else 0,
        n_classes=n_classes,
        class_sep=2.0 if n_classes > 2 else 1.5,
        flip_y=0,
        random_state=seed,
    )


TABLES: dict[str, Callable[[], Any]] = {
    "iris": lambda: datasets.load_iris(return_X_y=True),
    "wine": lambda: datasets.load_wine(return_X_y=True),
    "breast cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
    "three blobs": lambda: datasets.make_blobs(150, n_features=4, centers=3, random_state=1),
    "10 columns, 3 classes": lambda: make_classes(10, 5, 3, seed=1),
    "30 columns, 26 of them noise": lambda: make_classes(30, 4, 2, seed=2),
    "two moons": lambda: datasets.make_moons(150, noise=0.15, random_state=0),
}


def score_rows(frame: pd.DataFrame, given: NDArray[np.intp], seed: int) -> dict[str, tuple[Any, float]]:
    """Return each way's score of every row, higher is more suspicious, and its CPU seconds."""
    X, folds = frame.to_numpy(), StratifiedKFold(5, shuffle=True, random_state=seed)
    others = {
        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
        "random forest": RandomForestClassifier(random_state=0),
    }

    def ours(n_members: int) -> Any:
        batch = int(np.clip(len(X) // 10, 16, 200))
        options = TrainOptions(target="y", hidden=(100,), seed=seed, engine="numpy", batch_size=batch)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "table.parquet"
            frame.assign(y=[f"c{code}" for code in given]).to_parquet(path)
            rows = examine(Console(file=io.StringIO()), load(path, options), options, n_members).rows
        return rows.sort_index()["mislabel_score"].fillna(0.0).to_numpy()

    def tabular() -> Any:
        clf = bp.TabularClassifier(random_state=seed, engine="numpy")
        return clf.fit(frame, given, record_examples=True).examples_["mislabel_score"].fillna(0.0)

    def held_out(model: Any) -> Any:
        P = cross_val_predict(model, X, given, cv=folds, method="predict_proba")
        return -P[np.arange(len(P)), given]

    ways: dict[str, Callable[[], Any]] = {
        "examine": lambda: ours(1),
        "--members 4": lambda: ours(4),
        "--members 8": lambda: ours(8),
        "TabularClassifier": tabular,
        **{name: partial(held_out, model) for name, model in others.items()},
    }
    result = {}
    for name, way in ways.items():
        start = time.process_time()
        scores = way()
        result[name] = scores, time.process_time() - start
    return result


def main() -> None:
    """Measure, and print a line for each table."""
    warnings.simplefilter("ignore")
    for name in sys.argv[1:] or TABLES:
        X, y = TABLES[name]()
        frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(X.shape[1])])
        table = Table(name, StandardScaler().fit_transform(X), y)
        precision, seconds = defaultdict(list), defaultdict(list)
        for kind in ("uniform", "similar") if name in {"iris", "wine"} else ("uniform",):
            for seed in range(SEEDS):
                given, wrong = flip_labels(table, RATE, kind, seed)
                for way, (scores, spent) in score_rows(frame, given, seed).items():
                    precision[way].append(average_precision_score(wrong, scores))
                    seconds[way].append(spent)
        cells = (
            f"{way} {np.mean(precision[way]):.3f} ({np.median(seconds[way]):.1f} s)" for way in precision
        )
        print(f"{name}: {', '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
