"""`batchprop train`, from the table to the folder."""

import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import batchprop
from batchprop.cli import report
from batchprop.cli.curve import draw_curve
from batchprop.cli.data import Data, load
from batchprop.cli.fitting import (
    Fitted,
    Parts,
    encode,
    fit,
    for_any_machine,
    score,
    set_aside,
    simplest_guess,
    sizes,
)
from batchprop.cli.progress import progress, write_history
from batchprop.cli.settings import Settings
from batchprop.tables.scoring import Scores
from batchprop.tables.splitting import check_each_class_twice
from batchprop.tables.storing import MODEL, new_folder, save_model, write_json

_VERSIONS = ("numpy", "scipy", "scikit-learn", "pandas", "pyarrow", "skops")


def run(settings: Settings) -> int:
    """Train as the settings say, print the report, write the folder.

    Returns:
        The exit code: 0, or 130 if Ctrl-C ended the training early.

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
        scores, baseline = score(data, parts, settings, fitted.model)
        report.show_scores(console, scores, baseline, simplest_guess(data.target.task, settings))
        facts = _facts(data, parts, settings, fitted, scores, baseline)
        _write(folder, fitted, f"{data.name}: predicting {data.target.name}", facts)
    report.show_saved(console, settings, interrupted=fitted.interrupted)
    return 130 if fitted.interrupted else 0


def _facts(
    data: Data, parts: Parts, settings: Settings, fitted: Fitted, scores: Scores, baseline: Scores
) -> dict[str, Any]:
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
        "test": scores,
        "baseline": baseline,
    }


def _write(folder: Path, fitted: Fitted, title: str, facts: dict[str, Any]) -> None:
    save_model(for_any_machine(fitted.model), folder / MODEL)
    write_history(fitted.history, folder / "history.csv")
    write_json(facts, folder / "settings.json")
    draw_curve(fitted.history, fitted.best.epoch, title, folder / "learning-curve.png")
