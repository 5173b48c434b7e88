"""A batch for `batchprop walk` from the user's table."""

from pathlib import Path

import numpy as np

from batchprop.cli.walk_command import ExampleBatch, sample, sample_note
from batchprop.tabular.options import TrainOptions
from batchprop.tabular.training_table import load
from batchprop.tabular.transformers import make_preprocessor


def from_table(path: Path, options: TrainOptions, rows: int) -> ExampleBatch:
    """Read a table, encode its columns, and draw some of its rows.

    Raises:
        DataError: the table or its target cannot be used.
    """
    table, seed = load(path, options, to_train=False), options.seed
    target, frame = table.target, table.frame
    columns = make_preprocessor(table.columns, len(frame), target.name, options.missing, options.decimal)
    X = columns.fit_transform(frame).astype(np.float64)
    encoded = "1 feature" if X.shape[1] == 1 else f"{X.shape[1]} features"
    what = f"rows of {path.name} ({encoded}, encoded)"
    if target.task == "classification":
        names, codes = np.unique(target.values, return_inverse=True)
        return sample(what, X, codes, tuple(map(str, names)), rows, seed)
    chosen = np.random.default_rng(seed).permutation(len(X))[:rows]
    y = (target.values - target.values.mean()) / (target.values.std() or 1.0)
    about = f"{sample_note(len(chosen), rows)} {what}"
    return ExampleBatch(about, X[chosen].T, y[None, chosen], (target.name,), "squared_error")
