"""Describe words that share one feature, as they are rare or too many, and numbers that are codes."""

from collections.abc import Sequence

from sklearn.pipeline import Pipeline

from batchprop.errors import join_truncated
from batchprop.tabular.schema import ColumnSchema
from batchprop.tabular.transformers import MISSING

ENDS = {"text": "as one", "frequent": "by the mean target of their rows"}
"""What becomes of the other words of a part."""

CODE = "codes: each value also by the mean target of its rows"
"""What becomes of numbers that are codes."""


def describe_pooling(model: Pipeline, columns: Sequence[ColumnSchema]) -> dict[str, str]:
    """Return which columns of text have words that share a feature, and which numbers are codes.

    Args:
        model: fitted, with the step "features".
        columns: the schema of the table.

    >>> import pandas as pd
    >>> from batchprop.tabular.schema import infer_schema
    >>> from batchprop.tabular.transformers import make_preprocessor
    >>> table = pd.DataFrame({"home": ["a", "b"] * 500 + ["c", "d", "e"]})
    >>> columns = infer_schema(table)
    >>> describe_pooling(make_preprocessor(columns, 1003).fit(table), columns)
    {'home': '2 of 5 words kept, the rest as one'}
    """
    encoders = {name: (part, names) for name, part, names in model["features"].transformers_}
    # In parts, an encoder does not know all rare words, but the schema has their number.
    values = {column.name: column.note for column in columns if column.kind == "category"}
    pooled = dict[str, str]()
    for part, (encoder, names) in encoders.items():
        if part in ENDS:
            for name, words, rare in zip(
                names, encoder.categories_, encoder.infrequent_categories_, strict=True
            ):
                if name in values and rare is not None and len(rare) > 1:
                    kept = len(set(words).difference(rare, [MISSING]))
                    of = values[name].replace("value", "word")
                    pooled[name] = f"{kept:,} of {of} kept, the rest {ENDS[part]}"
    return pooled | dict.fromkeys(model["columns"].codes, CODE)


def pooling_notes(model: Pipeline, columns: Sequence[ColumnSchema]) -> list[str]:
    """Return a sentence on the words that share a feature, and one on the numbers that are codes, if any."""
    codes, notes = model["columns"].codes, []
    pooled = describe_pooling(model, columns).items()
    if words := [f"{name}: {note}" for name, note in pooled if name not in codes]:
        notes.append(f"Words are pooled in {join_truncated(words, 5)}.")
    if codes:
        more = "each value counts by the mean target of its rows, too"
        notes.append(f"Numbers are codes in {join_truncated(codes, 5)}: {more}.")
    return notes
