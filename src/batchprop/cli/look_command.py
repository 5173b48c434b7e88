"""`batchprop look`, from the model and the table to the page."""

import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import batchprop
from batchprop.cli import console as report
from batchprop.cli.model import options, sizes, translate_errors
from batchprop.cli.model_info import training_table
from batchprop.cli.progress import History, history_callback, progress
from batchprop.cli.settings import TrainOptions
from batchprop.cli.signals import exit_code
from batchprop.cli.training_table import TrainingTable, load
from batchprop.errors import ParameterError
from batchprop.tabular.persistence import atomic_file, load_model, write_errors
from batchprop.tabular.predictions import ENDINGS, text_columns
from batchprop.tabular.target import Task
from batchprop.tabular.transformers import make_preprocessor

Size = tuple[int, int]

_DIGITS, _INK = (8, 8), 16.0


@dataclass(frozen=True)
class MicroscopeInput:
    """What is put under the microscope.

    Attributes:
        network: a fitted MLPClassifier or MLPRegressor.
        X: its inputs (n, k), a frame whose columns and index name features and rows.
        y: their targets, as the network learned them (n,), by their name.
        about: what the examples are.
        images: what the rows look like (n, height, width), where they are images.
    """

    network: Any
    X: pd.DataFrame
    y: pd.Series
    about: str
    images: Any


def resolve_arguments(model: Path | None, data: Path | None) -> tuple[Path | None, Path | None]:
    """Take a single argument for the table that its ending says it is.

    Raises:
        ParameterError: two tables are given.
    """
    if model is None or model.suffix.lower() not in ENDINGS or model.is_dir():
        return model, data
    if data is not None:
        raise ParameterError(f"{model} is no model but a table, like {data}: give MODEL DATA, or DATA alone")
    return None, model


def look_command(
    settings: TrainOptions, model: Path | None, *, rows: int, image: Size | None, opened: bool
) -> int:
    """Write the page, and open it.

    Args:
        settings: the options; `out` is a file.
        model: the folder of a model, or None to train a network.
        rows: examples in the batch.
        image: height and width of an example, or None.
        opened: whether to open it.

    Returns:
        The exit code: 0, or 130 if Ctrl-C ended the training early, 143 if SIGTERM did.

    Raises:
        BatchpropError: whatever stops it; nothing is written then.
    """
    console = report.console()
    with atomic_file(settings.out, force=settings.force, tables=settings.tables) as part:
        shown = _train(console, settings, image) if model is None else _load(model, settings.data, image)
        page = batchprop.microscope.look(
            shown.network,
            shown.X,
            shown.y,
            rows=rows,
            images=shown.images,
            about=shown.about,
            random_state=settings.seed,
        )
        with write_errors(settings.out):
            page.save(part)
    console.print(f"Microscope: {settings.out} ({settings.out.stat().st_size / 1e6:.1f} MB)", soft_wrap=True)
    if opened and not webbrowser.open(settings.out.resolve().as_uri()):
        console.print("There is no browser to open it with: open that file in one.", soft_wrap=True)
    return exit_code() if model is None and shown.network.interrupted_ else 0


def _train(console: Console, settings: TrainOptions, image: Size | None) -> MicroscopeInput:
    """Train a small network by plain descent, the update of the text, and keep its checkpoints."""
    data = load(settings.data, settings.target, settings.task)
    images = _images(data, image)
    X = _pixels(data) if data.path is None else _features(data)
    report.show_data(console, data, f"{len(data.frame):,} to learn from")
    report.show_network(console, sizes(data, X.shape[1], settings.hidden), settings)
    history: History = []
    classes = data.target.task == "classes"
    y = data.target.values if classes else _standardised(data.target.values)
    with progress(console, settings.epochs) as show, translate_errors(settings, clips=False):
        how = options(settings, len(X), history_callback(history, show))
        how |= {"momentum": 0.0, "tol": 0.0, "engine": "numpy"}
        network = (batchprop.MLPClassifier if classes else batchprop.MLPRegressor)(**how)
        network.fit(X.to_numpy(), y, record_examples=True)
    if not history:
        # Ctrl-C came before the first epoch ended: there is nothing to show.
        raise KeyboardInterrupt
    return MicroscopeInput(network, X, _series(data, y), _about(data, scaled=not classes), images)


def _pixels(data: TrainingTable) -> pd.DataFrame:
    """The digits as they are, from 0 to 1: every one of 64 pixels is an input."""
    return pd.DataFrame(data.frame.to_numpy() / _INK, index=_row_labels(data), columns=data.frame.columns)


def _features(data: TrainingTable) -> pd.DataFrame:
    columns = make_preprocessor(data.columns, len(data.frame), data.target.name)
    return _named(columns.fit(data.frame), data)


def _series(data: TrainingTable, y: Any) -> pd.Series:
    return pd.Series(y, name=data.target.name)


def _standardised(y: Any) -> Any:
    return StandardScaler().fit_transform(y[:, None])[:, 0]


def _named(columns: Pipeline, data: TrainingTable) -> pd.DataFrame:
    """The features as a frame with their names."""
    names = [str(name).partition("__")[2] for name in columns.get_feature_names_out()]
    return pd.DataFrame(columns.transform(data.frame), index=_row_labels(data), columns=names)


def _row_labels(data: TrainingTable) -> pd.Index:
    name, places = data.row_numbers
    index: pd.Index = pd.Index(places, name=name)
    return index


def _about(data: TrainingTable, *, scaled: bool) -> str:
    return f"{data.name}: {data.target.name}" + (", standardised," if scaled else "")


def _images(data: TrainingTable, size: Size | None) -> Any:
    """The rows as pictures (n, height, width); None where they are none.

    Raises:
        ParameterError: their columns are not as many numbers as a picture has pixels.
    """
    size = size or (_DIGITS if data.path is None else None)
    if size is None:
        return None
    numbers = data.frame.select_dtypes("number")
    if numbers.shape[1] != size[0] * size[1]:
        raise ParameterError(
            f"--image {size[0]}x{size[1]} has {size[0] * size[1]} pixels, and the table {numbers.shape[1]} "
            "columns of numbers beside its target: name the right size, or leave it out"
        )
    return numbers.to_numpy().reshape(-1, *size)


def _load(model: Path, path: Path | None, image: Size | None) -> MicroscopeInput:
    """The model, and rows of a table whose target it predicts."""
    pipeline = load_model(model)
    path = path or training_table(model)
    last = pipeline[-1]
    task: Task = "classes" if hasattr(pipeline, "classes_") else "numbers"
    target = pipeline["columns"].target if path else None
    data = load(path, target, task, to_train=False, text=text_columns(pipeline))
    y: Any = data.target.values
    scaled = hasattr(last, "transformer_")
    if scaled:
        y = last.transformer_.transform(y[:, None])[:, 0]
    network = getattr(last, "regressor_", last)
    X = _named(pipeline[:-1], data)
    return MicroscopeInput(network, X, _series(data, y), _about(data, scaled=scaled), _images(data, image))
