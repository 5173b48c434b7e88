"""The target inferred from blocks equals the one inferred from the whole column."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchprop.errors import DataError
from batchprop.tabular.target import Task
from batchprop.tabular.target_statistics import TargetAccumulator, read_target

ROWS = 60

TARGETS: dict[str, tuple[Any, Task | None]] = {
    "text": (["no", "yes", "Ünsicher"] * 20, None),
    "booleans": (pd.array([True, False, True] * 20, dtype="boolean"), None),
    "whole numbers": ([3, 1, 2] * 20, None),
    "whole numbers in floats": ([3.0, 1.0, 2.0] * 20, None),
    "many whole numbers": (range(ROWS), None),
    "fractions": (np.linspace(-1, 1, ROWS), None),
    "fractions late": ([1.0] * 55 + [0.5] * 5, None),
    "numbers as classes": ([0.5, 1.0, 1e300] * 20, "classification"),
    "huge whole numbers as classes": ([1e17, 2e17, 1.0] * 20, "classification"),
    "classes as numbers": ([3, 1, 2] * 20, "regression"),
    "booleans as numbers": (pd.array([True, False, True] * 20, dtype="boolean"), "regression"),
    "text as numbers": (["3", "1.5", "2"] * 20, "regression"),
}


def blocks_of(column, places=(7, 7, 30)):
    ends = [0, *sorted(places), len(column)]
    return [column.iloc[start:end] for start, end in itertools.pairwise(ends)]


def learned(column, task=None, places=(7, 7, 30)):
    tally = TargetAccumulator(str(column.name), task)
    for block in blocks_of(column, places):
        tally.add(block)
    return tally.finish()


@pytest.mark.parametrize("case", TARGETS)
def test_blocks_give_the_same_target_as_the_column(case):
    values, task = TARGETS[case]
    column = pd.Series(values, name="y")
    expected, target = read_target(column, task), learned(column, task)
    assert (target.name, target.task, target.reason) == (expected.name, expected.task, expected.reason)
    read = [target.read(block).tolist() for block in blocks_of(column)]
    assert list(itertools.chain(*read)) == expected.values.tolist()
    assert target.rows == target.weight == ROWS
    if target.classes is not None and target.counts is not None:
        assert expected.task == "classification"
        labels, counts = np.unique(expected.values, return_counts=True)
        assert target.classes.tolist() == labels.tolist()
        assert target.classes.dtype.kind == labels.dtype.kind
        assert target.counts.tolist() == counts.tolist()
    else:
        assert target.mean == pytest.approx(expected.values.mean())
        assert target.deviation == pytest.approx(expected.values.std())
        assert (target.low, target.high) == (expected.values.min(), expected.values.max())
        for q in (0, 0.1, 0.5, 1):
            assert target.quantile(q) == pytest.approx(np.quantile(expected.values, q))


@given(
    values=st.lists(st.one_of(st.integers(0, 30), st.floats(-1e20, 1e20)), min_size=1, max_size=60),
    places=st.lists(st.integers(0, 60), max_size=5),
)
def test_target_does_not_depend_on_block_boundaries(values, places):
    column = pd.Series(values, name="y", dtype=float)
    expected = read_target(column)
    target = learned(column, places=[min(place, len(values)) for place in places])
    assert (target.task, target.reason) == (expected.task, expected.reason)
    assert target.read(column).tolist() == expected.values.tolist()


def test_blocks_of_integers_are_read_like_the_float_target():
    target = learned(pd.Series([0.5, 1.0] * 10, name="y"), "classification")
    assert target.read(pd.Series([1, 2], name="y")).tolist() == [1.0, 2.0]
    assert target.read(pd.Series([], dtype=float)).tolist() == []


def test_variance_of_a_small_spread_far_from_0_is_accurate():
    values = 1e9 + np.random.default_rng(0).normal(size=100_000)
    target = learned(pd.Series(values, name="y"), places=[10, 50_000])
    assert target.mean == pytest.approx(values.mean(), rel=1e-15)
    assert target.deviation == pytest.approx(values.std(), rel=1e-9)


@pytest.mark.parametrize(
    ("values", "task", "message"),
    [
        ([1.0, np.inf], None, "the target 'y' holds inf in row 2"),
        ([1.0, None], None, "the target 'y' is missing in row 2: leave out the rows without a target"),
        (pd.to_datetime(["2020-01-01"] * 2), None, "the target 'y' holds dates"),
        (
            [0.5, -1e31],
            None,
            "the target 'y' holds −1·10³¹, and a number larger than 1·10³⁰ cannot be learned",
        ),
        (
            ["a", "b"],
            "regression",
            "the target 'y' holds text such as 'a' in row 1, and task='regression' needs numbers",
        ),
    ],
)
def test_unusable_target_is_an_error(values, task, message):
    with pytest.raises(DataError, match=message):
        learned(pd.Series(values, name="y"), task, places=[1])


def test_blocks_of_different_types_are_an_error():
    tally = TargetAccumulator("y", None)
    tally.add(pd.Series([1, 2]))
    with pytest.raises(
        DataError, match="the target 'y' holds 1 in row 1 and 'x' in row 3: make it of one kind"
    ):
        tally.add(pd.Series(["x"], index=[2]))


@pytest.mark.parametrize(
    ("known", "later", "message"),
    [
        ([1, 2] * 10, ["x"], "the target 'y' holds 'x' in row 1, where numbers came before"),
        (["a", "b"] * 10, [1.0], "the target 'y' holds 1.0 in row 1, where text came before"),
        ([1, 2] * 10, [1.0, 2.5], "holds 2.5 in row 2, where whole numbers that name classes came before"),
        ([0.5, 2], ["x"], "the target 'y' holds text such as 'x'"),
    ],
)
def test_later_value_of_another_type_is_an_error(known, later, message):
    target = learned(pd.Series(known, name="y"), places=[1])
    with pytest.raises(DataError, match=message):
        target.read(pd.Series(later))


def test_too_many_text_labels_are_refused_and_many_numbers_mean_regression():
    many = pd.Series(np.arange(100_002), name="y")
    assert learned(many).reason == "it holds more than 100,000 different whole numbers"
    for labels in (many, many.astype(str)):
        with pytest.raises(DataError, match="the target 'y' holds more than 100,000 different labels"):
            learned(labels, "classification")


def test_classification_target_has_no_quantiles():
    with pytest.raises(DataError, match="the target 'y' holds classes, which have no quantiles"):
        learned(pd.Series(["a", "b"] * 10, name="y")).quantile(0.5)
