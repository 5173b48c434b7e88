"""A batch for `batchprop walk` from the user's table."""

from pathlib import Path

import numpy as np

from batchprop.cli.walk_command import ExampleBatch, sample, sample_note
from batchprop.data.arrow import get_column
from batchprop.data.files import get_delimiter
from batchprop.data.reader import read_table
from batchprop.data.text_rules import USUAL
from batchprop.tabular.schema import infer_schema
from batchprop.tabular.target import Task
from batchprop.tabular.target_statistics import read_target
from batchprop.tabular.training_table import clean_target
from batchprop.tabular.transformers import make_preprocessor


def from_table(path: Path, target_name: str, task: Task | None, rows: int, seed: int) -> ExampleBatch:
    """Read a table, encode its columns, and draw some of its rows.

    Raises:
        DataError: the table or its target cannot be used.
    """
    from_text = get_delimiter(path) is not None
    frame = read_table(path, text=[target_name])
    column = get_column(frame, target_name, "target column")
    column = clean_target(column, USUAL)
    frame, column = frame[column.notna()], column[column.notna()]
    target = read_target(column, task, from_text=from_text)
    features = frame.drop(columns=target_name)
    X = make_preprocessor(infer_schema(features), len(features)).fit_transform(features).astype(np.float64)
    encoded = "1 feature" if X.shape[1] == 1 else f"{X.shape[1]} features"
    what = f"rows of {path.name} ({encoded}, encoded)"
    if target.task == "classification":
        names, codes = np.unique(target.values, return_inverse=True)
        return sample(what, X, codes, tuple(map(str, names)), rows, seed)
    chosen = np.random.default_rng(seed).permutation(len(X))[:rows]
    y = (target.values - target.values.mean()) / (target.values.std() or 1.0)
    about = f"{sample_note(len(chosen), rows)} {what}"
    return ExampleBatch(about, X[chosen].T, y[None, chosen], (target_name,), "squared_error")
