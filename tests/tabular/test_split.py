"""Stratified splits keep the class proportions, and never take a class's last row."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchprop.errors import DataError
from batchprop.tabular.split import check_each_class_twice, check_enough, stratified_split
from batchprop.tabular.target import Target


def classes(*counts):
    return Target("y", "classification", "", np.repeat(np.arange(len(counts)), counts))


class_counts = st.lists(st.integers(2, 60), min_size=2, max_size=6)


@given(class_counts, st.floats(0.01, 0.9), st.integers(0, 99))
def test_split_is_stratified(counts, fraction, seed):
    target = classes(*counts)
    rows = np.arange(len(target.values))
    stay, aside = stratified_split(target, rows, fraction, seed)
    assert np.array_equal(np.sort(np.concatenate([stay, aside])), rows)
    for label, count in enumerate(counts):
        taken = np.sum(target.values[aside] == label)
        assert 1 <= taken <= count - 1
        assert abs(taken - fraction * count) <= 1


def test_class_with_one_remaining_row_stays_in_training():
    target = classes(2, 20)
    rest, _ = stratified_split(target, np.arange(22), 0.2, 0)
    train, validation = stratified_split(target, rest, 0.15, 0)
    assert np.sum(target.values[train] == 0) == 1
    assert np.sum(target.values[validation] == 0) == 0


def test_numbers_are_split_at_random_by_the_seed():
    target = Target("y", "regression", "", np.linspace(0, 1, 100))
    parts = [stratified_split(target, np.arange(100), 0.25, seed)[1] for seed in (0, 0, 1)]
    assert len(parts[0]) == 25
    assert np.array_equal(parts[0], parts[1])
    assert not np.array_equal(parts[0], parts[2])


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (classes(4, 5), "there are 9 rows with a target 'y': at least 10 .* add rows"),
        (classes(1), "there is 1 row"),
        (classes(12), "holds one class only, 0, in all 12 rows: add rows of another"),
        (Target("y", "regression", "", np.ones(12)), "holds one number only, 1.0, in all 12 rows"),
        (classes(12, 1), "class 1 has one row, .* or merge the class, or use task='regression'"),
        (
            Target("y", "classification", "", np.array(["a"] * 12 + ["b", "c", "d", "e"])),
            r"4 classes \('b', 'c', 'd', ...\) have one row, too few .* merge the class$",
        ),
    ],
)
def test_impossible_split_is_refused_with_a_suggestion(target, message):
    def check():
        check_enough(target)
        check_each_class_twice(target)

    with pytest.raises(DataError, match=message):
        check()


def test_ten_rows_of_two_classes_are_enough():
    check_enough(classes(5, 5))
    check_each_class_twice(classes(8, 2))
