"""Tables and the microscope, for the playground."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from batchprop.backprop import resolved_outputs
from batchprop.batches import gather
from batchprop.data.arrow import get_column
from batchprop.data.parquet import open_parquet_file
from batchprop.data.reader import read_file
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
from batchprop.tabular.target_statistics import read_target
from batchprop.tabular.transformers import make_preprocessor

_TEXT, _PARQUET = (".csv", ".tsv", ".tab"), (".parquet", ".pq")
_ROWS_AT_ONCE, _MAX_DECODED = 256, 250_000_000
_TARGETS = ("target", "label", "class", "y")


class PlaygroundTools:
    """Gives the playground the readers of tables and the microscope."""

    def inspect_file(self, path: Path, name: str) -> File:
        """Read a table and its column names; errors use the user's name of the file."""
        try:
            frame = self._read(path, name)
        except DataError as error:
            raise DataError(str(error).replace(str(path), name)) from error
        columns = tuple(map(str, frame.columns))
        # In most tables without one of the usual names, the last column is the target.
        suggested = next((column for column in columns if column.lower() in _TARGETS), columns[-1])
        return File(name, frame, columns, len(frame), suggested)

    def _read(self, path: Path, name: str) -> pd.DataFrame:
        suffix = path.suffix.lower()
        if suffix not in _TEXT + _PARQUET:
            known = ", ".join(_TEXT + _PARQUET)
            raise DataError(
                f"{name} is not a table that the playground reads: give a file that ends in {known}"
            )
        if suffix in _PARQUET:
            frame = _read_parquet(path, name)
            places = [f"row {number + 1}" for number in range(len(frame))]
        else:
            whole = read_file(path)
            frame, places = whole.frame, [f"line {number}" for number in whole.row_numbers]
        check_size(name, len(frame), frame.shape[1] - 1)
        return frame.set_axis(places, axis="index")

    def load_data(self, file: File, target: str) -> PlaygroundData:
        """Turn a table into numbers; rows without a target are left out."""
        frame: pd.DataFrame = file.table
        column = get_column(frame, target, "target column")
        frame = frame[column.notna()]
        parsed = read_target(frame[target])
        check_enough(parsed)
        features = frame.drop(columns=target)
        pipeline = make_preprocessor(infer_schema(features), len(features), target)
        X = np.asarray(pipeline.fit_transform(features), dtype=np.float64)
        values: Any = np.asarray(parsed.values)
        outputs: tuple[str, ...] = (target,)
        if parsed.task == "classification":
            names, values = np.unique(values, return_inverse=True)
            outputs = tuple(map(str, names.tolist()))
        else:
            values = (values - values.mean()) / (values.std() or 1.0)
        check_size(file.name, len(X), X.shape[1], len(outputs))
        columns = tuple(str(name).partition("__")[2] for name in pipeline.get_feature_names_out())
        title = f"{file.name}: {target}" + ("" if parsed.task == "classification" else ", standardised")
        # The protocol between page and server has its own words for the two tasks.
        task: Any = "classes" if parsed.task == "classification" else "numbers"
        return PlaygroundData(title, task, X, values.astype(float), columns, outputs, tuple(frame.index))

    def microscope(self, data: PlaygroundData, initial: Network, batch: LastBatch, steps: int) -> str:
        """Return the microscope's page for a batch, with the network before its step."""
        rows = batch.rows[:MAX_COLUMNS]
        examples = gather(data.dataset, rows)
        description = [f"The network is shown as it was before step {steps:,}."]
        if batch.optimizer != "sgd":
            description.append(
                f"The page shows plain gradient descent; the step itself used {batch.optimizer}."
            )
        if len(rows) < len(batch.rows):
            description.append(f"Shown are {len(rows)} of the {len(batch.rows):,} examples of the batch.")
        names = DisplayNames(
            title=f"Batch {steps:,} of {data.title}",
            description=tuple(description),
            features=data.features,
            outputs=data.outputs,
            rows=[data.rows[row] for row in rows],
            labels=_format_targets(data, data.values[rows]),
        )
        snapshots = [
            Snapshot(f"before step {steps:,}", batch.network, _predictions(data, batch.network, examples.B))
        ]
        if steps > 1:
            first = Snapshot("before the first step", initial, _predictions(data, initial, examples.B))
            snapshots.insert(0, first)
        return page(document(names, examples, snapshots, batch.learning_rate))


def _read_parquet(path: Path, name: str) -> pd.DataFrame:
    """Read a Parquet file in parts: a few compressed bytes may expand to billions of values."""
    with open_parquet_file(path) as file:
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


def _predictions(data: PlaygroundData, network: Network, B: Any) -> list[str]:
    with np.errstate(over="ignore", invalid="ignore"):
        P = resolved_outputs(network, B)
    labels = _format_targets(data, P[0] if data.task == "numbers" else P.argmax(axis=0))
    is_finite = np.isfinite(P).all(axis=0)
    return [label if finite else "not finite" for label, finite in zip(labels, is_finite, strict=True)]


def _format_targets(data: PlaygroundData, values: Any) -> list[str]:
    if data.task == "numbers":
        return [f"{value:.4g}" for value in values]
    return [data.outputs[int(value)] for value in values]
