"""Numbers of CSV files whose points may stand between thousands, such as 1.137 and 63: no other one tells."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.api import types

from batchprop.data.csv import CsvFile, CsvTable
from batchprop.data.rejects import RejectedRows
from batchprop.data.separators import check_separator
from batchprop.tabular.options import TrainOptions
from batchprop.tabular.schema import ColumnSchema
from batchprop.tabular.spelling import SpellingCandidates, clean, may_fit

_THOUSAND = 1000


def note_points(
    columns: tuple[ColumnSchema, ...], frame: pd.DataFrame, files: Sequence[Path], options: TrainOptions
) -> tuple[ColumnSchema, ...]:
    """Return the columns of CSV files, with a note on those whose points may stand between thousands.

    Args:
        columns: the schema of each.
        frame: rows of them, or all.
        files: of the table.
        options: of the training.
    """
    typed = [column.name for column in columns if column.kind == "number" and not column.spelling]
    names = [name for name in typed if _may_be_thousands(frame[name])]
    if options.decimal is not None or not names:
        return columns
    readings = _read_again(names, files, options)
    return tuple(replace(column, reading=readings.get(column.name, column.reading)) for column in columns)


def _may_be_thousands(column: pd.Series) -> bool:
    """Whether typed numbers may be whole numbers with points: most decimals tell that they are none."""
    if not types.is_float_dtype(column):
        return False
    values = np.abs(column.to_numpy(float))
    fractions = values[np.isfinite(values) & (values != np.floor(values))]
    thousandths = (fractions * _THOUSAND).round()
    return bool(((fractions > 1) & (fractions < _THOUSAND) & (thousandths / _THOUSAND == fractions)).all())


def _read_again(names: Sequence[str], files: Sequence[Path], options: TrainOptions) -> dict[str, str]:
    """Return what is special about the columns of which the text still leaves it open."""
    separator, rules = check_separator(options.separator), options.text_rules
    text = CsvFile(files[0], separator).names
    table = CsvTable(files, RejectedRows("skip", 1.0), text, separator, rules)

    def look(blocks: Iterator[tuple[int, pa.Table]]) -> dict[str, str]:
        kinds = options.column_types
        open_ones = {
            name: SpellingCandidates(kinds.get(name), rules=rules) for name in names if name in table.names
        }
        for _, block in blocks:
            still_open = dict[str, SpellingCandidates]()
            for name, candidates in open_ones.items():
                words = clean(block[str(table.names.index(name))].to_pandas().astype(object), rules).dropna()
                # Most columns have a word among the first that shows that no point is between thousands.
                if may_fit(words, "comma", rules):
                    candidates.narrow(words)
                    still_open |= {name: candidates} if candidates.is_open else {}
            open_ones = still_open
            if not open_ones:
                break
        return {name: each.describe("point") for name, each in open_ones.items()}

    return table.read(None, look)
