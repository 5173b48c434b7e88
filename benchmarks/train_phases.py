"""`batchprop train` on a table of 30 columns by phases, beside the same by hand with pandas and scikit-learn.

`python -m benchmarks.train_phases [--quick]` needs what `make bench-reading` installs, and about
ten minutes. Both train as many epochs of the same network with the same batches, on files of Parquet and CSV,
each in a process of its own. Results go to `benchmarks/results/train_phases.json`.
"""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import statistics
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.fresh import run_in_fresh_process
from benchmarks.machine import describe_machine
from benchmarks.table_data import write_table

ROWS, QUICK_ROWS, ROUNDS = 1_000_000, 50_000, 3
HIDDEN, BATCH_SIZE, EPOCHS = 128, 256, 3
TEST, VALIDATION = 0.2, 0.125
PHASES = ("read", "decide", "encode", "train", "report")
RESULTS = Path(__file__).resolve().parent / "results" / "train_phases.json"

Phases = dict[str, list[float]]


def main() -> None:
    """Write the table, train in turn, and print and store the seconds."""
    quick = "--quick" in sys.argv
    rows, rounds = (QUICK_ROWS, 1) if quick else (ROWS, ROUNDS)
    runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        files, _ = write_table(Path(folder), rows, ("parquet", "csv"))
        for _ in range(rounds):
            for ending, path in files.items():
                for who in TRAINERS:
                    run = run_in_fresh_process(who, str(path), folder, module="benchmarks.train_phases")
                    runs[f"{ending}, {who}"].append(run)
    print(f"{rows:,} rows, 30 columns, 128 hidden units, batches of {BATCH_SIZE}, {EPOCHS} epochs")
    print("seconds (CPU seconds) without imports")
    print(f"{'':24}" + "".join(f"{phase:>15}" for phase in (*PHASES, "all")) + f"{'accuracy':>10}")
    medians = {name: median(each) for name, each in runs.items()}
    for name, phases in medians.items():
        cells = [f"{seconds:.1f} ({cpu:.1f})" for seconds, cpu in phases.values()]
        accuracy = statistics.median(run["accuracy"] for run in runs[name])
        print(f"{name:24}" + "".join(f"{cell:>15}" for cell in cells) + f"{accuracy:10.3f}")
    if not quick:
        about = describe_machine(("batchprop", "jax", "numpy", "pandas", "scikit-learn"))
        results = {"machine": about, "rows": rows, "runs": runs, "medians": medians}
        RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def median(runs: list[dict[str, Any]]) -> Phases:
    """Return the median seconds and CPU seconds of each phase, and of all together."""
    return {
        phase: [statistics.median(run["phases"][phase][i] for run in runs) for i in (0, 1)]
        for phase in (*PHASES, "all")
    }


class Stopwatch:
    """Seconds and CPU seconds of phases; those of an inner one do not count for the outer."""

    def __init__(self) -> None:
        self.phases: Phases = {phase: [0.0, 0.0] for phase in PHASES}
        self._inner = [[0.0, 0.0]]

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count a block for a phase."""
        began = time.perf_counter(), time.process_time()
        self._inner.append([0.0, 0.0])
        try:
            yield
        finally:
            ended, inner = (time.perf_counter(), time.process_time()), self._inner.pop()
            for i in (0, 1):
                self.phases[name][i] += ended[i] - began[i] - inner[i]
                self._inner[-1][i] += ended[i] - began[i]

    def watch(self, module: Any, function: str, name: str) -> None:
        """Count all calls of a module's function for a phase."""
        inner = getattr(module, function)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.phase(name):
                return inner(*args, **kwargs)

        setattr(module, function, timed)

    def finish(self) -> Phases:
        """Return the phases, and all of them together."""
        return self.phases | {"all": [sum(each[i] for each in self.phases.values()) for i in (0, 1)]}


def train_ours(engine: str) -> Callable[[str, str, Stopwatch], float]:
    """Return a training by the command line in this process."""

    def train(path: str, folder: str, watch: Stopwatch) -> float:
        from typer.testing import CliRunner

        from batchprop.cli import train_command
        from batchprop.cli.app import app
        from batchprop.engines import jax
        from batchprop.tabular import diagnostics, report_builder, training_input, training_table
        from batchprop.tabular import train as train_module

        for module, function, phase in (
            (training_table, "read_whole", "read"),
            (training_table, "_make_table", "decide"),
            (training_input, "split_rows", "decide"),
            (training_input, "encode", "encode"),
            (train_module, "fit", "train"),
        ):
            watch.watch(sys.modules[module.__name__], function, phase)
        del jax, train_command, diagnostics, report_builder  # imported before the clock starts
        out = str(Path(folder) / "model")
        words = ["--target", "label", "--hidden", str(HIDDEN), "--batch-size", str(BATCH_SIZE)]
        words += ["--epochs", str(EPOCHS), "--engine", engine, "--out", out, "--force"]
        # What is in no other phase: the scores, the figures and the files.
        with watch.phase("report"):
            result = CliRunner().invoke(app, ["train", path, *words])
        if result.exit_code:
            raise RuntimeError(result.output)
        info = json.loads((Path(out) / "settings.json").read_text("utf-8"))
        return float(info["test"]["accuracy"])

    return train


def train_by_hand(path: str, folder: str, watch: Stopwatch) -> float:
    """Train with pandas and scikit-learn, by someone who knows what the columns hold."""
    import numpy as np
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.metrics import classification_report
    from sklearn.model_selection import train_test_split
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, RobustScaler

    def parts(dates: pd.DataFrame) -> Any:
        when = dates["when"].dt
        return np.column_stack([when.year, when.month, when.day, when.dayofweek])

    with watch.phase("read"):
        is_text = path.endswith(".csv")
        frame = pd.read_csv(path, parse_dates=["when"]) if is_text else pd.read_parquet(path)
        frame["when"] = pd.to_datetime(frame["when"])
    with watch.phase("decide"):
        y = frame.pop("label")
        numbers = [name for name in map(str, frame) if name[0] in "xk"]
        words = ["w0", "w1", "w2"]
        train, test, y_train, y_test = train_test_split(frame, y, test_size=TEST, stratify=y, random_state=0)
    with watch.phase("encode"):
        scaler = make_pipeline(SimpleImputer(strategy="median"), RobustScaler())
        encoder = ColumnTransformer(
            [
                ("numbers", scaler, numbers),
                ("dates", make_pipeline(FunctionTransformer(parts), RobustScaler()), ["when"]),
                ("words", OneHotEncoder(handle_unknown="ignore", sparse_output=False), words),
            ]
        )
        X_train = encoder.fit_transform(train).astype(np.float32)
    net = MLPClassifier(
        (HIDDEN,),
        batch_size=BATCH_SIZE,
        max_iter=EPOCHS,
        early_stopping=True,
        validation_fraction=VALIDATION,
        n_iter_no_change=15,
        random_state=0,
    )
    with watch.phase("train"):
        net.fit(X_train, y_train)
    with watch.phase("report"):
        answers = net.predict(encoder.transform(test).astype(np.float32))
        report = classification_report(y_test, answers, output_dict=True)
        (Path(folder) / "by-hand.pickle").write_bytes(pickle.dumps(net))
    return float(report["accuracy"])


TRAINERS: dict[str, Callable[[str, str, Stopwatch], float]] = {
    "batchprop, NumPy": train_ours("numpy"),
    "batchprop, JAX": train_ours("jax"),
    "by hand": train_by_hand,
}


def measure(who: str, path: str, folder: str) -> dict[str, Any]:
    """Train once in this process."""
    watch = Stopwatch()
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        accuracy = TRAINERS[who](path, folder, watch)
    return {"phases": watch.finish(), "accuracy": accuracy}


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in TRAINERS:
        print(json.dumps(measure(*sys.argv[1:])))
    else:
        main()
