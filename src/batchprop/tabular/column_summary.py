"""A table that several processes learn together: each learns its own columns, of all rows.

So the statistics are bit for bit those of one process, which merged ones of each process's rows would not be:
a training goes on with any number of processes.

Index legend: k values or words.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import astuple
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from batchprop.data.arrow import to_pandas
from batchprop.data.sketches import WeightedSamples
from batchprop.processes import current
from batchprop.tabular.schema import ColumnSchema


class ColumnSummary(NamedTuple):
    """What a pass over a column leaves, to fit the transformers on.

    Attributes:
        column: its schema.
        missing: the number of missing values.
        words: the count of each word, missing values as their own word; None for numbers and dates.
        distributions: of its numbers, or of the parts of its dates.
        dates: the first and the last date (2,), in UTC; None for others.
    """

    column: ColumnSchema
    missing: int
    words: pd.Series[int] | None = None
    distributions: Sequence[WeightedSamples] = ()
    dates: npt.NDArray[np.datetime64] | None = None


_SUMMARY = pa.schema(
    [
        ("column", pa.string()),
        ("missing", pa.int64()),
        ("words", pa.large_list(pa.large_string())),
        ("counts", pa.large_list(pa.int64())),
        ("values", pa.list_(pa.large_list(pa.float64()))),
        ("weights", pa.list_(pa.large_list(pa.int64()))),
        ("dates", pa.list_(pa.int64())),
    ]
)


def own_columns(names: Sequence[str]) -> list[str]:
    """Return those of a table's columns that this process learns: they are dealt out in turn."""
    processes = current()
    return [*names[processes.index :: processes.count]]


def gather_columns(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return rows with some columns, in order, of which each process gave its own (``own_columns``)."""
    if current().count == 1:
        return frame[[*names]]
    own = pa.Table.from_pandas(frame[own_columns(names)], preserve_index=False)
    columns = {name: part[name] for part in map(to_pandas, _gather_tables(own)) for name in part}
    return pd.DataFrame({name: columns[name] for name in names}).set_index(frame.index)


def gather_summaries(own: Sequence[ColumnSummary], names: Sequence[str]) -> list[ColumnSummary]:
    """Return the summaries of all columns, in order, of which each process gave its own (``own_columns``)."""
    if current().count == 1:
        return [*own]
    tables = _gather_tables(pa.Table.from_pylist([*map(_to_plain, own)], _SUMMARY))
    summaries = [_from_plain(plain) for table in tables for plain in table.to_pylist()]
    by_name = {summary.column.name: summary for summary in summaries}
    return [by_name[name] for name in names]


def _gather_tables(own: pa.Table) -> list[pa.Table]:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, own.schema) as stream:
        stream.write_table(own)
    parts = current().gather_rows(np.frombuffer(sink.getvalue(), np.uint8))
    return [pa.ipc.open_stream(pa.py_buffer(part)).read_all() for part in parts]


def _to_plain(summary: ColumnSummary) -> dict[str, Any]:
    words, dates = summary.words, summary.dates
    return {
        "column": json.dumps(astuple(summary.column)),
        "missing": summary.missing,
        "words": None if words is None else words.index.tolist(),
        "counts": None if words is None else words.to_numpy(),
        "values": [samples.values for samples in summary.distributions],
        "weights": [samples.weights for samples in summary.distributions],
        "dates": None if dates is None else dates.astype(np.int64),
    }


def _from_plain(plain: dict[str, Any]) -> ColumnSummary:
    words, dates = plain["words"], plain["dates"]
    samples = zip(plain["values"], plain["weights"], strict=True)
    return ColumnSummary(
        ColumnSchema(*json.loads(plain["column"])),
        plain["missing"],
        None if words is None else pd.Series(plain["counts"], pd.Index(words, dtype=object), dtype=np.int64),
        [WeightedSamples(np.array(values), np.array(weights)) for values, weights in samples],
        None if dates is None else np.array(dates).astype("datetime64[us]"),
    )
