"""Tables to train on, and functions that run the commands."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_iris
from typer.testing import CliRunner

from batchprop.cli import console
from batchprop.cli.app import app
from batchprop.tabular import model_files
from tests.presets import AS_DEFAULT

QUICK = ("--hidden", "8", "--epochs", "3", "--batch-size", "16")
FILES = [
    "history.csv",
    "learning-curve.png",
    "model.skops",
    "report.html",
    "settings.json",
    "test-predictions.csv",
]
START = f"{AS_DEFAULT}; from batchprop.cli import main; main()"
WITHOUT_JAX = f"import sys; sys.modules['jax'] = None; {START}"
SOURCES = Path(__file__).parents[2] / "src"


def run(*words, code=0):
    """Run a command line in this process; a failure is one line on standard error."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert code is None or result.exit_code == code, result.output
    if code:
        assert result.stderr.startswith("batchprop: ")
        assert len(result.stderr.splitlines()) == 1, result.stderr
        assert "Traceback" not in result.output
    return result


def skip_figures(monkeypatch):
    """Write empty figures and reports."""
    for name in ("diagnose", "build_report"):
        monkeypatch.setattr(model_files, name, lambda *_: None)
    monkeypatch.setattr(model_files, "render", lambda _: "")
    # The report computes what it needs.
    monkeypatch.setattr(console, "is_clearly_better", lambda _: True)
    monkeypatch.setattr(model_files, "save_learning_curve", lambda *args: args[-1].write_bytes(b""))


def command(*words, start=START):
    """The argument list of a command in a separate process."""
    return [sys.executable, "-c", start, *map(str, words)]


def environment():
    """The environment of such a process: the sources under test, without forced colours."""
    kept = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "COLUMNS")}
    ours = {"PYTHONPATH": str(SOURCES), "PYTHONUNBUFFERED": "1", "TERM": "xterm"}
    # Leave the user's cache unchanged.
    return {**kept, **ours, "BATCHPROP_CACHE": "off"}


def process(*words, cwd, start=START):
    """Run a command line in a separate process."""
    return subprocess.run(
        command(*words, start=start),
        cwd=cwd, env=environment(), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def flowers(path):
    """Write iris to a file."""
    iris = load_iris(as_frame=True)
    frame = iris.frame.rename(columns=lambda name: name.removesuffix(" (cm)").replace(" ", "_"))
    frame["species"] = iris.target_names[frame.pop("target")]
    write(frame, path)
    return path


def houses(path, n=150, seed=0):
    """Write prices by size, town, age and day of sale, with missing values."""
    rng = np.random.default_rng(seed)
    size = rng.normal(100, 30, n)
    town = rng.choice(["Ulm", "Bonn", "Jena"], n)
    frame = pd.DataFrame(
        {
            "id": np.arange(n) + 7,
            "size": np.where(rng.random(n) < 0.1, np.nan, size),
            "town": town,
            "sold": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), unit="D"),
            "garden": rng.random(n) < 0.5,
            "country": "DE",
            "price": 1000 * size + 5000 * (town == "Bonn") + rng.normal(0, 100, n) + 0.5,
        }
    )
    write(frame, path)
    return path


def write(frame, path):
    """Write a table in the format of the file suffix."""
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


def names(folder):
    """The names in a folder, including hidden files."""
    return sorted(path.name for path in folder.iterdir())
