"""Describe words that share one feature, as they are rare or too many, and numbers that are codes."""

from collections.abc import Sequence

from sklearn.pipeline import Pipeline

from batchprop.errors import join_truncated
from batchprop.tabular.schema import ColumnSchema
from batchprop.tabular.transformers import MISSING

ENDS = {"text": "as one", "frequent": "by the mean target of their rows"}
"""What becomes of the other words of a part."""

_NONE_KEPT = "no value is in enough rows for a feature of its own"
UNUSED = f"{_NONE_KEPT}: nothing of it is used"
"""What becomes of a column whose values all share one feature, as texts do."""
ONLY_GAPS = f"{_NONE_KEPT}: only whether it is missing is used"
"""What becomes of one that has missing values besides."""

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
                    if not kept and part == "text":
                        has_gaps = MISSING in set(words).difference(rare)
                        pooled[name] = ONLY_GAPS if has_gaps else UNUSED
    return pooled | dict.fromkeys(model["columns"].codes, CODE)


def pooling_notes(model: Pipeline, columns: Sequence[ColumnSchema]) -> list[str]:
    """Return sentences on words that share a feature, columns without features, and codes, if any."""
    pooled = describe_pooling(model, columns)
    words = [f"{name}: {note}" for name, note in pooled.items() if note not in (UNUSED, ONLY_GAPS, CODE)]
    codes = [name for name, note in pooled.items() if note == CODE]
    useless = {
        note: [name for name, other in pooled.items() if other == note] for note in (UNUSED, ONLY_GAPS)
    }
    notes = [f"In {join_truncated(names, 5)}, {note}." for note, names in useless.items() if names]
    if words:
        notes.append(f"Words are pooled in {join_truncated(words, 5)}.")
    if codes:
        more = "beside the number, the network gets the mean target of the rows that hold it"
        notes.append(f"Numbers are codes in {join_truncated(codes, 5)}: {more}.")
    return notes
