"""``TabularClassifier`` and ``TabularRegressor``: scikit-learn's contract, and tables as people have them."""

import pickle
import shutil
import threading
from typing import Any, cast

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import stats
from sklearn.inspection import permutation_importance
from sklearn.metrics import mean_pinball_loss
from sklearn.model_selection import cross_val_score

import batchprop as bp
from batchprop.errors import (
    BatchpropError,
    CheckpointError,
    DataError,
    InputError,
    ParameterError,
    UnseenValueWarning,
)
from batchprop.estimators.fit import only_fit
from batchprop.tabular.presets import PRESETS
from tests.estimators.tables import with_checks

BRIEF: dict[str, Any] = {
    "preset": "fast",
    "max_iter": 10,
    "learning_rate_init": 0.02,
    "dropout": 0.0,
    "hidden_layer_sizes": (32,),
    "engine": "numpy",
}
INHERENT = {
    "check_sample_weight_equivalence_on_dense_data": "a row that stands twice may be held out once and "
    "trained on once: rows and weights divide the table differently, into batches too"
}


@pytest.mark.filterwarnings("ignore")
# What a table is read into is the same for both; a regressor has the checks of targets and answers.
@with_checks(
    {
        bp.TabularClassifier(**BRIEF): "",
        bp.TabularRegressor(
            **BRIEF
        ): "regress|train|y_|target|sample_weight|pickle|invariance|dtype|unfitted",
    },
    INHERENT,
)
def test_check_estimator(estimator, check):
    check(estimator)


def houses(n=160, seed=0):
    """A table with numbers, words, dates and gaps, a price that depends on all, and whether it is dear."""
    rng = np.random.default_rng(seed)
    size, home = rng.uniform(30, 200, n), rng.choice(["flat", "house", "boat"], n)
    sold = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), "D")
    table = pd.DataFrame({"size": np.where(rng.random(n) < 0.1, np.nan, size), "home": home, "sold": sold})
    price = 1e6 + 50.0 * size + 3000.0 * (home == "house") + np.asarray(sold.day_of_year, float)
    return table, price.round(2), np.where(price > np.median(price), "dear", "cheap")


def test_a_table_of_any_library_gives_the_same_answers():
    table, price, label = houses()
    clf, reg = (
        bp.TabularClassifier(**BRIEF).fit(table, label),
        bp.TabularRegressor(**BRIEF).fit(table, price),
    )
    assert clf.score(table, label) > 0.85
    assert reg.score(table, price) > 0.6
    for convert in (pl.from_pandas, pa.Table.from_pandas):
        assert (
            bp.TabularClassifier(**BRIEF).fit(convert(table), label).predict(convert(table))
            == clf.predict(table)
        ).all()
        np.testing.assert_array_equal(reg.predict(convert(table)), reg.predict(table))


def test_answers_of_a_large_offset_keep_their_digits():
    table, price, _ = houses()
    reg = bp.TabularRegressor(**BRIEF).fit(table, price)
    assert len(np.unique(reg.predict(table))) > 150
    np.testing.assert_allclose(reg.predict(table).mean(), price.mean(), rtol=1e-3)
    assert np.isnan(reg.out_of_fold_).sum() == len(price) - len(reg.held_out_errors_) > 0


@pytest.mark.usefixtures("several_networks")
def test_the_ensemble_averages_as_many_networks_as_the_preset_says_and_fewer_on_few_rows():
    table, _, label = houses()
    brief = {**BRIEF, "max_iter": 1, "hidden_layer_sizes": (2,)}
    for preset, n in (("fast", 1), ("balanced", PRESETS["classification"]["balanced"].n_members)):
        clf = bp.TabularClassifier(**{**brief, "preset": preset}).fit(table, label)
        assert len(clf.network_.members_) == n
    few = bp.TabularClassifier(**{**brief, "preset": "best"}).fit(table[:20], label[:20])
    assert len(few.network_.members_) == 4
    assert np.isfinite(few.out_of_fold_).all()
    np.testing.assert_allclose(few.out_of_fold_.sum(axis=1), 1)


def test_rows_of_weight_0_are_as_if_absent_whatever_they_hold():
    table, price, label = houses()
    odd = pd.DataFrame({"size": [1e30], "home": ["castle"], "sold": [pd.Timestamp("1970-01-01")]})
    more, weights = pd.concat([table, odd]), np.r_[np.ones(len(table)), 0.0]
    brief = {**BRIEF, "max_iter": 3}
    plain = bp.TabularClassifier(**brief).fit(table, label, np.ones(len(table)))
    weighted = bp.TabularClassifier(**brief).fit(more, [*label, "absurd"], weights)
    assert weighted.classes_.tolist() == ["cheap", "dear"]
    np.testing.assert_array_equal(plain.predict_proba(table), weighted.predict_proba(table))
    reg = bp.TabularRegressor(**brief).fit(more, [*price, 1e300], weights)
    same = bp.TabularRegressor(**brief).fit(table, price, np.ones(len(table)))
    np.testing.assert_array_equal(reg.predict(table), same.predict(table))


def test_class_weights_are_named_by_the_labels_of_the_table():
    table, _, label = houses()
    clf = bp.TabularClassifier(**BRIEF, class_weight={"dear": 1e3, "cheap": 1e-3}).fit(table, label)
    assert (clf.predict(table) == "dear").all()


@pytest.mark.filterwarnings("default")
def test_a_value_that_the_training_had_not_is_told():
    table, _, label = houses()
    clf = bp.TabularClassifier(**{**BRIEF, "max_iter": 1}).fit(table, label)
    with pytest.warns(UnseenValueWarning, match=r"home: 1 of 3 rows .*castle"):
        clf.predict(table[:3].assign(home=["castle", "flat", "boat"]))
    with pytest.raises(DataError, match="'size' holds 'big' in row 1"):
        clf.predict(table[:1].assign(size="big"))


def test_intervals_hold_as_many_numbers_as_they_promise():
    table, price, _ = houses(400)
    reg = bp.TabularRegressor(**{**BRIEF, "n_members": 4}).fit(table[:300], price[:300])
    low, high = reg.predict_interval(table[300:], coverage=0.8).T
    # 100 rows of a probability of 0.8: five deviations to either side.
    assert 0.6 < np.mean((low <= price[300:]) & (price[300:] <= high)) < 1
    errors = np.sort(np.abs(reg.out_of_fold_ - price[:300]))
    np.testing.assert_allclose(high - low, 2 * errors[int(np.ceil(0.8 * 301)) - 1])
    np.testing.assert_allclose(np.sort(np.abs(reg.held_out_errors_)), errors)
    with pytest.raises(BatchpropError, match=r"coverage=0.999 needs more than the 300 held-out rows"):
        reg.predict_interval(table, coverage=0.999)
    with pytest.raises(BatchpropError, match=r"coverage='0\.9' is not allowed: give a number between 0"):
        reg.predict_interval(table, coverage=cast(Any, "0.9"))


def scattered(n, seed):
    """Numbers whose scatter grows with a column."""
    rng = np.random.default_rng(seed)
    x, scatter = rng.uniform(0, 4, n), rng.uniform(0, 1, n)
    return pd.DataFrame({"x": x, "scatter": scatter}), 1e4 + 100 * (np.sin(x) + scatter * rng.normal(size=n))


@pytest.mark.parametrize("quantiles", [None, [0.1, 0.5, 0.9], [0.25, 0.5, 0.75]])
def test_the_coverage_of_intervals_is_beta_binomial(quantiles):
    reg = bp.TabularRegressor(**BRIEF, quantiles=quantiles).fit(*scattered(800, 0))
    X, y = scattered(2000, 1)
    low, high = reg.predict_interval(X, coverage=0.8).T
    covered, n = np.sum((low <= y) & (y <= high)), len(reg.held_out_errors_)
    # One network, so split conformal: the rank k of n held-out errors covers a share Beta(k, n + 1 - k).
    k = int(np.ceil(0.8 * (n + 1)))
    assert 1e-6 < stats.betabinom.cdf(covered, len(y), k, n + 1 - k) < 1 - 1e-6
    if quantiles:
        wide, narrow = X["scatter"] > 0.8, X["scatter"] < 0.2
        assert np.mean((high - low)[wide]) > 1.5 * np.mean((high - low)[narrow])


def test_quantiles_ascend_in_the_unit_of_the_target_and_their_median_is_the_answer():
    X, y = scattered(600, 0)
    reg = bp.TabularRegressor(**{**BRIEF, "n_members": 4}, quantiles=[0.1, 0.5, 0.9]).fit(X, y)
    P = reg.predict_quantiles(X)
    assert P.shape == reg.out_of_fold_.shape == reg.held_out_errors_.shape == (600, 3)
    assert (np.diff(P, axis=1) >= 0).all()
    assert (np.diff(reg.out_of_fold_, axis=1) >= 0).all()
    np.testing.assert_array_equal(reg.predict(X), P[:, 1])
    # 600 rows of a probability of 0.1, 0.5 and 0.9: five deviations, and as much for the fit.
    np.testing.assert_allclose([np.mean(y < p) for p in P.T], [0.1, 0.5, 0.9], atol=0.12)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(reg)).predict_quantiles(X), P)


def pinball(fitted, X, y):
    columns = zip(fitted.predict_quantiles(X).T, fitted.quantiles, strict=True)
    return -np.mean([mean_pinball_loss(y, p, alpha=level) for p, level in columns])


def test_importances_are_those_of_scikit_learn_on_the_rows_held_out():
    table, price, label = houses(200)
    table = table.assign(same=1)
    brief = {**BRIEF, "n_members": 1}
    quantiles = bp.TabularRegressor(**brief, quantiles=[0.1, 0.5, 0.9])
    for estimator, y, score in (
        (bp.TabularRegressor(**brief), price, "neg_root_mean_squared_error"),
        (bp.TabularRegressor(**brief, loss="absolute_error"), price, "neg_mean_absolute_error"),
        (quantiles, price, pinball),
        (bp.TabularClassifier(**brief), label, "neg_log_loss"),
    ):
        fitted = estimator.fit(table, y)
        held_out = np.isfinite(fitted.out_of_fold_.reshape(200, -1)).all(axis=1)
        result = fitted.feature_importances(table, y, n_repeats=2, random_state=7)
        expected = permutation_importance(
            fitted, table[held_out], y[held_out], scoring=score, n_repeats=2, random_state=7
        )
        by_column = result.loc[list(table.columns)]
        np.testing.assert_allclose(by_column["mean"], expected.importances_mean, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(by_column["std"], expected.importances_std, rtol=1e-3, atol=1e-4)
        assert (result.at["same", "mean"], result.at["same", "std"]) == (0.0, 0.0)
        with pytest.raises(InputError, match="are not those of the training"):
            fitted.feature_importances(table, y[::-1])


def test_importances_leave_rows_of_weight_0_out_and_average_over_networks():
    table, price, _ = houses()
    weights = np.where(np.arange(160) % 4, 2.0, 0.0)
    reg = bp.TabularRegressor(**{**BRIEF, "n_members": 4}).fit(table, price, weights)
    weighted = reg.feature_importances(table, np.where(weights, price, np.nan), weights)
    same = reg.feature_importances(table[weights > 0], price[weights > 0])
    pd.testing.assert_frame_equal(weighted, same)
    assert (weighted["std"] > 0).all()
    with pytest.raises(ParameterError, match="n_repeats=0 is not allowed"):
        reg.feature_importances(table, price, n_repeats=0)


def test_it_is_saved_cloned_and_cross_validated_as_any_estimator():
    table, _, label = houses()
    clf = bp.TabularClassifier(**BRIEF).fit(table, label)
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(again.predict_proba(table), clf.predict_proba(table))
    assert cross_val_score(clf, table, label, cv=2).mean() > 0.7


def test_a_fit_is_resumed_from_its_checkpoints_and_privacy_is_refused_with_the_reason(tmp_path):
    table, price, _ = houses(60)
    brief = {**BRIEF, "max_iter": 3, "n_members": 2}
    whole = bp.TabularRegressor(**brief).fit(table, price, checkpoint=tmp_path)
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["member-1", "member-2"]
    shutil.rmtree(tmp_path / "member-2")
    resumed = bp.TabularRegressor(**brief).fit(table, price, checkpoint=tmp_path, resume=True)
    np.testing.assert_array_equal(resumed.predict(table), whole.predict(table))
    with pytest.raises(CheckpointError, match="of another fit"):
        bp.TabularRegressor(**brief, types={"size": "text"}).fit(
            table, price, checkpoint=tmp_path, resume=True
        )
    private: dict[str, Any] = {"privacy": 1.0}
    with pytest.raises(ParameterError, match="privacy is no parameter of TabularClassifier: the encoding"):
        bp.TabularClassifier(**private)


def test_thresholds_are_learned_that_a_network_without_bins_misses():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.uniform(size=600)})
    y = np.floor(X["x"] * 8) % 2
    steps = bp.TabularRegressor(**{**BRIEF, "max_iter": 40}).fit(X[:400], y[:400])
    plain = bp.MLPRegressor(
        hidden_layer_sizes=(32,),
        max_iter=40,
        tol=0.0,
        n_iter_no_change=40,
        random_state=0,
        engine="numpy",
        learning_rate_init=0.02,
    )
    assert steps.score(X[400:], y[400:]) > 0.5
    with pytest.warns(Warning, match="Maximum iterations"):
        assert plain.fit(X[:400], y[:400]).score(X[400:], y[400:]) < 0.3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"preset": "quick"}, "preset"),
        ({"n_members": 0}, "n_members=0 is not allowed"),
        ({"n_members": 2.5}, "n_members=2.5 is not allowed"),
        ({"random_state": "x"}, "random_state='x' is not allowed"),
        ({"time_limit": -1.0}, "time_limit=-1.0 is not allowed"),
        ({"dropout": 2.0}, "dropout"),
        ({"types": {"home": "nothing"}}, "nothing"),
        (
            {"quantiles": [0.9, 0.5]},
            r"quantiles=\[0.9, 0.5\] is not allowed: give None, or ascending numbers",
        ),
        ({"quantiles": [0.1, 0.9]}, r"quantiles=\[0.1, 0.9\] lacks 0.5, the median"),
        ({"quantiles": [0.5], "loss": "huber"}, "loss='huber' does not go with quantiles"),
    ],
)
def test_parameters_that_are_not_allowed_are_refused_by_name(parameters, message):
    table, price, _ = houses(40)
    with pytest.raises(BatchpropError, match=message):
        bp.TabularRegressor(**{**BRIEF, **parameters}).fit(table, price)


@pytest.mark.parametrize(
    ("kind", "y", "message"),
    [
        (bp.TabularRegressor, np.ones(40), "y holds one number only, 1"),
        (bp.TabularRegressor, ["dear"] * 40, "y holds 'dear', which is not a number: TabularRegressor"),
        (bp.TabularRegressor, [np.inf, *range(39)], "y contains infinity, first in row 0"),
        (bp.TabularClassifier, ["dear"] * 40, r"y holds one class only \('dear'\)"),
        (bp.TabularClassifier, [np.nan, *[1.0, 2.0] * 19, 1.0], "y contains NaN, first in row 0"),
    ],
)
def test_targets_that_cannot_be_learned_are_refused(kind, y, message):
    with pytest.raises(InputError, match=message):
        kind(**BRIEF).fit(houses(40)[0], y)


def test_quantiles_that_were_not_trained_are_refused():
    table, price, _ = houses(40)
    with pytest.raises(ParameterError, match="quantiles=None: train with levels, as TabularRegressor"):
        bp.TabularRegressor(**BRIEF).fit(table, price).predict_quantiles(table)


def test_one_thread_at_a_time_fits_and_rows_are_needed_to_predict():
    table, _, label = houses(40)
    clf = bp.TabularClassifier(**BRIEF).fit(table, label)
    answers, held_out = clf.predict_proba(table), clf.out_of_fold_
    refused = threading.Event()

    def fit_other():
        with pytest.raises(BatchpropError, match="this TabularClassifier is being fitted in another thread"):
            clf.fit(table, label[::-1])
        refused.set()

    with only_fit(clf):
        thread = threading.Thread(target=fit_other)
        thread.start()
        thread.join()
    assert refused.is_set()
    assert clf.out_of_fold_ is held_out
    assert (clf.predict_proba(table) == answers).all()
    with pytest.raises(InputError, match=r"^Found array with 0 sample\(s\) \(shape=\(0, \d\)\) while a min"):
        clf.predict(table[:0])


def test_weights_of_unknown_classes_are_refused_and_names_are_compared_in_one_unicode_form():
    table, _, label = houses(40)
    with pytest.raises(ParameterError, match="class_weight holds 'costly', which is no class of y"):
        bp.TabularClassifier(**BRIEF, class_weight={"costly": 2.0}).fit(table, label)
    composed, decomposed = (
        table.rename(columns={"size": name}) for name in ("Gr\u00f6\u00dfe", "Gro\u0308\u00dfe")
    )
    clf = bp.TabularClassifier(**{**BRIEF, "max_iter": 1}).fit(decomposed, label)
    assert (clf.predict(composed) == clf.predict(decomposed)).all()


def test_what_needs_one_network_refuses_several_by_name_and_takes_one():
    table, price, label = houses(40)
    clf = bp.TabularClassifier(**{**BRIEF, "max_iter": 1}).fit(table, label)
    for model, remedy in (
        (clf, r"a TabularClassifier holds several networks, and this .*: give model.network_.members_\[0\]"),
        (clf.network_, r"a MLPEnsembleClassifier holds several networks, .*: give model.members_\[0\]"),
    ):
        with pytest.raises(InputError, match=remedy):
            bp.microscope.look(model, table, label)
        with pytest.raises(InputError, match=r"has no gradients of its own: .* model.network_.members_\[0\]"):
            bp.influence(model, table, label, table, label)
    member, X = clf.network_.members_[0], clf.preprocessor_.transform(table)
    assert "dear" in bp.microscope.look(member, X, label).html
    # Each network has its gradients.
    assert member.backprop(X, label).gradient.squared_norms().shape == (40,)
    reg = bp.TabularRegressor(**{**BRIEF, "max_iter": 1}).fit(table, price)
    with pytest.raises(InputError, match="a TabularRegressor holds several networks"):
        bp.plots.LearningCurveDisplay.from_estimator(reg)


def test_examples_are_what_the_networks_that_held_a_row_out_say_of_it():
    table, price, label = houses(200)
    label[[3, 50]] = np.where(label[[3, 50]] == "dear", "cheap", "dear")
    price[7] += 1e5
    brief, weights = {**BRIEF, "n_members": 4}, np.r_[np.ones(199), 0.0]
    with pytest.warns(UserWarning, match="1 of 200 rows have no answer in examples_, as no network"):
        clf = bp.TabularClassifier(**brief).fit(table, label, weights, record_examples=True)
    examples = clf.examples_
    P, codes = clf.out_of_fold_[:199], np.searchsorted(clf.classes_, label[:199])
    assert (examples["given_label"] == label).all()
    assert (examples["predicted_label"][:199] == clf.classes_[P.argmax(1)]).all()
    np.testing.assert_allclose(examples["confidence"][:199], P[np.arange(199), codes])
    losses = [-np.log(p[code]) for p, code in zip(P, codes, strict=True)]
    np.testing.assert_allclose(examples["mislabel_score"][:199], losses)
    assert (
        examples["mislabel_rank"][:199] == stats.rankdata(-examples["mislabel_score"][:199], "ordinal")
    ).all()
    assert examples.iloc[199].isna().sum() == 5
    assert set(examples.nsmallest(5, "mislabel_rank").index) >= {3, 50}
    with pytest.raises(InputError, match="a data map shows how one network's answers change"):
        bp.plots.DataMapDisplay.from_estimator(clf)
    reg = bp.TabularRegressor(**brief).fit(table, price, record_examples=True)
    examples = reg.examples_
    np.testing.assert_array_equal(examples["predicted_label"], reg.out_of_fold_)
    losses = ((reg.out_of_fold_ - price) / np.std(price)) ** 2 / 2
    np.testing.assert_allclose(examples["loss"], losses, rtol=1e-4)
    assert examples["mislabel_rank"][7] == 1
    with pytest.raises(AttributeError, match="fit with record_examples=True"):
        reg.fit(table, price).examples_  # noqa: B018
    with pytest.raises(ParameterError, match="record_examples=1 is not allowed"):
        reg.fit(table, price, record_examples=cast("Any", 1))
