"""A trained model: what `train_table` returns, and `load_model` reads back from a folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import pandas as pd

from batchprop.data.files import as_paths
from batchprop.data.frames import read_frame
from batchprop.data.memory import default_memory, parse_memory
from batchprop.data.names import normalize_columns
from batchprop.data.tables import check_source, open_files, open_query
from batchprop.errors import DataError, ModelError, RowError
from batchprop.files import copy_file, file_lock, open_file
from batchprop.format import pluralize
from batchprop.tabular.evaluation import Evaluation
from batchprop.tabular.frames import format_label, frame_to_pandas, restore_frame
from batchprop.tabular.history import HISTORY, History, read_history
from batchprop.tabular.model_files import REPORT, SAVED_FILES, make_report, write_model, write_report
from batchprop.tabular.model_info import model_folder, read_info
from batchprop.tabular.persistence import MODEL, atomic_folder, load_pipeline, save_pipeline
from batchprop.tabular.predictions import (
    add_columns,
    block_size,
    check_proba,
    kept_columns,
    predict_blocks,
    predict_frames,
    read_kept,
    warn_unseen,
)
from batchprop.tabular.result import TrainingResult
from batchprop.tabular.unseen import UnseenCounter

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame
    from sklearn.pipeline import Pipeline

Data: TypeAlias = "str | PathLike[str] | Iterable[str | PathLike[str]] | IntoFrame"


class ModelRecord(Protocol):
    """The source of a model's scores, history and report: its training, or its folder."""

    def evaluation(self) -> Evaluation:
        """Return the scores."""

    def history(self) -> History:
        """Return the epochs."""

    def report(self, folder: Path | None) -> str:
        """Return the report as HTML."""

    def write(self, folder: Path, out: Path) -> None:
        """Write all files of a model into a folder that will be named ``out``."""


class TrainedModel:
    """A model of a table: a scikit-learn pipeline with its history, scores and report.

    ``train_table`` returns one, ``load_model`` reads one from a folder.

    Attributes:
        pipeline: the fitted ``sklearn.pipeline.Pipeline`` of the steps "columns", "features" and "network".
            It takes data frames with the training columns, and has ``predict`` and ``score``.
    """

    def __init__(self, pipeline: Pipeline, record: ModelRecord) -> None:
        self.pipeline = pipeline
        self._record = record

    def __repr__(self) -> str:
        columns = self.pipeline["columns"]
        return f"<TrainedModel of {columns.target!r} from {pluralize(len(columns.kinds), 'column')}>"

    def predict(
        self,
        data: Data | None = None,
        *,
        sql: str | None = None,
        database: str | None = None,
        sheet: str | None = None,
        proba: bool = False,
        keep: str | Iterable[str] | None = None,
        number: bool = False,
        memory: str | int | None = None,
        separator: str | None = None,
    ) -> Any:
        """Predict the target of every row.

        Args:
            data: files, a folder or a pattern, or a data frame (n rows) of pandas, polars, pyarrow or another
                library that narwhals knows, with the training columns in any order. None with ``sql``.
            sql: a query whose rows are predicted for, as "SELECT * FROM 'data/*.parquet'".
            database: the URL of the database to query, as for ``train_table``.
            sheet: the sheet of workbooks to read; the first by default.
            proba: add the probability of each class.
            keep: columns of the data to put before the predictions, as ["id", "name"] or "id,name". With the
                target among them, the predictions are "predicted TARGET".
            number: put the number of each row, counted from 1, before them.
            memory: the memory budget, such as "4GB", or in bytes; a larger table is read in parts.
            separator: between the fields of CSV files, such as ";" or "tab"; None for the one that parts
                the names in the first line.

        Returns:
            A column named as the target (n,), then one ``probability CLASS`` for each class: a data frame of
            the library that the data came from, with their index in pandas; for files one of pandas. If the
            target itself is called so, that probability is ``probability CLASS (2)``.

        Raises:
            DataError: a column is missing, or a row cannot be read or holds a value that is not allowed.
            ParameterError: data is neither a table nor the name of one, or there is a query, too;
                ``proba`` is set for a model that predicts numbers.

        Warns:
            UnseenValueWarning: rows hold values that the training had not.
        """
        names = read_kept(keep)
        budget = None if memory is None else parse_memory(memory)
        check_source(data, sql=sql, database=database, sheet=sheet)
        if isinstance(data, pd.DataFrame):
            return self._predict_table(data, budget, names, proba=proba, number=number)
        if (frame := read_frame(data)) is not None:
            table = frame_to_pandas(frame, names)
            predictions = self._predict_table(table, budget, names, proba=proba, number=number)
            return restore_frame(predictions, frame, data)
        source = (
            open_files(as_paths(data, "data", or_frame=True), sheet)
            if sql is None
            else open_query(sql, database, budget or default_memory())
        )
        with (
            source as opened,
            predict_blocks(
                self.pipeline,
                opened,
                proba=proba,
                keep=names,
                number=number,
                memory=budget,
                separator=separator,
            ) as tables,
        ):
            return pd.concat(list(tables), ignore_index=True)

    def _predict_table(
        self, table: pd.DataFrame, memory: int | None, keep: Sequence[str], *, proba: bool, number: bool
    ) -> pd.DataFrame:
        if proba:
            check_proba(self.pipeline)
        if not len(table):
            raise DataError("the data frame has no rows: give at least one to predict")
        # In blocks, as the features of a wide table may take many times its memory.
        rows = block_size(self.pipeline, memory or default_memory())
        unseen = UnseenCounter(self.pipeline)
        numbered = normalize_columns(table.reset_index(drop=True))
        keep = kept_columns(list(numbered.columns), keep)
        frames = (numbered.iloc[i : i + rows] for i in range(0, len(table), rows))
        predicted = predict_frames(self.pipeline, frames, unseen, proba=proba, parallel=len(table) > rows)
        try:
            blocks = [predictions for _, predictions in predicted]
        except RowError as error:
            if table.index.equals(numbered.index):
                raise
            raise RowError(f"{format_label(table.index[error.row])}: {error}", error.row) from error
        warn_unseen(unseen)
        predictions = pd.concat(blocks, ignore_index=True)
        predictions = add_columns(predictions, numbered, keep, 1 if number else None)
        return predictions.set_axis(table.index)

    @property
    def evaluation(self) -> Evaluation:
        """The scores on the test rows, which are not used in training, beside those of the simplest guess."""
        return self._record.evaluation()

    @property
    def history(self) -> History:
        """A summary of each epoch; ``pandas.DataFrame(model.history)`` makes a table of it."""
        return self._record.history()

    def report(self) -> str:
        """Return a report on the training as one self-contained HTML page."""
        return self._record.report(None)

    def save(self, folder: str | PathLike[str], *, force: bool = False) -> None:
        """Write the model with its history, scores, learning curve and report into a folder, atomically.

        Args:
            folder: the folder to create; ``load_model`` and the commands read it.
            force: replace a folder that holds a model.

        Raises:
            DataError: the folder exists, or cannot be written.
            WriteError: the operating system reports an error, for example a full disk.
        """
        path = Path(folder)
        with (
            file_lock(path, parameter="folder"),
            atomic_folder(path, force=force, parameter="folder") as part,
        ):
            self._record.write(part, path)


class FreshRecord:
    """The record of a model that was trained in this process."""

    def __init__(self, result: TrainingResult) -> None:
        self.result = result

    def evaluation(self) -> Evaluation:
        """Return the scores."""
        return self.result.evaluation

    def history(self) -> History:
        """Return the epochs."""
        return self.result.history

    def report(self, folder: Path | None) -> str:
        """Return the report as HTML."""
        return make_report(self.result, folder)

    def write(self, folder: Path, out: Path) -> None:
        """Write all files of a model into a folder that will be named ``out``."""
        write_model(self.result, folder, out)
        write_report(self.result, folder, out)


class StoredRecord:
    """The record of a model that was read from a folder."""

    def __init__(self, pipeline: Pipeline, folder: Path) -> None:
        self._pipeline, self._folder = pipeline, folder

    def evaluation(self) -> Evaluation:
        """Return the scores."""
        with self._require("settings.json", "the scores"):
            info = read_info(self._folder)
            scores, baseline = info["test"], info["baseline"]
            return Evaluation(_as_scores(scores), _as_scores(baseline))

    def history(self) -> History:
        """Return the epochs."""
        with self._require(HISTORY, "the history"):
            return read_history(self._folder / HISTORY)

    def report(self, folder: Path | None) -> str:  # noqa: ARG002 the report was written for its own folder
        """Return the report as HTML."""
        path = self._folder / REPORT
        with self._require(REPORT, "the report"), open_file(path, follow=True) as file:
            return file.read().decode()

    def write(self, folder: Path, out: Path) -> None:  # noqa: ARG002
        """Write all files of a model into a folder that will be named ``out``."""
        save_pipeline(self._pipeline, folder / MODEL)
        # The other files are copied unchanged: their training is not in memory.
        for name in SAVED_FILES:
            if name != MODEL and (self._folder / name).is_file():
                copy_file(self._folder / name, folder / name)

    @contextmanager
    def _require(self, name: str, what: str) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
            raise ModelError(
                f"the folder {self._folder} does not tell {what}: its {name} is missing or damaged; train "
                "the model again, or copy the whole folder"
            ) from error


def _as_scores(values: dict[str, Any]) -> dict[str, float]:
    return {str(name): float(value) for name, value in values.items()}


def load_model(folder: str | PathLike[str]) -> TrainedModel:
    """Read a model that `batchprop train` or ``TrainedModel.save`` wrote, without running code from it.

    Args:
        folder: the model's folder, or the .skops file in it.

    Returns:
        The model; its scores, history and report are read from the folder on demand.

    Raises:
        ModelError: there is no model, it is damaged, another version wrote it, or it holds types that no
            model has.
    """
    path = Path(folder)
    pipeline = load_pipeline(path)
    return TrainedModel(pipeline, StoredRecord(pipeline, model_folder(path)))
