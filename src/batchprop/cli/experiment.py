"""`batchprop train`, from the table to the folder."""

import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

import batchprop
from batchprop.cli import report
from batchprop.cli.composing import compose
from batchprop.cli.curve import draw_curve
from batchprop.cli.data import Data, load
from batchprop.cli.findings import Training, find, takes_long
from batchprop.cli.fitting import (
    Fitted,
    Judged,
    Parts,
    encode,
    fit,
    for_any_machine,
    judge,
    set_aside,
    simplest_guess,
    sizes,
)
from batchprop.cli.progress import progress, write_history
from batchprop.cli.settings import Settings
from batchprop.cli.signals import exit_code
from batchprop.cli.summary import FILES
from batchprop.tables.splitting import check_each_class_twice
from batchprop.tables.storing import MODEL, new_folder, save_model, write_json
from batchprop.view.report import render

REPORT = "report.html"

_VERSIONS = ("numpy", "scipy", "scikit-learn", "pandas", "pyarrow", "skops")


def run(settings: Settings) -> int:
    """Train as the settings say, print the report, write the folder.

    Returns:
        The exit code: 0, or 130 if Ctrl-C ended the training early, 143 if SIGTERM did.

    Raises:
        BatchpropError: whatever stops it; nothing is written then.
    """
    console = report.console()
    with new_folder(settings.out, force=settings.force, table=settings.data) as folder:
        data = load(settings.data, settings.target, settings.task, settings.weights)
        settings.check_target(data.target)
        check_each_class_twice(data.target)
        parts = set_aside(data.target, settings)
        report.show_data(console, data, parts.told)
        encoded = encode(data, parts)
        report.show_network(console, sizes(data, encoded.X.shape[1], settings.hidden), settings)
        with progress(console, settings.epochs) as show:
            fitted = fit(data, parts, encoded, settings, show)
        if not fitted.history:
            # Ctrl-C came before the first epoch ended: there is nothing to keep.
            raise KeyboardInterrupt
        report.show_end(console, fitted, settings)
        judged = judge(data, parts, settings, fitted.model)
        report.show_scores(
            console, judged.scores, judged.baseline, simplest_guess(data.target.task, settings)
        )
        facts = _facts(data, parts, settings, fitted, judged)
        _write(folder, fitted, f"{data.name}: predicting {data.target.name}", facts)
        training = Training(data, parts, settings, fitted, judged, facts)
        reported = _report(console, training, folder / REPORT)
    missing = [] if reported else [REPORT]
    report.show_saved(
        console, settings, [name for name in FILES if name not in missing], interrupted=fitted.interrupted
    )
    return exit_code() if fitted.interrupted or not reported else 0


def _report(console: Console, training: Training, path: Path) -> bool:
    """Write the report; Ctrl-C leaves it out, and not the model, which may have taken hours."""
    try:
        with report.working(console, "Writing the report", long=takes_long(training)):
            path.write_text(render(compose(training, find(training))), encoding="utf-8")
    except KeyboardInterrupt:
        path.unlink(missing_ok=True)
        console.print("Interrupted: the report is left out.", soft_wrap=True)
        return False
    return True


def _facts(data: Data, parts: Parts, settings: Settings, fitted: Fitted, judged: Judged) -> dict[str, Any]:
    """All that settings.json tells."""
    libraries = (*_VERSIONS, "jax") if fitted.engine == "jax" else _VERSIONS
    return {
        "versions": {"batchprop": batchprop.__version__, "python": platform.python_version()}
        | {name: version(name) for name in libraries},
        "settings": settings.plain(),
        "data": {
            "name": data.name,
            "rows": {name: len(rows) for name, rows in parts._asdict().items()},
            "rows without a target": data.without_target,
            "columns": [asdict(column) for column in data.columns],
        },
        "target": {"name": data.target.name, "task": data.target.task, "rule": data.target.rule}
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


def _write(folder: Path, fitted: Fitted, title: str, facts: dict[str, Any]) -> None:
    save_model(for_any_machine(fitted.model), folder / MODEL)
    write_history(fitted.history, folder / "history.csv")
    write_json(facts, folder / "settings.json")
    draw_curve(fitted.history, fitted.best.epoch, title, folder / "learning-curve.png")
