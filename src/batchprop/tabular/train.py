"""From a table to a trained model: `batchprop train` as one function."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import astuple, replace
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from batchprop.data.files import as_paths
from batchprop.data.memory import parse_memory
from batchprop.data.tables import check_source
from batchprop.errors import OneClassWarning, ParameterError, UnseenValueWarning, warn
from batchprop.processes import current
from batchprop.tabular.cross_validation import cross_validate
from batchprop.tabular.fit import check_same_table, fit, layer_sizes
from batchprop.tabular.frames import as_pandas
from batchprop.tabular.history import EpochSummary
from batchprop.tabular.model import Data, FreshRecord, TrainedModel
from batchprop.tabular.observer import Observer
from batchprop.tabular.options import SOURCE_OPTIONS, TrainOptions, make_options
from batchprop.tabular.pooling import pooling_notes
from batchprop.tabular.result import TrainingResult
from batchprop.tabular.resume import check_members, remove_checkpoints, save_resume_info, start_or_resume
from batchprop.tabular.training_input import prepare
from batchprop.tabular.training_table import list_columns


def train_table(
    data: Data | None = None,
    *,
    target: str | None = None,
    checkpoints: str | PathLike[str] | None = None,
    force: bool = False,
    observer: Observer | None = None,
    **options: Any,
) -> TrainedModel:
    """Train networks on a table, as `batchprop train` does.

    Columns are encoded by their type. Some rows are held out for the test. The preset says how many
    networks are trained; each holds out other rows for early stopping, and their answers are averaged. A
    table of files that is larger than the memory budget is read in parts in every epoch, by one network.
    Ctrl-C ends the training early, with the best weights so far.

    After ``batchprop.distributed.initialize`` each process gives the same table and options, trains on its
    own part of the rows, and returns the same model; process 0 keeps the checkpoints.

    Args:
        data: CSV, TSV, JSON lines or Parquet files or workbooks, a folder, a pattern, several of these, or a
            data frame of pandas, polars, pyarrow or another library that narwhals knows; None with ``sql``,
            a query in place of data, and for scikit-learn's digits.
        target: the column to predict.
        checkpoints: a folder for checkpoints of the training; "checkpoint_every" is their interval, 5 minutes
            by default, and ``resume=True`` resumes from them. The folder is removed at the end.
        force: start again if there are checkpoints of a training that did not end.
        observer: called as the training proceeds.
        options: further options by name, those of `batchprop train` with underscores for dashes, as
            ``preset="best"``, ``hidden=(256, 128)``, ``drop=["id"]``; see ``TrainOptions``. ``test``
            takes files or a DataFrame.

    Returns:
        The model.

    Raises:
        ParameterError: an option is unknown or not allowed, or two are incompatible; data is neither a
            table nor the name of one.
        DataError: the table cannot be trained on; the message says where, and what to do.
        DivergedError: the loss stopped being finite.
        CheckpointError: the checkpoints cannot be used.

    Example:
        >>> import pandas as pd
        >>> from sklearn.datasets import load_iris
        >>> flowers = load_iris(as_frame=True).frame
        >>> model = train_table(flowers, target="target", epochs=40, learning_rate=0.01)
        >>> bool(model.evaluation.scores["accuracy"] > 0.8)
        True
        >>> model.predict(flowers[:2])["target"].tolist()
        [0, 0]
    """
    source, options = as_sources(data, target, options)
    folder = as_folder(checkpoints, "checkpoints")
    check_source(source, **{name: options.get(name) for name in SOURCE_OPTIONS})
    has_table = source is not None or options.get("sql") is not None
    if folder is None and (options.get("checkpoint_every") is not None or options.get("resume")):
        name = "resume" if options.get("resume") else "checkpoint_every"
        raise ParameterError(f"{name} needs a folder with checkpoints: give `checkpoints`")
    if has_table and target is None:
        columns = "" if source is None else list_columns(source)
        raise ParameterError(f"`target` is missing: name the column to predict{columns}")
    checked = make_options(digits=not has_table, saves=folder is not None, target=target, **options)
    result = train(source, checked, observer or Observer(), checkpoints=folder, force=force)
    if not result.interrupted and current().index == 0:
        remove_checkpoints(folder, checked)
    if (note := result.one_class_note) is not None:
        warn(note, OneClassWarning)
    for note in result.unseen_notes:
        warn(note, UnseenValueWarning)
    return TrainedModel(result.pipeline, FreshRecord(result))


def train(
    source: tuple[Path, ...] | pd.DataFrame | None,
    options: TrainOptions,
    observer: Observer,
    *,
    checkpoints: Path | None = None,
    force: bool = False,
) -> TrainingResult:
    """Train with checked options, and keep the checkpoints; see ``train_table``."""
    asked = None if options.memory is None else parse_memory(options.memory)
    processes = current()
    first = processes.index == 0
    with processes.guard():
        memory, history = asked, list[EpochSummary]()
        if first:
            memory, history = start_or_resume(checkpoints, options, asked, observer, force=force)
    memory, epochs = processes.broadcast([memory, [[*astuple(epoch)] for epoch in history]])
    history = [EpochSummary(*epoch) for epoch in epochs]
    with ExitStack() as stack:
        with processes.guard():
            if first:
                stack.enter_context(save_resume_info(checkpoints, options, memory))
            prepared = stack.enter_context(prepare(source, options, memory, observer))
        table, split, data, resolved = prepared
        check_same_table(data, resolved)
        with processes.guard():
            if first:
                check_members(checkpoints, resolved)
        n_trainings = 1 + (resolved.folds or 0)
        shared = replace(resolved, time_limit=resolved.time_limit and resolved.time_limit / n_trainings)
        scores = None if resolved.folds is None else cross_validate(table, shared, observer)
        for note in pooling_notes(data.columns, table.columns):
            observer.on_note(note)
        observer.on_network(layer_sizes(table, data.features, resolved.hidden), resolved)
        with observer.watch_training(resolved.epochs, resolved.n_members):
            pipeline = fit(table, data, shared, history, observer, checkpoints=checkpoints)
        if not history:
            # Ctrl-C came before the end of the first epoch: there is nothing to keep.
            raise KeyboardInterrupt
        has_files = not isinstance(source, pd.DataFrame) and options.sql is None
        files = source or () if has_files else None
    return TrainingResult(table, split, resolved, files, pipeline, history, scores)


def as_sources(
    data: Data | None, target: object, options: dict[str, Any]
) -> tuple[tuple[Path, ...] | pd.DataFrame | None, dict[str, Any]]:
    """Return a table, and options with test rows: files as paths, and any data frame as one of pandas."""
    exact = [name for name in (target, options.get("group")) if isinstance(name, str)]
    test = {"test": _as_source(options["test"], exact, "test")} if "test" in options else {}
    return _as_source(data, exact, "data"), options | test


def _as_source(
    data: Data | None, exact: Sequence[str], parameter: str
) -> tuple[Path, ...] | pd.DataFrame | None:
    data = as_pandas(data, exact)
    if data is None or isinstance(data, pd.DataFrame):
        return data
    return as_paths(data, parameter, or_frame=True)


def as_folder(folder: str | PathLike[str] | None, parameter: str) -> Path | None:
    """Return the path of a folder, or None.

    Raises:
        ParameterError: it is no path.
    """
    if folder is not None and not isinstance(folder, str | PathLike):
        raise ParameterError(f"{parameter}={folder!r} is not a folder: give its path")
    return None if folder is None else Path(folder)
