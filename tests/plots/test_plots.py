"""The plots of a training: the drawn data match the estimator."""

import sys
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from sklearn.datasets import load_diabetes, load_digits
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import batchprop as bp
from batchprop.errors import BatchpropError, InputError, ParameterError
from batchprop.estimators.parameters import AUTO_BATCH
from batchprop.plots import (
    ActivationHistogramDisplay,
    GradientNormDisplay,
    LearningCurveDisplay,
    NoiseScaleDisplay,
    WeightHistogramDisplay,
)
from batchprop.plots.validation import CHUNK_ROWS

mpl.use("Agg")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

OF_A_RECORD = [GradientNormDisplay, WeightHistogramDisplay, ActivationHistogramDisplay]


@pytest.fixture(autouse=True)
def _figures_are_closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:300] / 16, y[:300]


@pytest.fixture(scope="module")
def diabetes():
    X, y = load_diabetes(return_X_y=True)
    return X[:200] * 20, (y[:200] - 150) / 80


@pytest.fixture(scope="module")
def clf(digits):
    clf = bp.MLPClassifier((16, 8), max_iter=6, tol=0, random_state=0)
    return clf.fit(*digits, record_examples=True, monitor=("noise_scale",))


@pytest.fixture(scope="module")
def reg(diabetes):
    reg = bp.MLPRegressor(hidden_layer_sizes=(8,), max_iter=5, tol=0, random_state=0, batch_size=32)
    return reg.fit(*diabetes, record_examples=True, monitor=("noise_scale",))


def args_of(display, X, y):
    """The arguments of `from_estimator` besides the estimator."""
    return {GradientNormDisplay: (X, y), ActivationHistogramDisplay: (X,)}.get(display, ())


def heights(line):
    return np.asarray(line.get_ydata(), dtype=float)


# ---- the learning curve


def test_learning_curve_matches_the_estimator(clf):
    ax = Figure().subplots()
    display = LearningCurveDisplay.from_estimator(clf, ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert heights(display.training_line_).tolist() == clf.loss_curve_
    assert display.training_line_.get_xdata().tolist() == [1, 2, 3, 4, 5, 6]
    assert set(display.best_line_.get_xdata()) == {clf.best_iteration_}
    assert display.validation_line_ is display.score_ax_ is display.rate_ax_ is None
    assert ax.get_xlabel() == "epoch"
    assert ax.figure.axes == [ax]


def test_validation_loss_score_and_learning_rate_are_drawn(digits):
    clf = bp.MLPClassifier((8,), max_iter=25, early_stopping=True, learning_rate="cosine", random_state=0)
    clf.fit(*digits)
    display = LearningCurveDisplay.from_estimator(clf)
    assert heights(display.validation_line_).tolist() == clf.validation_loss_curve_
    assert heights(display.score_line_).tolist() == clf.validation_scores_
    assert heights(display.rate_line_).tolist() == clf.learning_rate_curve_
    assert display.score_ax_.get_ylabel() == "accuracy"
    assert display.figure_.axes == [display.ax_, display.score_ax_, display.rate_ax_]
    assert [panel.get_xlabel() for panel in display.figure_.axes] == ["", "", "epoch"]


@pytest.mark.parametrize(
    ("scoring", "told"), [(None, "R²"), ("neg_mean_squared_error", "neg mean squared error"), ("loss", None)]
)
def test_score_is_named_and_negative_loss_is_not_drawn_twice(diabetes, scoring, told):
    reg = bp.MLPRegressor(
        hidden_layer_sizes=(4,), max_iter=3, early_stopping=True, scoring=scoring, random_state=0
    )
    display = LearningCurveDisplay.from_estimator(reg.fit(*diabetes), ax=Figure().subplots())
    assert (None if display.score_ax_ is None else display.score_ax_.get_ylabel()) == told


def test_custom_scoring_is_labelled_score(diabetes):
    reg = bp.MLPRegressor(hidden_layer_sizes=(4,), max_iter=3, early_stopping=True, random_state=0)
    reg.set_params(scoring=lambda estimator, X, y: -float(np.abs(estimator.predict(X) - y).max()))
    display = LearningCurveDisplay.from_estimator(reg.fit(*diabetes), ax=Figure().subplots())
    assert display.score_ax_.get_ylabel() == "score"


def test_lbfgs_plot_has_iterations_and_no_learning_rate(digits):
    clf = bp.MLPClassifier((8,), solver="lbfgs", max_iter=5, random_state=0).fit(*digits)
    display = LearningCurveDisplay.from_estimator(clf, ax=Figure().subplots())
    assert heights(display.training_line_).tolist() == clf.loss_curve_
    assert display.rate_ax_ is None
    assert display.ax_.get_xlabel() == "iteration"
    assert display.best_line_.get_label() == "best: iteration 5"


def test_lower_panels_share_the_space_of_the_given_axes():
    rates: dict[str, Any] = {"loss": [3.0, 2.0, 1.0], "learning_rate": [3, 2, 1]}
    figure = Figure()
    left, right = figure.subplots(1, 2)
    display = LearningCurveDisplay(**rates).plot(ax=left)
    assert display.rate_ax_.get_position().y0 == pytest.approx(right.get_position().y0)
    assert display.ax_.get_position().y1 == pytest.approx(right.get_position().y1)
    by_hand = figure.add_axes((0.5, 0.25, 0.25, 0.5))
    display = LearningCurveDisplay(**rates).plot(ax=by_hand)
    assert display.rate_ax_.get_position().bounds[:3] == pytest.approx((0.5, 0.25, 0.25))
    assert display.ax_.get_position().y1 == pytest.approx(0.75)


def test_wide_range_of_losses_uses_a_log_scale():
    assert LearningCurveDisplay(loss=[10.0, 1.0]).plot().ax_.get_yscale() == "linear"
    assert LearningCurveDisplay(loss=[100.0, 1.0]).plot().ax_.get_yscale() == "log"
    assert LearningCurveDisplay(loss=[100.0, 0.0]).plot().ax_.get_yscale() == "linear"


def test_hidden_loss_is_not_drawn_and_empty_plot_is_refused():
    display = LearningCurveDisplay(loss=[np.nan, np.nan], validation_loss=[2.0, 1.0]).plot()
    assert display.training_line_ is None
    assert heights(display.validation_line_).tolist() == [2.0, 1.0]
    for loss in ([], [np.nan, np.nan]):
        with pytest.raises(InputError, match=f"no loss among {len(loss)} entries: train .* X_val and y_val"):
            LearningCurveDisplay(loss=loss).plot()


def test_curves_of_several_lengths_are_refused():
    with pytest.raises(InputError, match=r"the curves have \[2, 1\] entries: give as many of each"):
        LearningCurveDisplay(loss=[2.0, 1.0], learning_rate=[0.1]).plot()


# ---- gradient norms


def test_gradient_norms_match_each_snapshot(clf, digits):
    ax = Figure().subplots()
    display = GradientNormDisplay.from_estimator(clf, *digits, ax=ax)
    assert display.ax_ is ax
    assert [text.get_text() for text in ax.get_xticklabels()] == ["0", "1", "2", "4", "6"]
    assert [line.get_label() for line in display.lines_] == ["layer 1", "layer 2", "output"]
    for c, point in enumerate(clf.weight_snapshots_):
        squared = clf.at_snapshot(point).backprop(*digits).gradient.squared_norms_per_layer()
        for k, norms in enumerate(np.sqrt(squared)):
            low, median, high = np.quantile(norms, (0.05, 0.5, 0.95))
            assert heights(display.lines_[k])[c] == pytest.approx(median, rel=1e-6)
            assert heights(display.bars_[k])[3 * c : 3 * c + 2] == pytest.approx([low, high], rel=1e-6)


def test_rows_are_processed_in_chunks(clf, digits):
    X, y = (np.tile(part, (5, 1)[: part.ndim]) if part.ndim > 1 else np.tile(part, 5) for part in digits)
    assert len(X) > CHUNK_ROWS
    whole = np.sqrt(clf.backprop(X, y).gradient.squared_norms_per_layer())
    display = GradientNormDisplay.from_estimator(clf, X, y)
    assert [heights(line)[-1] for line in display.lines_] == pytest.approx(np.median(whole, axis=1), rel=1e-6)


def test_zero_norms_are_drawn_at_the_bottom():
    quantiles = np.array([[[0.0, 0.0, 1.0], [0.5, 1.0, 2.0]]])
    display = GradientNormDisplay(epochs=[0, 1], quantiles=quantiles).plot()
    assert display.ax_.get_ylim()[0] == pytest.approx(heights(display.lines_[0])[0])
    assert GradientNormDisplay(epochs=[0, 1], quantiles=0 * quantiles).plot().ax_.get_yscale() == "linear"


def test_quantiles_of_the_wrong_shape_are_refused():
    with pytest.raises(InputError, match=r"quantiles has shape \(1, 2, 2\): give \(layers, 2, 3\)"):
        GradientNormDisplay(epochs=[0, 1], quantiles=np.ones((1, 2, 2))).plot()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"y": [1, 2]}, "X has 300 rows and y 2: give one target for each row"),
        ({"X": [], "y": []}, "X has no rows"),
        ({"X": 3.0}, "3.0 has no rows: give an array"),
        ({"X": np.float64(3.0)}, "has no rows: give an array"),
    ],
)
def test_invalid_rows_are_refused(clf, digits, change, told):
    rows = {"X": digits[0], "y": digits[1], **change}
    with pytest.raises(InputError, match=told):
        GradientNormDisplay.from_estimator(clf, **rows)


# ---- the noise scale


def test_noise_scale_matches_the_monitor(clf, reg):
    for estimator, size in ((clf, AUTO_BATCH), (reg, 32)):
        ax = Figure().subplots()
        display = NoiseScaleDisplay.from_estimator(estimator, ax=ax)
        assert display.ax_ is ax
        result = np.array(estimator.monitor_["noise_scale"])
        assert heights(display.line_) == pytest.approx(
            np.where(np.isinf(result), np.nan, result), nan_ok=True
        )
        assert heights(display.batch_line_).tolist() == [size] * len(result)


@pytest.mark.parametrize(("batch_size", "rows"), [("full", 300), ("auto", 200), (100, 100)])
def test_batch_size_matches_the_fit(digits, batch_size, rows):
    clf = bp.MLPClassifier((4,), max_iter=2, batch_size=batch_size, random_state=0)
    clf.fit(*digits, monitor=["noise_scale"])
    assert NoiseScaleDisplay.from_estimator(clf).batch_line_.get_ydata().tolist() == [rows, rows]


def test_growing_batch_sizes_are_drawn_per_epoch(digits):
    clf = bp.MLPClassifier((4,), max_iter=4, batch_size="noise", tol=0, random_state=0).fit(*digits)
    display = NoiseScaleDisplay.from_estimator(clf)
    assert heights(display.batch_line_).tolist() == clf.monitor_["batch_size"]
    clf.monitor_["batch_size"].pop()  # as after a first fit whose batches did not grow
    assert NoiseScaleDisplay.from_estimator(clf).batch_line_ is None


def test_infinite_and_undefined_values_are_gaps_with_a_note():
    display = NoiseScaleDisplay(noise_scale=[5.0, np.inf, np.nan, 7.0, np.nan], batch_size=2).plot()
    assert heights(display.line_) == pytest.approx([5, np.nan, np.nan, 7, np.nan], nan_ok=True)
    assert display.infinite_.get_xdata().tolist() == [2]
    assert display.undefined_.get_xdata().tolist() == [3, 5]
    told = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert told[2:] == ["infinite: batches too small (1 epoch)", "undefined: too few examples (2 epochs)"]


@pytest.mark.parametrize("scale", [[np.inf], [np.nan, np.nan], [0.0, 1.0]])
def test_scale_is_linear_without_positive_values(scale):
    display = NoiseScaleDisplay(noise_scale=scale).plot()
    assert display.ax_.get_yscale() == "linear"
    assert display.batch_line_ is None


def test_noise_scale_and_batch_size_of_different_lengths_are_refused():
    with pytest.raises(InputError, match="noise_scale is empty"):
        NoiseScaleDisplay(noise_scale=[]).plot()
    with pytest.raises(InputError, match=r"batch_size has shape \(2,\): give one number, or one for each of"):
        NoiseScaleDisplay(noise_scale=[1.0, 2.0, 3.0], batch_size=[1, 2]).plot()


def test_missing_monitor_is_named(digits):
    clf = bp.MLPClassifier((4,), max_iter=1, random_state=0).fit(*digits)
    with pytest.raises(InputError, match=r"monitor_ holds nothing: fit with monitor=\('noise_scale',\)"):
        NoiseScaleDisplay.from_estimator(clf)
    clf.fit(*digits, monitor=["update_ratio"])
    with pytest.raises(InputError, match="monitor_ holds update_ratio_0, update_ratio_1: fit"):
        NoiseScaleDisplay.from_estimator(clf)


# ---- histograms


def ridge_counts(ridges, size):
    """The counts behind a panel's ridges, up to its scale."""
    rows = [ridge.get_data() for ridge in ridges]
    tall = np.array([data.baseline - data.values for data in rows])
    widths = np.diff(rows[0].edges)
    return tall * widths * size


def test_weights_are_counted_at_each_snapshot(clf):
    given = Figure().subplots(3, 1)
    display = WeightHistogramDisplay.from_estimator(clf, bins=20, ax=given)
    assert list(display.axes_) == list(given)
    assert display.figure_ is given[0].figure
    for k, ridges in enumerate(display.ridges_):
        edges = ridges[0].get_data().edges
        wanted = np.array([np.histogram(point.coefs[k], edges)[0] for point in clf.weight_snapshots_])
        assert (wanted.sum(axis=1) == clf.coefs_[k].size).all()  # the edges leave none out
        drawn = ridge_counts(ridges, clf.coefs_[k].size)
        assert drawn / drawn.max() == pytest.approx(wanted / wanted.max(), abs=1e-5)
    assert [text.get_text() for text in given[0].get_yticklabels()] == ["0", "1", "2", "4", "6"]


def test_zero_activations_are_excluded_and_their_share_is_shown(clf, digits):
    X = np.tile(digits[0], (5, 1))
    display = ActivationHistogramDisplay.from_estimator(clf, X)
    assert [panel.get_title() for panel in display.axes_] == ["layer 1", "layer 2", "output"]
    for c, point in enumerate(clf.weight_snapshots_):
        for k, H in enumerate(clf.at_snapshot(point).activations(X)[1:]):
            wanted = np.histogram(H[H != 0], display.edges[k])[0] / H.size
            assert display.densities[k][c] * np.diff(display.edges[k]) == pytest.approx(wanted)
            assert display.zeros[k][c] == pytest.approx(np.mean(H == 0))
    told = [text.get_text() for text in display.axes_[0].texts]
    assert told == [f"{share:.0%} are 0" for share in display.zeros[0]]
    assert not display.axes_[2].texts  # softmax makes no zeros


def test_dead_layer_has_a_flat_ridge_and_a_note(digits):
    clf = bp.MLPClassifier((2,), max_iter=1, random_state=0)
    begin: dict[str, Any] = {
        "coefs_init": [np.zeros((64, 2)), np.zeros((2, 10))],
        "intercepts_init": [-np.ones(2), np.zeros(10)],
    }
    clf.fit(*digits, record_examples=True, **begin)
    display = ActivationHistogramDisplay.from_estimator(clf, digits[0])
    assert [text.get_text() for text in display.axes_[0].texts] == ["100% are 0", "100% are 0"]


def test_four_layers_fill_two_rows_of_panels(digits):
    clf = bp.MLPClassifier((6, 5, 4), max_iter=1, random_state=0).fit(*digits, record_examples=True)
    display = WeightHistogramDisplay.from_estimator(clf)
    assert len(display.axes_) == len(display.figure_.axes) == 4


@pytest.mark.parametrize("display", [WeightHistogramDisplay, ActivationHistogramDisplay])
def test_wrong_number_of_axes_is_refused(display, clf, digits):
    with pytest.raises(InputError, match=r"ax holds 2 axes, and there are 3 layers: give one for each"):
        display.from_estimator(clf, *args_of(display, *digits), ax=Figure().subplots(1, 2))


@pytest.mark.parametrize("bins", [0, 2.5, "x"])
def test_invalid_number_of_bins_is_refused(clf, bins):
    with pytest.raises(ParameterError, match=r"bins=.* is not allowed: give at least 1 bar"):
        WeightHistogramDisplay.from_estimator(clf, bins=bins)


# ---- all plots


@pytest.mark.parametrize("display", [LearningCurveDisplay, NoiseScaleDisplay, *OF_A_RECORD])
def test_regressor_is_drawn(display, reg, diabetes):
    drawn = display.from_estimator(reg, *args_of(display, *diabetes))
    drawn.figure_.canvas.draw()


@pytest.mark.parametrize("display", OF_A_RECORD)
def test_accepts_data_frames_and_sparse_rows(display, clf, digits):
    import pandas as pd
    from scipy.sparse import csr_matrix

    X, y = digits
    for rows in ((csr_matrix(X), y), (X.tolist(), y.tolist()), (pd.DataFrame(X).to_numpy(), pd.Series(y))):
        display.from_estimator(clf, *args_of(display, *rows))


@pytest.mark.parametrize("display", OF_A_RECORD)
def test_unrecorded_fit_error_says_how_to_record(display, digits):
    for solver in ("adam", "lbfgs"):
        clf = bp.MLPClassifier((4,), max_iter=1, solver=solver, random_state=0).fit(*digits)
        with pytest.raises(AttributeError, match="record_examples=True"):
            display.from_estimator(clf, *args_of(display, *digits))


@pytest.mark.parametrize("display", [LearningCurveDisplay, NoiseScaleDisplay, *OF_A_RECORD])
def test_unfitted_estimators_and_other_models_are_refused(display, digits):
    with pytest.raises(NotFittedError, match="not fitted"):
        display.from_estimator(bp.MLPClassifier(), *args_of(display, *digits))
    pipeline = make_pipeline(StandardScaler(), bp.MLPClassifier((4,), max_iter=1)).fit(*digits)
    with pytest.raises(InputError, match=r"a Pipeline has no network to plot.* give its last step"):
        display.from_estimator(pipeline, *args_of(display, *digits))


def test_missing_matplotlib_error_names_the_extra(clf, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(BatchpropError, match=r'pip install "batchprop\[tables\]"'):
        LearningCurveDisplay.from_estimator(clf)


def test_forty_layers_leave_room_for_their_quantile_bars():
    quantiles = np.tile([1.0, 2.0, 3.0], (40, 2, 1))
    low, high = GradientNormDisplay(epochs=[0, 1], quantiles=quantiles).plot().ax_.get_ylim()
    assert low < 1
    assert 3 < high < 100
