"""The data map and the contact sheet: the drawn data match the record."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import batchprop as bp
from batchprop.errors import InputError, ParameterError

mpl.use("Agg")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:300] / 16, y[:300]


@pytest.fixture(scope="module")
def clf(digits):
    return bp.MLPClassifier((16,), max_iter=8, tol=1.0, random_state=0).fit(*digits, record_examples=True)


def test_data_map_shows_every_row_once_at_its_position(clf):
    ax = Figure().subplots()
    display = bp.plots.DataMapDisplay.from_estimator(clf, ax=ax)
    assert display.ax_ is ax
    result = clf.examples_
    assert np.allclose(display.scatter_.get_offsets(), result[["variability", "confidence"]])
    assert np.allclose(display.scatter_.get_array(), result["correctness"])


def test_held_out_rows_are_not_drawn(digits):
    clf = bp.MLPClassifier((8,), max_iter=3, early_stopping=True, random_state=0)
    clf.fit(*digits, record_examples=True)
    display = bp.plots.DataMapDisplay.from_estimator(clf)
    assert len(display.scatter_.get_offsets()) == 270


def test_data_map_of_a_regression_is_refused(digits):
    reg = bp.MLPRegressor(hidden_layer_sizes=(8,), max_iter=3, random_state=0).fit(
        *digits, record_examples=True
    )
    with pytest.raises(InputError, match="no 'confidence': a data map is of labels"):
        bp.plots.DataMapDisplay.from_estimator(reg)


def test_a_contact_sheet_shows_the_most_suspicious_first(clf, digits):
    sheet = bp.plots.ContactSheetDisplay.from_estimator(clf, digits[0], image_shape=(8, 8), top=13)
    most = clf.examples_.nsmallest(13, "mislabel_rank")
    for image, row in zip(sheet.images_, most.index, strict=True):
        assert np.array_equal(image.get_array(), digits[0][row].reshape(8, 8))
    captions = [text.get_text() for text in sheet.ax_.texts]
    assert captions[0].startswith(f"row {most.index[0]}\n{most['given_label'].iloc[0]}")
    other = most["given_label"] != most["predicted_label"]
    assert [caption.endswith("?") for caption in captions] == other.tolist()


def test_colour_images_are_shown(clf, digits):
    colours = np.repeat(digits[0].reshape(-1, 8, 8, 1), 3, axis=3)
    sheet = bp.plots.ContactSheetDisplay.from_estimator(clf, colours, image_shape=(8, 8, 3), top=2)
    assert sheet.images_[0].get_array().shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"image_shape": (8, 9)}, InputError, "64 values in each row"),
        ({"image_shape": (64,)}, ParameterError, "give height and width"),
        ({"image_shape": (0, 8)}, ParameterError, "give height and width"),
        ({"image_shape": 8}, ParameterError, "image_shape=8 is not allowed: give height and width"),
        ({"image_shape": "ab"}, ParameterError, "image_shape='ab' is not allowed: give height and width"),
        ({"image_shape": (8.0, 8.0)}, ParameterError, "give height and width"),
        ({"image_shape": None}, ParameterError, "give height and width"),
        ({"top": 0}, ParameterError, "at least 1 image"),
        ({"top": 2.5}, ParameterError, "at least 1 image"),
        ({"top": "x"}, ParameterError, "at least 1 image"),
        ({"X": np.zeros((5, 64))}, InputError, "5 rows, and the training data 300"),
    ],
)
def test_invalid_contact_sheet_is_refused(clf, digits, change, error, told):
    given = {"X": digits[0], "image_shape": (8, 8), **change}
    with pytest.raises(error, match=told):
        bp.plots.ContactSheetDisplay.from_estimator(clf, given.pop("X"), **given)


@pytest.mark.parametrize("columns", [0, 2.5, None])
def test_invalid_number_of_columns_is_refused(clf, digits, columns):
    sheet = bp.plots.ContactSheetDisplay.from_estimator(clf, digits[0], image_shape=(8, 8), top=2)
    with pytest.raises(ParameterError, match=r"columns=.* is not allowed: give at least 1 column"):
        sheet.plot(columns=columns)


def test_contact_sheet_of_several_targets_is_refused(digits):
    X, y = digits
    clf = bp.MLPClassifier((8,), max_iter=2, random_state=0)
    clf.fit(X, np.column_stack([y > 4, y % 2]).astype(int), record_examples=True)
    with pytest.raises(InputError, match="several targets"):
        bp.plots.ContactSheetDisplay.from_estimator(clf, X, image_shape=(8, 8))


def test_unrecorded_fit_is_refused(digits):
    clf = bp.MLPClassifier((8,), max_iter=2, random_state=0).fit(*digits)
    with pytest.raises(AttributeError, match="record_examples=True"):
        bp.plots.DataMapDisplay.from_estimator(clf)
