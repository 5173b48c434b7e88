"""The test rows of a training that come from files or a table of their own."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types

from batchprop.data.converted import ConvertedTable
from batchprop.data.files import expand_paths
from batchprop.data.names import normalize_name
from batchprop.data.reader import LoadedTable
from batchprop.data.tables import Table
from batchprop.data.text_rules import TextRules
from batchprop.errors import DataError, RowError, did_you_mean, join_truncated
from batchprop.tabular.options import TrainOptions
from batchprop.tabular.roles import decide_spelling, read_groups, read_weights, unit_of_weights
from batchprop.tabular.schema import is_read_as_text
from batchprop.tabular.target import Target
from batchprop.tabular.target_statistics import infer_target, read_target
from batchprop.tabular.training_table import (
    TrainingTable,
    column_names,
    locate_errors,
    locate_rows,
    name_places,
    read_whole,
)
from batchprop.tabular.transformers import cast_column

TEST_FRAME = "the test DataFrame"
"""The name of test rows without a file, in messages."""


def with_test_rows(table: TrainingTable, whole: LoadedTable, options: TrainOptions) -> TrainingTable:
    """Return a table with the test rows, from files or a table of their own, as its last rows.

    Args:
        table: the rows to train on.
        whole: all columns of them.
        options: of the training.

    Raises:
        DataError: the test rows lack a column, or hold a value of another kind.
    """
    name = table.target.name
    words, spelling = text_names(table, whole.frame[name]), ""
    if options.weights is not None:
        counted, wanted = whole.frame[options.weights], options.column_types.get(options.weights)
        spelling = decide_spelling([counted], "weights", wanted, options.text_rules)
        words += [options.weights] if spelling else []
    test = read_whole(get_test_source(table, options, whole.files), options, words, TEST_FRAME)
    places = name_places(locate_rows(test), test.files)
    frame, n_train = join_frames(table, test.frame, places, options.text_rules), len(table.frame)
    values = _read_together(table.target, whole, test, places, options.text_rules)
    weights, groups = table.weights, table.groups
    if options.weights is not None:
        with locate_errors(lambda row: places[row]):
            tested = read_weights(test.frame[options.weights], options.text_rules, spelling)
        weights = np.concatenate([weights, tested / unit_of_weights(tested)])
    if options.group is not None and groups is not None:
        with locate_errors(lambda row: places[row]):
            groups = np.concatenate([groups, read_groups(test.frame[options.group], options.text_rules)])
        check_groups_apart(groups[:n_train], groups[n_train:], options.group)
    return replace(
        table,
        frame=frame,
        target=replace(table.target, values=values),
        weights=weights,
        left_out=len(whole.skipped) + len(test.skipped),
        skipped=[*whole.skipped, *test.skipped],
        row_locator=("place", np.array([*name_places(locate_rows(whole), whole.files), *places])),
        groups=groups,
        n_test=len(test.frame),
        test_locator=locate_rows(test),
    )


def _read_together(
    target: Target, whole: LoadedTable, test: LoadedTable, places: Sequence[str], rules: TextRules
) -> npt.NDArray[Any]:
    """Return the target of the rows to train on, then of the test rows; the task is that of the first."""
    column, from_text = test.frame[target.name].set_axis(pd.Index(places, dtype=object)), test.from_text
    if target.task == "classification":
        known = infer_target(whole.frame[target.name], target.task, from_text=whole.from_text, rules=rules)
        return np.concatenate([target.values, known.read(column)])
    if whole.from_text != from_text:  # text of one file, and values of the other
        values = read_target(column, target.task, from_text=from_text, rules=rules).values
        return np.concatenate([target.values, values])
    # Together, as the numbers of both have one spelling.
    numbers = pd.concat([whole.frame[target.name], column])
    return read_target(numbers, target.task, from_text=from_text, rules=rules).values


def get_test_source(
    table: TrainingTable, options: TrainOptions, files: Sequence[Path]
) -> Table | pd.DataFrame:
    """Return the test rows' files, or their table in memory, with all columns that are needed.

    Args:
        table: the rows to train on.
        options: of the training.
        files: of the training rows.

    Raises:
        DataError: a file is also one of the training, or a column is missing.
    """
    needed = [name for name, kind in table.kinds.items() if kind != "left out"]
    needed += [name for name in (options.target, options.weights, options.group) if name is not None]
    test = options.test
    if isinstance(test, pd.DataFrame):
        _check_test_names(needed, [normalize_name(name) for name in test.columns], TEST_FRAME)
        return test
    test = test if isinstance(test, ConvertedTable) else expand_paths(test)
    known = {os.path.realpath(file) for file in files}
    for file in test.origins if isinstance(test, ConvertedTable) else test:
        if os.path.realpath(file) in known:
            raise DataError(
                f"{file} is in DATA and in `test`: a row that trains cannot test; take it out of one"
            )
        names = test.columns if isinstance(test, ConvertedTable) else column_names(file, options.separator)
        _check_test_names(needed, names, str(file))
    return test


def _check_test_names(needed: Sequence[str], names: Sequence[str], where: str) -> None:
    missing = [name for name in needed if name not in names]
    if missing:
        near = did_you_mean(missing[0], [name for name in names if name not in needed])
        raise DataError(
            f"{where} lacks {len(missing)} of the columns of DATA: {join_truncated(missing)}; add or rename "
            f"them{near}"
        )


def text_names(table: TrainingTable, target: "pd.Series[Any]") -> list[str]:
    """Return the columns that are text in the training rows, and so in the test rows too."""
    names = [column.name for column in table.columns if is_read_as_text(column.kind, column.spelling)]
    return [*names, table.target.name] if types.is_string_dtype(target) else names


def join_frames(
    table: TrainingTable, test: pd.DataFrame, places: Sequence[str], rules: TextRules
) -> pd.DataFrame:
    """Return the features of a table and of its test rows, each column cast to its kind in the table.

    Args:
        table: the rows to train on.
        test: the test rows (t,).
        places: the place of each test row (t,).
        rules: how text is read.

    Raises:
        DataError: a value is not of its column's kind.
    """
    columns = [column for column in table.columns if column.kind != "left out"]
    test = test.reset_index(drop=True)
    try:
        tested = {of.name: cast_column(test[of.name], of.kind, of.spelling, rules) for of in columns}
    except RowError as error:
        raise DataError(f"{places[error.row]}: {error}") from error
    trained = {of.name: cast_column(table.frame[of.name], of.kind, of.spelling, rules) for of in columns}
    return pd.concat([pd.DataFrame(trained), pd.DataFrame(tested)], ignore_index=True)


def check_groups_apart(trained: npt.NDArray[Any], tested: npt.NDArray[Any], name: str) -> None:
    """Refuse test rows of a group that also has training rows.

    Raises:
        DataError: there is such a group.
    """
    shared = np.intersect1d(trained, tested)
    if len(shared):
        groups = "1 group is" if len(shared) == 1 else f"{len(shared):,} groups are"
        raise DataError(
            f"{groups} in DATA and in `test`, {shared[0]!r} of group={name!r} first: take their rows out of "
            "one, or leave out `group`"
        )
