"""`batchprop train`, from the table to the folder."""

import platform
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

import batchprop
from batchprop.cli import console as report
from batchprop.cli.curve import save_learning_curve
from batchprop.cli.diagnostics import TrainingResult, diagnose, is_slow
from batchprop.cli.model import (
    Evaluation,
    Split,
    TrainedModel,
    baseline_name,
    evaluate,
    fit,
    reset_engine,
    sizes,
)
from batchprop.cli.prepare import prepare
from batchprop.cli.progress import progress, write_history
from batchprop.cli.report_builder import build_report
from batchprop.cli.resume import (
    checkpoint_hint,
    clean_partial,
    is_finished,
    remove_checkpoints,
    resolve_resume,
    save_resume_info,
)
from batchprop.cli.settings import TrainOptions
from batchprop.cli.signals import exit_code
from batchprop.cli.summary import FILES, SKIPPED
from batchprop.cli.training_table import TrainingTable
from batchprop.data.rejects import write_rejects
from batchprop.files import file_lock
from batchprop.report.page import render
from batchprop.tabular.persistence import MODEL, SETTINGS, atomic_folder, save_model, write_errors, write_json

REPORT = "report.html"

_VERSIONS = ("numpy", "scipy", "scikit-learn", "pandas", "pyarrow", "skops")


def train_command(settings: TrainOptions) -> int:
    """Train as the settings say, print the report, write the folder.

    Returns:
        The exit code: 0, or 130 if Ctrl-C ended the training early, 143 if SIGTERM did.

    Raises:
        BatchpropError: whatever stops it; nothing is written then, but for the checkpoints so far.
    """
    console = report.console()
    with file_lock(settings.out) as killed:
        if killed is not None:
            clean_partial(settings.out)
        if is_finished(settings):
            console.print(f"The training in {settings.out} has ended: nothing is left to do.", soft_wrap=True)
            return 0
        settings, history = resolve_resume(console, settings)
        with (
            save_resume_info(settings),
            checkpoint_hint(settings),
            atomic_folder(settings.out, force=settings.force, tables=settings.tables) as folder,
            prepare(console, settings) as (data, parts, given, pace),
        ):
            report.show_network(console, sizes(data, given.features, settings.hidden), settings)
            with progress(console, settings.epochs) as show:
                pace.show = show
                fitted = fit(data, given, settings, history, show)
            if not fitted.history:
                # Ctrl-C came before the first epoch ended: there is nothing to keep.
                raise KeyboardInterrupt
            report.show_end(console, fitted, settings)
            files = _write(console, folder, data, parts, settings, fitted)
        if not fitted.interrupted:
            remove_checkpoints(settings)
    report.show_saved(console, settings, files, interrupted=fitted.interrupted)
    return exit_code() if fitted.interrupted or REPORT not in files else 0


def _write(
    console: Console,
    folder: Path,
    data: TrainingTable,
    parts: Split,
    settings: TrainOptions,
    fitted: TrainedModel,
) -> list[str]:
    """Judge the model, and write all files; return the names of those that were written."""
    judged = evaluate(data, parts, settings, fitted.model)
    guess = baseline_name(data.target.task, settings)
    report.show_scores(console, judged.scores, judged.baseline, guess)
    facts = _facts(data, parts, settings, fitted, judged)
    title = f"{data.name}: predicting {data.target.name}"
    training = TrainingResult(data, parts, settings, fitted, judged, facts)
    put: dict[str, Callable[[Path], None]] = {
        MODEL: lambda path: save_model(reset_engine(fitted.model), path),
        "history.csv": lambda path: write_history(fitted.history, path),
        SETTINGS: lambda path: write_json(facts, path),
        "learning-curve.png": lambda path: save_learning_curve(
            fitted.history, fitted.best.epoch, title, path
        ),
    }
    if data.skipped:
        put[SKIPPED] = lambda path: write_rejects(data.skipped, path)
    for name, write in put.items():
        with write_errors(settings.out / name):
            write(folder / name)
    _report(console, training, folder)
    return [name for name in (*FILES, SKIPPED) if (folder / name).exists()]


def _report(console: Console, training: TrainingResult, folder: Path) -> None:
    """Write the report; Ctrl-C leaves it out, and not the model, which may have taken hours."""
    try:
        with report.status(console, "Writing the report", long=is_slow(training)):
            page = render(build_report(training, diagnose(training)))
            with write_errors(training.settings.out / REPORT):
                (folder / REPORT).write_text(page, encoding="utf-8")
    except KeyboardInterrupt:
        (folder / REPORT).unlink(missing_ok=True)
        console.print("Interrupted: the report is left out.", soft_wrap=True)


def _facts(
    data: TrainingTable, parts: Split, settings: TrainOptions, fitted: TrainedModel, judged: Evaluation
) -> dict[str, Any]:
    """All that settings.json tells."""
    libraries = (*_VERSIONS, "jax") if fitted.engine == "jax" else _VERSIONS
    return {
        "versions": {"batchprop": batchprop.__version__, "python": platform.python_version()}
        | {name: version(name) for name in libraries},
        "settings": settings.to_dict(),
        "data": {
            "name": data.name,
            "rows": {name: len(rows) for name, rows in parts._asdict().items()},
            "rows left out": data.left_out,
            "columns": [asdict(column) for column in data.columns],
        },
        "target": {"name": data.target.name, "task": data.target.task, "rule": data.target.reason}
        | ({"classes": fitted.model.classes_.tolist()} if data.target.task == "classes" else {}),
        "network": {
            "sizes": [len(W) for W in fitted.network.coefs_] + [len(fitted.network.intercepts_[-1])],
            "output": fitted.network.out_activation_,
        },
        "training": {
            "epochs": len(fitted.history),
            "best epoch": fitted.best.epoch,
            "interrupted": fitted.interrupted,
            "seconds": sum(moment.seconds for moment in fitted.history),
            "engine": fitted.engine,
            "device": fitted.device,
        },
        "test": judged.scores,
        "baseline": judged.baseline,
    }
