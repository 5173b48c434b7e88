"""Inference of column types and targets."""

import numpy as np
import pandas as pd
import pytest

from batchprop.data.arrow import get_column
from batchprop.errors import DataError
from batchprop.tabular.schema import infer_schema
from batchprop.tabular.target_statistics import read_target

ROWS = 40


def column_of(values):
    return infer_schema(pd.DataFrame({"it": values}))[0]


KINDS = {
    "whole numbers": (np.arange(ROWS) % 7, "number"),
    "fractions, all different": (np.linspace(0, 1, ROWS), "number"),
    "whole numbers, all different, with holes": (np.arange(ROWS) ** 2, "number"),
    "numbers with gaps": ([1.0, np.nan] * 20, "number"),
    "text": (["x", "y"] * 20, "category"),
    "text with gaps": (["x", None] * 20, "category"),
    "booleans": (pd.array([True, False] * 20, dtype="boolean"), "boolean"),
    "booleans with gaps": (pd.array([True, False, None, True] * 10, dtype="boolean"), "boolean"),
    "dates": (pd.date_range("2020-01-01", periods=ROWS), "date"),
    "dates as text": ([f"2020-01-{d:02}" for d in range(1, 29)], "date"),
    "times as text": (["2020-01-01T10:00", "2020-01-01 10:30:00"] * 20, "date"),
    "times with a zone": (["2020-01-01T10:00+02:00", "2020-01-01 10:30:00Z"] * 20, "date"),
    "text like a date that is none": (["2020-02-30", "2020-01-01"] * 20, "category"),
    "constant": ([1] * ROWS, "left out"),
    "constant text": (["x"] * ROWS, "left out"),
    "no values": ([np.nan] * ROWS, "left out"),
    "row numbers": (np.arange(ROWS)[::-1] + 1000, "left out"),
    "names": ([f"name {i}" for i in range(ROWS)], "left out"),
    "lists": ([[1], [2]] * 20, "left out"),
    "bytes": ([b"1", b"2"] * 20, "left out"),
}


@pytest.mark.parametrize("case", KINDS)
def test_column_type_follows_its_values(case):
    values, kind = KINDS[case]
    assert column_of(values).kind == kind


@pytest.mark.parametrize("name", ["id", "ID", "customer_id", "customerId", "user-id", "key", "uuid"])
def test_distinct_integers_named_id_are_dropped(name):
    frame = pd.DataFrame({name: np.arange(ROWS) ** 2})
    assert infer_schema(frame)[0].note == "names the rows, like an id"


@pytest.mark.parametrize("name", ["paid", "humid", "monkey", "area"])
def test_name_that_merely_ends_in_id_is_not_an_id(name):
    assert infer_schema(pd.DataFrame({name: np.arange(ROWS) ** 2}))[0].kind == "number"


def test_row_numbers_are_dropped_even_with_missing_rows():
    numbers = np.random.default_rng(0).permutation(1000)
    for share in (1.0, 0.6):
        (column,) = infer_schema(pd.DataFrame({"n": numbers[numbers < 1000 * share]}))
        assert column.note == "names the rows, like an id"
    kept = numbers[np.random.default_rng(1).random(1000) < 0.7]
    assert infer_schema(pd.DataFrame({"n": kept}))[0].kind == "left out"
    assert infer_schema(pd.DataFrame({"n": kept * 3}))[0].kind == "number"


def test_few_words_in_a_numeric_column_are_reported():
    texts = [str(i / 7) for i in range(99)]
    (column,) = infer_schema(pd.DataFrame({"size": ["abc", *texts]}))
    assert column.warning == "1 of its 100 values is no number, 'abc' first"
    (column,) = infer_schema(pd.DataFrame({"size": [*texts, None, "x" * 99, "y"]}))
    assert column.warning == f"2 of its 101 values are no numbers, '{'x' * 37}...' first"
    (column,) = infer_schema(pd.DataFrame({"size": [*texts, *["10+"] * 98]}))
    assert column.warning == "98 of its 197 values are no numbers, '10+' first"
    for plain in ([*texts], ["a", "b"] * 50, [*texts, *["10+"] * 99]):
        assert infer_schema(pd.DataFrame({"size": plain}))[0].warning == ""


def test_columns_of_few_rows_are_not_ids():
    assert column_of(["a", "b", "c"]).kind == "category"
    assert column_of([3, 1, 2]).kind == "number"


def test_dropped_columns_have_a_reason_and_missing_values_are_counted():
    assert column_of([7] * 30).note == "always 7"
    assert column_of([None] * 30).note == "no values"
    assert column_of([[1], [2]] * 15).note == "lists that are no single number, text or date"
    # As JSON lines hold {"a": 1}.
    assert column_of([['{"a": 1}']] * 30).note == "records that are no single number, text or date"
    assert column_of([1.0, np.nan, 2.0, np.nan]).missing == 2


def test_column_of_one_value_and_missing_values_is_a_feature():
    assert column_of([1.0, np.nan] * 20).kind == "number"


def test_missing_column_suggests_similar_names_in_any_case():
    frame = pd.DataFrame({"Species": [1], "petal": [2]})
    with pytest.raises(DataError, match="no target column 'species'; did you mean 'Species'"):
        get_column(frame, "species", "target column")


def test_missing_column_without_similar_names_lists_all_columns():
    frame = pd.DataFrame({f"c{i:02}": [1] for i in range(20)})
    with pytest.raises(DataError, match=r"name one of: c00, .* c07 and 12 more"):
        get_column(frame, "species")


TARGETS = {
    "text": (["x", "y"] * 5, "classification"),
    "booleans": (pd.array([True, False] * 5, dtype="boolean"), "classification"),
    "0 and 1": ([0, 1] * 5, "classification"),
    "0 and 1 with gaps dropped": ([0.0, 1.0] * 5, "classification"),
    "two numbers in few rows": ([5, 7, 5], "classification"),
    "twenty numbers": (list(range(20)) * 2, "classification"),
    "twenty-one numbers": (list(range(21)) * 2, "regression"),
    "ten numbers, once each": (list(range(10)), "regression"),
    "fractions": ([0.5, 1.0] * 5, "regression"),
}


@pytest.mark.parametrize("case", TARGETS)
def test_task_is_inferred_from_the_target(case):
    values, task = TARGETS[case]
    target = read_target(pd.Series(values, name="y"))
    assert target.task == task
    assert target.reason


def test_task_can_be_overridden():
    numbers = read_target(pd.Series([0, 1, 1], name="y"), "regression")
    assert numbers.task == "regression"
    assert numbers.values.dtype == np.float64
    classes = read_target(pd.Series([0.5, 1.5, 0.5], name="y"), "classification")
    assert classes.values.tolist() == [0.5, 1.5, 0.5]


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0.0, 1.0], [0.0, 1.0]),
        (pd.array([True, False], dtype="boolean"), [True, False]),
        (["a", "b"], ["a", "b"]),
    ],
)
def test_labels_are_plain_arrays_that_a_model_file_can_hold(values, labels):
    target = read_target(pd.Series(values, name="y"), "classification")
    assert target.values.tolist() == labels
    assert target.values.dtype != object


def test_text_target_for_regression_is_refused():
    with pytest.raises(DataError, match="'y' holds text such as 'cheap' in row 1, and task='regression'"):
        read_target(pd.Series(["cheap", "dear"], name="y"), "regression")


def test_date_target_is_refused():
    with pytest.raises(DataError, match="the target 'y' holds dates: choose"):
        read_target(pd.Series(pd.date_range("2020", periods=3), name="y"))


def test_an_infinite_target_names_its_row():
    with pytest.raises(DataError, match="'y' holds inf in row 2: correct it, or leave it empty"):
        read_target(pd.Series([1.0, np.inf, 2.0], name="y"))


def test_blank_columns_have_no_values_and_nested_values_are_described():
    frame = pd.DataFrame({"blank": ["", ""], "lists": [np.ones(2), np.ones(1)], "records": [{}, {"a": 1}]})
    assert [column.note for column in infer_schema(frame)] == [
        "no values",
        "lists that are no single number, text or date",
        "records that are no single number, text or date",
    ]
