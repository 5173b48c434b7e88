"""A model's answers as a table, and that table as a file."""

from pathlib import Path

import pandas as pd
from sklearn.pipeline import Pipeline

from batchprop.errors import ParameterError

ENDINGS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".parquet": "", ".pq": ""}


def words_of(model: Pipeline) -> list[str]:
    """Return the columns from which a model learned words: ``read`` would take 01 alone for a number."""
    return [name for name, kind in model["columns"].kinds.items() if kind == "category"]


def predictions(model: Pipeline, frame: pd.DataFrame, *, proba: bool = False) -> pd.DataFrame:
    """Predict the target of each row.

    Args:
        model: a pipeline that `load_model` returned.
        frame: the rows (n), with the columns trained on in any order.
        proba: add the probability of each class.

    Returns:
        A column named as the target (n,), then one `probability CLASS` for each class.

    Raises:
        ParameterError: probabilities are wanted of a model that predicts numbers.
        DataError: a column is missing, or holds what it may not.
    """
    target = model["columns"].target
    if not proba:
        return pd.DataFrame({target: model.predict(frame)})
    if not hasattr(model, "classes_"):
        raise ParameterError(
            f"--proba needs classes, and this model predicts {target!r}, a number: leave it out"
        )
    P = model.predict_proba(frame)
    shares = {f"probability {label}": P[:, k] for k, label in enumerate(model.classes_)}
    return pd.DataFrame({target: model.classes_[P.argmax(axis=1)], **shares})


def to_csv(table: pd.DataFrame, delimiter: str = ",") -> str:
    """Write a table as CSV text; float32 has 7 digits worth writing."""
    return table.to_csv(index=False, sep=delimiter, float_format="%.7g", lineterminator="\n")


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table to a file of the format its ending names."""
    delimiter = ENDINGS[path.suffix.lower()]
    if delimiter:
        path.write_text(to_csv(table, delimiter), encoding="utf-8")
    else:
        table.to_parquet(path, index=False)
