"""`batchprop look`, from the model and the table to the page."""

import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from rich.console import Console
from sklearn.pipeline import Pipeline

from batchprop.cli.console import make_console, say, show_data, show_network
from batchprop.cli.progress import progress
from batchprop.cli.signals import exit_code
from batchprop.errors import ParameterError
from batchprop.format import format_number
from batchprop.microscope import SourceTable, look
from batchprop.microscope.page import is_page
from batchprop.tabular.fit import (
    layer_sizes,
    make_network,
    members_of,
    network_of,
    network_parameters,
    translate_errors,
)
from batchprop.tabular.history import History, HistoryCallback
from batchprop.tabular.importance import source_columns
from batchprop.tabular.model_info import training_table
from batchprop.tabular.options import TrainOptions
from batchprop.tabular.persistence import atomic_file, load_pipeline, write_errors
from batchprop.tabular.predictions import OUTPUT_DELIMITERS, text_columns
from batchprop.tabular.target import Task
from batchprop.tabular.training_table import TrainingTable, load
from batchprop.tabular.transformers import TargetScaler, make_preprocessor

Size = tuple[int, int]

_DIGITS, _INK = (8, 8), 16.0


@dataclass(frozen=True)
class MicroscopeInput:
    """The network, the batch and the names that the microscope shows.

    Attributes:
        network: a fitted MLPClassifier or MLPRegressor.
        X: its inputs (n, k), a frame whose columns and index name features and rows.
        y: their targets (n,), as in the training, with their name.
        about: a description of the examples.
        images: the rows as images (n, height, width), or None.
        source: the table that X was encoded from; None for the digits.
    """

    network: Any
    X: pd.DataFrame
    y: pd.Series
    about: str
    images: Any
    source: SourceTable | None


def resolve_arguments(model: Path | None, data: Path | None) -> tuple[Path | None, Path | None]:
    """Return the model and the table: a single argument with a table's suffix is the table.

    Raises:
        ParameterError: two tables are given.
    """
    if model is None or model.suffix.lower() not in OUTPUT_DELIMITERS or model.is_dir():
        return model, data
    if data is not None:
        raise ParameterError(f"{model} is no model but a table, like {data}: give MODEL DATA, or DATA alone")
    return None, model


class LookSource(NamedTuple):
    """The rows that the microscope shows.

    Attributes:
        model: the folder of a model, or None to train a network.
        table: its rows; None for the digits, or the table of the model's training.
        rows: examples in the batch.
        image: height and width of an example, or None.
    """

    model: Path | None
    table: Path | None
    rows: int
    image: Size | None


def look_command(
    options: TrainOptions, source: LookSource, out: Path, *, open_page: bool, force: bool
) -> int:
    """Write the page, and open it.

    Args:
        options: of a network trained on the spot.
        source: the model and the table.
        out: the file to write.
        open_page: whether to open it.
        force: replace any file, not only such a page.

    Returns:
        The exit code: 0, or 128 and the signal's number if one ended the training early: 130 for Ctrl-C.

    Raises:
        BatchpropError: for any failure; nothing is written then.
    """
    console, model = make_console(), source.model
    tables = () if source.table is None else (source.table,)
    # A page of an earlier look can be made again; no other file is replaced unasked.
    force = force or is_page(out)
    with atomic_file(out, force=force, parameter="out", tables=tables) as part:
        shown = _train(console, options, source) if model is None else _load(model, source, options)
        page = look(
            shown.network,
            shown.X,
            shown.y,
            rows=source.rows,
            images=shown.images,
            source=shown.source,
            about=shown.about,
            random_state=options.seed,
        )
        with write_errors(out):
            page.save(part)
    say(console, f"Microscope: {out} ({format_number(out.stat().st_size / 1e6, 2)} MB)")
    if open_page and not webbrowser.open(out.resolve().as_uri()):
        say(console, "There is no browser to open it with: open that file in one.")
    return exit_code() if model is None and shown.network.interrupted_ else 0


def _train(console: Console, options: TrainOptions, source: LookSource) -> MicroscopeInput:
    """Train a small network by plain gradient descent, the update of the text, and keep its snapshots."""
    table = load(source.table, options)
    images = _images(table, source.image)
    task = table.target.task
    classes = table.classes if task == "classification" else None
    scaler = None if classes is not None else TargetScaler().fit(table.target.values[:, None])
    y = table.target.values if scaler is None else scaler.transform(table.target.values)
    if table.path is None:
        X, origin = _pixels(table), None
    else:
        columns = make_preprocessor(
            table.columns, len(table.frame), table.target.name, options.missing, options.decimal
        )
        X, origin = _encode(columns.fit(table.frame), table, scaler)
    show_data(console, table, f"{len(table.frame):,} to learn from")
    show_network(console, layer_sizes(table, X.shape[1], options.hidden), options)
    history: History = []
    with progress(console, options.epochs) as show, translate_errors(options, clips=False):
        parameters = network_parameters(options, task, len(X), HistoryCallback(history, show))
        # Without momentum each update is W − α dW, as the page shows it. Such a fit is too small for JAX.
        network = make_network(task, **{**parameters, "momentum": 0.0, "tol": 0.0, "engine": "numpy"})
        fitted = y if classes is None else np.searchsorted(classes, y)
        network.fit(X.to_numpy(), fitted, record_examples=True)
    if not history:
        # Ctrl-C came before the end of the first epoch: there is nothing to show.
        raise KeyboardInterrupt
    if classes is not None:
        network.relabel(classes)
    return MicroscopeInput(network, X, _series(table, y), _about(table), images, origin)


def _pixels(data: TrainingTable) -> pd.DataFrame:
    """Return the pixels of the digits, from 0 to 1."""
    return pd.DataFrame(data.frame.to_numpy() / _INK, index=_row_labels(data), columns=data.frame.columns)


def _series(data: TrainingTable, y: Any) -> pd.Series:
    return pd.Series(y, name=data.target.name)


def _encode(
    columns: Pipeline, data: TrainingTable, scaler: TargetScaler | None
) -> tuple[pd.DataFrame, SourceTable]:
    """Return the features as a frame with their names, and the table that they come from."""
    names = [str(name).partition("__")[2] for name in columns.get_feature_names_out()]
    known = list(columns["columns"].kinds)
    sources = [known[owner] for owner in source_columns(columns)]
    X = pd.DataFrame(columns.transform(data.frame), index=_row_labels(data), columns=names)
    return X, SourceTable(data.frame, sources, scaler)


def _row_labels(data: TrainingTable) -> pd.Index:
    name, places = data.row_numbers
    index: pd.Index = pd.Index(places, name=name)
    return index


def _about(data: TrainingTable) -> str:
    return f"{data.name}: {data.target.name}"


def _images(data: TrainingTable, size: Size | None) -> Any:
    """Return the rows as images (n, height, width), or None.

    Raises:
        ParameterError: the number of numeric columns is not the number of pixels of an image.
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


def _load(model: Path, source: LookSource, options: TrainOptions) -> MicroscopeInput:
    """Load the model, and read a table with its columns."""
    pipeline = load_pipeline(model)
    path, read_as = (source.table, options) if source.table else training_table(model)
    last = pipeline[-1]
    task: Task = "classification" if hasattr(pipeline, "classes_") else "regression"
    columns = pipeline["columns"]
    options = TrainOptions(
        target=columns.target if path else None,
        task=task,
        missing=columns.missing,
        decimal=columns.decimal,
        sheet=read_as.sheet,
        separator=read_as.separator,
        on_bad_row=read_as.on_bad_row,
    )
    table = load(path, options, text=text_columns(pipeline), to_train=False, classify=False)
    y: Any = table.target.values
    if task == "classification":
        # A file of few rows does not show whether 12 is a number or one of several codes.
        labels = {str(label): label for label in pipeline.classes_}
        y = np.array([labels.get(str(label), label) for label in y])
    scaler = getattr(last, "transformer_", None)
    if scaler is not None:
        y = scaler.transform(y[:, None])[:, 0]
    (X, origin), images = _encode(pipeline[:-1], table, scaler), _images(table, source.image)
    members = members_of(network_of(pipeline))
    about = _about(table)
    if len(members) > 1:
        # One network has one batch, one loss and one gradient; an average of several has none.
        about += f" (the first of {len(members)} networks)"
    return MicroscopeInput(members[0], X, _series(table, y), about, images, origin)
