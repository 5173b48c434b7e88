"""Bad targets: labels, classes and numbers that cannot be learned, with clear errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

import batchprop as bp
from batchprop.errors import InputError, TargetScaleWarning
from tests.estimators.tables import estimator, quiet, refused, table

pytestmark = quiet


@pytest.mark.parametrize(("value", "named"), [(math.nan, "NaN"), (math.inf, "infinity")])
@pytest.mark.parametrize("target", ["single", "several"])
def test_nonfinite_target_is_refused(value: float, named: str, target: str) -> None:
    X, y = table(target)
    y[4] = value
    where = "row 4: " if target == "single" else "row 4, column 0: "
    with refused(f"y contains {named}, first in {where}"):
        estimator(target).fit(X, y)


def test_text_target_of_a_regressor_is_refused() -> None:
    X, y = table("binary")
    for target in (y, y.astype(object), pd.Series(y)):
        with refused("y holds 'yes', which is not a number", "use MLPClassifier for classes"):
            estimator("single").fit(X, np.where(target == "no", "1.5", target))
    with refused("Unknown label type: continuous. Maybe", "y holds 0.5, of the type float: predict such"):
        estimator("binary").fit(X, np.arange(len(X)) / 2)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_targets_far_from_unit_scale_are_told_with_the_remedy(solver: str) -> None:
    X, y = table("single", 60)
    y = (y - y.mean()) / y.std()
    several, weights = np.column_stack([y, 100 * y]), np.r_[np.ones(59), 0.0]
    network = estimator("single", solver=solver, max_iter=1)
    remedy = r"TransformedTargetRegressor\(.*TabularRegressor"
    for far, named in (
        (0.05 * y, "y has mean .* and standard deviation 0.05,"),
        (25 * y, "y has mean .* and standard deviation 25,"),
        (y - 20, "y has mean −20 and standard deviation 1,"),
        (several, "column 1 of y has mean .* and standard deviation 100,"),
    ):
        with pytest.warns(TargetScaleWarning, match=f"{named} .*{remedy}"):
            network.fit(X, far)
    spoilt = np.r_[y[:59], 1e6]
    for near in (y, 3 * y + 5, 0.2 * y, 0 * y):
        network.fit(X, near)
    network.fit(X, spoilt, weights)
    network.set_params(loss="poisson").fit(X, 20 + 5 * y)
    if solver == "adam":
        network.set_params(loss="squared_error").partial_fit(X, 100 * y)


def test_negative_counts_are_refused() -> None:
    X, y = table("counts")
    y[3] = -2.0
    with refused("y holds -2: loss='poisson' counts, from 0 up; use another loss"):
        estimator("counts", loss="poisson").fit(X, y)


def test_single_class_is_refused() -> None:
    X, y = table("binary")
    with refused("y holds one class only (['no']): a classifier needs rows of at least two classes"):
        estimator("binary").fit(X, np.full_like(y, "no"))
    with refused("column 1 of y holds one class only ([3])"):
        estimator("multioutput").fit(X, np.column_stack([np.arange(len(y)) % 3, np.full(len(y), 3)]))
    with refused("classes holds one class only (['no'])"):
        estimator("binary").partial_fit(X, y, classes=["no"])
    with refused("classes[1] holds one class only ([5])"):
        estimator("multioutput").partial_fit(*table("multioutput"), classes=[[0, 1, 2], [5]])


def test_class_with_one_row_cannot_be_split() -> None:
    X, y = table("binary")
    y = np.where(np.arange(len(y)) == 5, "yes", "no")
    sentence = "The least populated classes in y have only 1 member"
    remedy = "add rows of it, drop it, or validate on rows of your own"
    for kind in (str, object):
        with refused(sentence, "['True']: class 'yes' has one row only", remedy):
            estimator("binary", early_stopping=True).fit(X, y.astype(kind))
    estimator("binary", early_stopping=True).fit(X, y, X_val=X, y_val=y)


@pytest.mark.parametrize("call", ["partial_fit", "backprop", "fit"])
def test_unseen_label_is_refused(call: str) -> None:
    X, y = table("multiclass")
    clf = estimator("multiclass", max_iter=1).partial_fit(X, y, classes=[10, 11, 12])
    arguments = {"X": X, "y": y, "X_val": X, "y_val": y + 1} if call == "fit" else {"X": X, "y": y + 1}
    with refused(
        "y holds 13, not among the classes [10, 11, 12]: name every class on the first call, or fit"
    ):
        getattr(clf, call)(**arguments)


def test_unseen_labels_of_other_target_types_are_refused() -> None:
    X, y = table("multioutput")
    clf = estimator("multioutput")
    with refused("y holds 9, not among the classes [5, 7]"):
        clf.partial_fit(X, y, classes=[[0, 1, 2], [5, 7]])
    X, y = table("multilabel")
    clf = estimator("multilabel").partial_fit(X, y)
    with refused("y holds values other than 0 and 1"):
        clf.partial_fit(X, 2 * y)
    with refused("y has shape (120, 2): the labels before were 3 columns of 0 and 1"):
        clf.partial_fit(X, y[:, :2])


def test_missing_or_changed_classes_are_refused() -> None:
    X, y = table("multiclass")
    with refused("classes must be passed on the first call to partial_fit: classes=None; give all"):
        estimator("multiclass").partial_fit(X, y)
    clf = estimator("multiclass").partial_fit(X, y, classes=[12, 11, 10])
    with refused("`classes=[10, 11]` is not the same as on last call", "was: array([10, 11, 12]); give the"):
        clf.partial_fit(X, y, classes=[10, 11])
    with refused("y has shape (120, 2): the target before was one column of classes"):
        clf.partial_fit(X, np.column_stack([y, y]))
    several = table("multioutput")
    with refused("classes=a 0 0 1 1 does not say the classes of the 2 columns of y", "a list with one array"):
        estimator("multioutput").partial_fit(*several, classes=pd.DataFrame({"a": [0, 1]}))
    for classes in (None, [0, 1, 2, 5, 7, 9]):
        with refused(
            f"classes={classes!r} does not say the classes of the 2 columns of y", "a list with one array"
        ):
            estimator("multioutput").partial_fit(*several, classes=classes)
    with refused("y has shape (120, 2): give one column for each of 3 targets"):
        estimator("multioutput").partial_fit(*several, classes=[[0, 1, 2], [5, 7, 9], [0, 1]])


def test_failed_first_partial_fit_leaves_the_estimator_unfitted() -> None:
    X, y = table("multiclass")
    clf = estimator("multiclass")
    with refused("y holds 12"):
        clf.partial_fit(X, y, classes=[10, 11])
    clf.partial_fit(X, y, classes=[10, 11, 12])
    assert clf.n_outputs_ == 3


def test_target_of_the_wrong_shape_is_refused() -> None:
    X, y = table("several")
    reg = estimator("several").partial_fit(X, y)
    for call in (reg.partial_fit, reg.backprop):
        with refused("y makes 2 outputs, and the network has 3: give a target of the same shape"):
            call(X, y[:, :2])
    with refused("y makes 2 outputs, and the network has 3"):
        reg.fit(X, y, X_val=X, y_val=y[:, :2])


def test_warm_start_requires_the_same_classes_and_sizes() -> None:
    X, y = table("multiclass")
    clf = estimator("multiclass", warm_start=True).fit(X, y)
    sentence = "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
    with refused(f"{sentence}Previously got [10 11 12], `y` has [11 12 13]: give y of the same classes, or"):
        clf.fit(X, y + 1)
    with refused("coefs_ has shapes [(5, 8), (8, 3)]: ", "ask for [(5, 4), (4, 3)]"):
        clf.set_params(hidden_layer_sizes=4).fit(X, y)
    X, y = table("multioutput")
    clf = estimator("multioutput", warm_start=True).fit(X, y).fit(X, y)
    with refused(sentence):
        clf.fit(X, y + 1)
    with refused(sentence):
        clf.fit(X, y[:, 0])


@pytest.mark.parametrize(
    ("class_weight", "parts"),
    [
        ({np.int64(9): 1}, ["class_weight has a weight for 9, not among the classes [10, 11, 12]"]),
        ({10: -1}, ["class_weight holds -1, which is not a number of at least 0"]),
        ({10: math.nan}, ["class_weight holds nan, which is no"]),
        ({10: "a"}, ["class_weight holds 'a', which is no"]),
        ({10: 0, 11: 0, 12: 0}, ["give at least one class a positive weight"]),
        ([{}, {}], ["class_weight=[{}, {}] does not fit the 1 column of y: give a list with one dict"]),
        ([3], ["class_weight holds 3, which is not a dict {class: weight}"]),
    ],
    ids=str,
)
def test_invalid_class_weights_are_refused(class_weight: Any, parts: list[str]) -> None:
    with refused(*parts):
        estimator("multiclass", class_weight=class_weight).fit(*table("multiclass"))


@pytest.mark.parametrize(
    ("label", "said"), [(None, "y holds None, first in row 3: "), (math.nan, "y contains NaN")]
)
def test_missing_label_is_refused(label: object, said: str) -> None:
    X, y = table("binary")
    labels = y.astype(object)
    labels[3] = label
    with refused(said, "leave out"):
        estimator("binary").fit(X, labels)


def test_labels_of_mixed_types_are_refused() -> None:
    X, y = table("binary")
    labels = y.astype(object)
    labels[3] = 1
    clf, half = estimator("binary"), len(X) // 2
    parts = [(X[:half], labels[:half]), (X[half:], labels[half:])]
    numbered = [(X[:half], np.arange(half)), (X[half:], y[half:])]
    for fit in (
        lambda: clf.fit(X, labels),
        lambda: clf.fit(parts),
        lambda: clf.fit(numbered),
        lambda: clf.partial_fit(X, labels, classes=["no", "yes"]),
        lambda: clf.partial_fit(X, labels, classes=["no", "yes", 1]),
    ):
        with refused("y mixes int and str: give labels of one kind"):
            fit()


@pytest.mark.parametrize("label", [Decimal, lambda i: str(i).encode()], ids=["decimals", "bytes"])
def test_partial_fit_refuses_the_labels_that_fit_refuses(label: Callable[[int], Any]) -> None:
    X, _ = table("binary")
    clf, y = estimator("binary"), np.array([label(i % 2) for i in range(len(X))])
    with pytest.raises((InputError, TypeError)) as of_fit:
        clf.fit(X, y)
    with pytest.raises((InputError, TypeError)) as of_part:
        clf.partial_fit(X, y, classes=np.unique(y))
    assert str(of_part.value).partition(" y holds")[0] == str(of_fit.value).partition(" y holds")[0]


@pytest.mark.parametrize("labels", [[True, False], [7, 2**63], [-1, 7]], ids=str)
def test_labels_that_are_python_objects_are_those_of_their_type(labels: list[Any]) -> None:
    X, _ = table("binary")
    y = np.resize(np.array(labels, dtype=object), len(X))
    typed = y.astype(bool if labels[0] is True else "uint64" if max(labels) >= 2**63 else "int64")
    for clf in (estimator("binary"), bp.TabularClassifier("fast", n_members=1, max_iter=1)):
        answers = clf.fit(X, pd.Series(y)).predict(X)
        assert (clf.fit(X, y.tolist()).predict(X) == answers).all()
        assert answers.dtype == typed.dtype
        assert (answers == clf.fit(X, typed).predict(X)).all()
        assert clf.score(X, y) == np.mean(answers == typed)


def test_integers_from_2_63_on_beside_small_ones_are_not_merged() -> None:
    X, _ = table("binary")
    X, y, classes = X[:60], [1, 2**63, 2**63 + 1] * 20, np.array([1, 2**63, 2**63 + 1], np.uint64)
    clf, halves = estimator("binary", max_iter=1), [(X[:30], y[:30]), (X[30:], y[30:])]
    assert (clf.fit(X, y).classes_ == classes).all()
    assert (clf.fit(halves).classes_ == classes).all()
    clf = estimator("binary")
    for _ in range(2):  # the first call learns the classes, the second compares them
        assert (clf.partial_fit(X, y, classes=classes.tolist()).classes_ == classes).all()


def test_integers_beyond_64_bits_are_refused_with_what_to_give() -> None:
    X, _ = table("binary")
    y = np.array([10**30 + i % 2 for i in range(len(X))], dtype=object)
    for clf in (estimator("binary"), bp.TabularClassifier("fast", n_members=1, max_iter=1)):
        with refused("y holds 1000000000000000000000000000000, of the type int: give text, as y.astype(str)"):
            clf.fit(X, y)
        assert set(clf.fit(X, y.astype(str)).classes_) == {str(10**30), str(10**30 + 1)}
