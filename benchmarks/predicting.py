"""Rows a second that a trained model predicts from 30 columns, beside scikit-learn's pipeline by hand.

The goal is that of one network without bins, as scikit-learn's; the default preset averages several networks
of some 500 features, a multiple of the work, and is timed beside it.

`python -m benchmarks.predicting [--quick]` needs what `make bench-reading` installs, and about three
minutes. Timed are `TrainedModel.predict` on a frame in memory and on a Parquet file, `batchprop predict` from
Parquet to Parquet, in turn, after one call of each that does not count. Results go to
`benchmarks/results/predicting.json`.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.machine import describe_machine
from benchmarks.table_data import make_part, write_table

ROWS, QUICK_ROWS, TRAIN_ROWS, ROUNDS = 2_000_000, 200_000, 20_000, 5
HIDDEN = 128
WANTED = 1_000_000
RESULTS = Path(__file__).resolve().parent / "results" / "predicting.json"


def main() -> None:
    """Train two models, predict in turn, and print and store the rows a second."""
    quick = "--quick" in sys.argv
    rows, rounds = (QUICK_ROWS, 2) if quick else (ROWS, ROUNDS)
    warnings.simplefilter("ignore")
    seconds: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        runs = make_runs(Path(folder), rows)
        for run in runs.values():
            run()
        for _ in range(rounds):
            for name, run in runs.items():
                began = time.perf_counter(), time.process_time()
                run()
                taken = time.perf_counter() - began[0], time.process_time() - began[1]
                seconds.setdefault(name, []).append(taken)
    print(f"{rows:,} rows of 30 columns, {HIDDEN} hidden units (wanted: {WANTED:,} rows a second)")
    print(f"{'':32}{'rows/s':>12}{'rows/CPU s':>12}")
    speeds = {
        name: [rows / statistics.median(each[i] for each in taken) for i in (0, 1)]
        for name, taken in seconds.items()
    }
    for name, (fast, of_cpu) in speeds.items():
        print(f"{name:32}{fast:12,.0f}{of_cpu:12,.0f}")
    if not quick:
        about = describe_machine(("batchprop", "numpy", "pandas", "pyarrow", "scikit-learn"))
        results = {"machine": about, "rows": rows, "seconds": seconds, "rows_a_second": speeds}
        RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def make_runs(folder: Path, rows: int) -> dict[str, Callable[[], object]]:
    """Return what to time: with columns of all kinds, and with 30 columns of numbers only."""
    import batchprop as bp

    mixed = make_part(np.random.default_rng(1), TRAIN_ROWS).to_pandas(date_as_object=False)
    numbers = pd.DataFrame(np.random.default_rng(1).standard_normal((TRAIN_ROWS, 30)).round(3)).add_prefix(
        "x"
    )
    numbers["label"] = (numbers["x0"] * numbers["x1"] > 0).astype(int)
    options: dict[str, Any] = {"target": "label", "hidden": HIDDEN, "epochs": 1}
    plain_network = options | {"members": 1, "bins": 0}
    models = {
        "mixed": bp.tabular.train_table(mixed, **plain_network),
        "numbers": bp.tabular.train_table(numbers, **plain_network),
        "preset": bp.tabular.train_table(mixed, **options),
    }
    models["mixed"].save(folder / "model")
    files, _ = write_table(folder, rows, ("parquet",))
    frame = pd.read_parquet(files["parquet"])
    plain = pd.DataFrame(np.random.default_rng(2).standard_normal((rows, 30))).add_prefix("x")
    by_hand = fit_by_hand(mixed)
    return {
        "frame": lambda: models["mixed"].predict(frame),
        "frame, 30 columns of numbers": lambda: models["numbers"].predict(plain),
        "Parquet": lambda: models["mixed"].predict(files["parquet"]),
        "batchprop predict, Parquet": lambda: run_command(folder, files["parquet"]),
        "frame, default preset": lambda: models["preset"].predict(frame),
        "scikit-learn by hand, frame": lambda: by_hand.predict(frame),
    }


def run_command(folder: Path, data: Path) -> None:
    """Run `batchprop predict` in this process."""
    from typer.testing import CliRunner

    from batchprop.cli.app import app

    words = ["predict", folder / "model", data, "--out", folder / "answers.parquet", "--force"]
    result = CliRunner().invoke(app, [*map(str, words)])
    if result.exit_code:
        raise RuntimeError(result.output)


def fit_by_hand(table: pd.DataFrame) -> Any:
    """Fit scikit-learn's pipeline for the same columns, by someone who knows what they hold."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, RobustScaler

    def parts(dates: pd.DataFrame) -> Any:
        when = pd.to_datetime(dates["when"]).dt
        return np.column_stack([when.year, when.month, when.day, when.dayofweek])

    numbers = [name for name in map(str, table) if name[0] in "xk"]
    encoder = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), RobustScaler()), numbers),
            ("dates", make_pipeline(FunctionTransformer(parts), RobustScaler()), ["when"]),
            ("words", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["w0", "w1", "w2"]),
        ]
    )
    model = make_pipeline(encoder, MLPClassifier((HIDDEN,), max_iter=1, random_state=0))
    return model.fit(table.drop(columns="label"), table["label"])


if __name__ == "__main__":
    main()
