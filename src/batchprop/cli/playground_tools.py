"""What tables and the microscope do for the playground."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from batchprop.backprop import predict
from batchprop.batches import gather
from batchprop.data.arrow import get_column
from batchprop.data.line_numbers import line_numbers
from batchprop.data.parquet import opened_parquet
from batchprop.data.reader import read_table
from batchprop.data.scanner import scan
from batchprop.errors import DataError
from batchprop.microscope.document import DisplayNames, Snapshot, document
from batchprop.microscope.look import MAX_ROWS as MAX_COLUMNS
from batchprop.microscope.page import page
from batchprop.network import Network
from batchprop.playground.data import PlaygroundData, check_size
from batchprop.playground.session import File
from batchprop.playground.trainer import LastBatch
from batchprop.tabular.schema import infer_schema
from batchprop.tabular.split import check_enough
from batchprop.tabular.target import read_target
from batchprop.tabular.transformers import make_preprocessor

_TEXT, _PARQUET = (".csv", ".tsv", ".tab"), (".parquet", ".pq")
_ROWS_AT_ONCE, _MAX_DECODED = 256, 250_000_000
_TARGETS = ("target", "label", "class", "y")


class PlaygroundTools:
    """The tools of this library."""

    def inspect_file(self, path: Path, name: str) -> File:
        """Read a table, and tell its columns.

        Args:
            path: where it lies.
            name: what the player calls it.

        Raises:
            DataError: it is no table, or too long a one.
        """
        try:
            frame = self._read(path, name)
        except DataError as error:
            raise DataError(str(error).replace(str(path), name)) from error
        columns = tuple(map(str, frame.columns))
        suggested = next((column for column in columns if column.lower() in _TARGETS), columns[-1])
        return File(name, frame, columns, len(frame), suggested)

    def _read(self, path: Path, name: str) -> pd.DataFrame:
        ending = path.suffix.lower()
        if ending not in _TEXT + _PARQUET:
            known = ", ".join(_TEXT + _PARQUET)
            raise DataError(f"{name} is no table that the playground reads: those end in {known}")
        frame = _decoded(path, name) if ending in _PARQUET else read_table(path)
        check_size(name, len(frame), frame.shape[1] - 1)
        lines = line_numbers(path)
        places = np.arange(len(frame)) + 1 if lines is None else lines
        unit = "row" if lines is None else "line"
        return frame.set_axis([f"{unit} {place}" for place in places], axis="index")

    def examples(self, file: File, target: str) -> PlaygroundData:
        """Turn a table into numbers.

        Args:
            file: from ``inspect_file``.
            target: the column to learn; rows without it are left out.

        Raises:
            DataError: the column is not there or cannot be learned, or the table is too large.
        """
        frame: pd.DataFrame = file.table
        column = get_column(frame, target, "target column")
        frame = frame[column.notna()]
        wanted = read_target(frame[target])
        check_enough(wanted)
        features = frame.drop(columns=target)
        pipeline = make_preprocessor(infer_schema(features), len(features), target)
        X = np.asarray(pipeline.fit_transform(features), dtype=np.float64)
        values: Any = np.asarray(wanted.values)
        named: tuple[str, ...] = (target,)
        if wanted.task == "classes":
            names, values = np.unique(values, return_inverse=True)
            named = tuple(map(str, names.tolist()))
        else:
            values = (values - values.mean()) / (values.std() or 1.0)
        check_size(file.name, len(X), X.shape[1], len(named))
        columns = tuple(str(name).partition("__")[2] for name in pipeline.get_feature_names_out())
        title = f"{file.name}: {target}" + ("" if wanted.task == "classes" else ", standardised")
        return PlaygroundData(title, wanted.task, X, values.astype(float), columns, named, tuple(frame.index))

    def microscope(self, examples: PlaygroundData, start: Network, taken: LastBatch, steps: int) -> str:
        """Return the page that shows the batch that was taken last in all its matrices.

        Args:
            examples: which the batch is part of.
            start: the network before the first batch.
            taken: the batch, and the network before its step.
            steps: how many were taken, this one among them.
        """
        rows = taken.rows[:MAX_COLUMNS]
        batch = gather(examples.table, rows)
        about = [f"What step {steps} did: the network is shown as it was before it."]
        if taken.optimizer != "sgd":
            about.append(f"The update is shown as plain descent; the step was made by {taken.optimizer}.")
        if len(rows) < len(taken.rows):
            about.append(f"Of the batch's {len(taken.rows):,} examples {len(rows)} are shown, and collapsed.")
        words = DisplayNames(
            title=f"Batch {steps} of {examples.title}",
            description=tuple(about),
            features=examples.features,
            outputs=examples.outputs,
            rows=[examples.rows[row] for row in rows],
            labels=_in_words(examples, examples.values[rows]),
        )
        moments = [
            Snapshot(f"before step {steps}", taken.network, _answers(examples, taken.network, batch.B))
        ]
        if steps > 1:
            first = Snapshot("before the first step", start, _answers(examples, start, batch.B))
            moments.insert(0, first)
        return page(document(words, batch, moments, taken.learning_rate))


def _decoded(path: Path, name: str) -> pd.DataFrame:
    """Read a Parquet file a little at a time: a few bytes of it may stand for billions of rows or letters."""
    with opened_parquet(path) as file:
        check_size(name, file.metadata.num_rows, file.metadata.num_columns - 1)
    frames, size = list[pd.DataFrame](), 0
    for frame in scan(path).iter_frames(rows=_ROWS_AT_ONCE):
        size += int(frame.memory_usage(deep=True).sum())
        if size > _MAX_DECODED:
            raise DataError(
                f"{name} takes more than {_MAX_DECODED / 1e6:,.0f} MB once it is unpacked, too much for the "
                "playground: leave out columns of long text"
            )
        frames.append(frame)
    return pd.concat(frames)


def _answers(examples: PlaygroundData, network: Network, B: Any) -> list[str]:
    P = predict(network, B)
    return _in_words(examples, P[0] if examples.task == "numbers" else P.argmax(axis=0))


def _in_words(examples: PlaygroundData, values: Any) -> list[str]:
    if examples.task == "numbers":
        return [f"{value:.4g}" for value in values]
    return [examples.outputs[int(value)] for value in values]
