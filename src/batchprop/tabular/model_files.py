"""The files of a model's folder, and how each is written."""

from collections.abc import Callable
from pathlib import Path

from batchprop.data.rejects import write_rejects
from batchprop.files import create_text
from batchprop.report.page import render
from batchprop.tabular.diagnostics import diagnose
from batchprop.tabular.fit import reset_engine
from batchprop.tabular.history import HISTORY, write_history
from batchprop.tabular.learning_curve import save_learning_curve
from batchprop.tabular.model_info import SETTINGS
from batchprop.tabular.persistence import MODEL, save_pipeline, write_errors, write_json
from batchprop.tabular.predictions import prediction_writer
from batchprop.tabular.report_builder import build_report
from batchprop.tabular.result import TrainingResult
from batchprop.tabular.summary import FILES, SKIPPED

CURVE, REPORT = "learning-curve.png", "report.html"
PREDICTIONS = "test-predictions.csv"

SAVED_FILES = (*FILES, SKIPPED)
"""Every file that a model's folder may hold, in their listed order."""


def write_model(result: TrainingResult, folder: Path, out: Path) -> None:
    """Write all files but the report.

    Args:
        result: of the training.
        folder: to write into.
        out: its final name, for errors.

    Raises:
        WriteError: the operating system reports an error.
    """
    info, best = result.info(), [epoch.epoch for epoch in result.best_epochs]
    writers: dict[str, Callable[[Path], None]] = {
        MODEL: lambda path: save_pipeline(reset_engine(result.pipeline), path, out / MODEL),
        HISTORY: lambda path: write_history(result.history, path),
        SETTINGS: lambda path: write_json(info, path),
        PREDICTIONS: lambda path: _write_predictions(result, path),
        CURVE: lambda path: save_learning_curve(result.history, best, result.title, path),
    }
    if result.table.skipped:
        writers[SKIPPED] = lambda path: write_rejects(result.table.skipped, path)
    # Each file has its own error: the message names the file that failed.
    for name, write in writers.items():
        with write_errors(out / name):
            write(folder / name)


def _write_predictions(result: TrainingResult, path: Path) -> None:
    table = result.test_predictions()
    with prediction_writer(path) as write:
        write(table)


def make_report(result: TrainingResult, folder: Path | None) -> str:
    """Return the report as HTML; it lists the files of the folder, if there is one."""
    return render(build_report(result, diagnose(result), folder))


def write_report(result: TrainingResult, folder: Path, out: Path) -> None:
    """Write the report.

    Args:
        result: of the training.
        folder: to write into.
        out: its final name.

    Raises:
        WriteError: the operating system reports an error.
    """
    page = make_report(result, out)
    with write_errors(out / REPORT), create_text(folder / REPORT) as file:
        file.write(page)
