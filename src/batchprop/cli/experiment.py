"""`batchprop train`, from the table to the folder."""

import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.datasets import load_digits

import batchprop
from batchprop.cli import report
from batchprop.cli.curve import draw_curve
from batchprop.cli.fitting import (
    Data,
    Encoded,
    Fitted,
    Parts,
    encode,
    fit,
    for_any_machine,
    score,
    set_aside,
    simplest_guess,
)
from batchprop.cli.progress import progress, write_history
from batchprop.cli.settings import Settings
from batchprop.errors import DataError
from batchprop.tables.columns import LARGEST, Target, describe, find, read_target
from batchprop.tables.reading import read
from batchprop.tables.scoring import Scores
from batchprop.tables.splitting import check_enough
from batchprop.tables.storing import MODEL, new_folder, save_model, write_json

_TWO = 2
_VERSIONS = ("numpy", "scipy", "scikit-learn", "pandas", "pyarrow", "skops")


def run(settings: Settings) -> int:
    """Train as the settings say, print the report, write the folder.

    Returns:
        The exit code: 0, or 130 if Ctrl-C ended the training early.

    Raises:
        BatchpropError: whatever stops it; nothing is written then.
    """
    console = report.console()
    with new_folder(settings.out, force=settings.force) as folder:
        data = load(settings)
        parts = set_aside(data.target, settings)
        report.show_data(console, data, parts)
        encoded = encode(data, parts)
        report.show_network(console, _sizes(data, encoded, settings), settings)
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


def _sizes(data: Data, encoded: Encoded, settings: Settings) -> list[int]:
    """The network's widths; two classes, like a number, take one output."""
    classes = len(np.unique(data.target.values)) if data.target.task == "classes" else 1
    return [encoded.X.shape[1], *settings.hidden, classes if classes > _TWO else 1]


def load(settings: Settings) -> Data:
    """Read the table, take the target and the weights out of it, and tell what its columns are.

    Raises:
        DataError: the file, the target or the weights cannot be used.
    """
    name, frame = _table(settings)
    target_name = settings.target or "digit"
    column = find(frame, target_name, "target column")
    weights = None if settings.weights is None else _weights(frame, settings.weights)
    known = column.notna().to_numpy()
    target = read_target(column[known], settings.task)
    settings.check_task(target.task)
    _check_counts(target, settings)
    check_enough(target)
    features = frame[known].drop(columns=[target_name, *filter(None, [settings.weights])])
    return Data(
        name,
        features,
        describe(features),
        target,
        None if weights is None else weights[known],
        without_target=int((~known).sum()),
    )


def _check_counts(target: Target, settings: Settings) -> None:
    if settings.loss == "poisson" and len(target.values) and target.values.min() < 0:
        raise DataError(
            f"the target {target.name!r} holds {target.values.min():g}, and --loss poisson is for counts, "
            "0 or more: correct it, or choose another --loss"
        )


def _weights(frame: pd.DataFrame, name: str) -> npt.NDArray[np.float64]:
    weights = pd.to_numeric(find(frame, name, "weights column"), errors="coerce").to_numpy(float)
    wrong = ~((weights >= 0) & (weights <= LARGEST))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"the weights column {name!r} holds {frame[name].iloc[row]} in row {row + 1}: "
            f"a weight is a number, 0 or more, up to {LARGEST:g}"
        )
    return weights


def _table(settings: Settings) -> tuple[str, pd.DataFrame]:
    if settings.data is not None:
        return settings.data.name, read(settings.data)
    digits = load_digits(as_frame=True)
    return "digits (from scikit-learn)", digits.frame.rename(columns={"target": "digit"})


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
