"""Mean targets of words: against SciPy's analysis of variance, and worth nothing on noise."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.model_selection import KFold

import batchprop as bp
from batchprop.errors import UnseenValueWarning
from batchprop.export import to_onnx
from batchprop.tabular import load_model, train_table
from batchprop.tabular.encoding import encode_features
from batchprop.tabular.importance import source_columns
from batchprop.tabular.level_means import LevelMeans, MeanColumns
from batchprop.tabular.mean_columns import choose_mean_columns
from batchprop.tabular.pooling import CODE, describe_pooling
from batchprop.tabular.schema import infer_schema
from batchprop.tabular.transformers import make_preprocessor

onnxruntime = pytest.importorskip("onnxruntime")


def shops(n, seed=0, n_shops=400):
    """Names of shops, of which each has a level of its own; and how far a price lies from it."""
    rng = np.random.default_rng(seed)
    names = [f"shop {i}" for i in rng.integers(0, n_shops, n)]
    levels = dict(zip(sorted(set(names)), rng.normal(size=n_shops), strict=False))
    table = pd.DataFrame({"shop": names, "size": rng.normal(size=n)})
    return table, table["shop"].map(levels).to_numpy() + 0.3 * table["size"].to_numpy()


@pytest.fixture(scope="module", params=[None, 2, 3])
def fitted(request):
    """A table, its target, its preprocessing, and what the fit made of the table."""
    (table, y), classes = shops(900), request.param
    if classes is not None:
        y = np.digitize(y, np.quantile(y, np.arange(1, classes) / classes))
    steps = make_preprocessor(infer_schema(table), 900, means=MeanColumns(("shop",)), n_classes=classes)
    return table, y, steps, steps.fit_transform(table, y)


def test_means_are_those_of_the_analysis_of_variance_and_unknown_words_have_that_of_all_rows(fitted):
    table, y, steps, _ = fitted
    means = steps["features"].named_transformers_["means"][0]
    targets = [y] if means.n_classes is None else [y == k for k in range(means.n_classes)]
    targets = targets[1:] if means.n_classes == 2 else targets
    words = [*table["shop"].unique(), "never seen"]
    expected = np.column_stack([by_hand(table["shop"], t.astype(float), words) for t in targets])
    np.testing.assert_allclose(means.transform(pd.DataFrame({"shop": words})), expected, atol=1e-12)


def by_hand(shop, y, words):
    """Return the shrunk means of words from the F statistic of SciPy and the normal posterior."""
    groups = {name: y[(shop == name).to_numpy()] for name in shop.unique()}
    within = sum(((of - of.mean()) ** 2).sum() for of in groups.values()) / (len(y) - len(groups))
    between = stats.f_oneway(*groups.values()).statistic * within
    n_0 = (len(y) - sum(len(of) ** 2 for of in groups.values()) / len(y)) / (len(groups) - 1)
    tau = max(between - within, 0) / n_0
    answers = []
    for word in words:
        of = groups.get(word, np.empty(0))
        # The mean of the normal posterior: of precision n/σ² for the rows, and 1/τ² for all levels.
        weight = len(of) / within / (len(of) / within + 1 / tau) if tau else 0.0
        answers.append(y.mean() + (weight * (of.mean() - y.mean()) if len(of) else 0.0))
    return np.array(answers)


def test_two_variances_are_those_that_levels_were_drawn_with():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3000, 20_000)
    levels = rng.normal(scale=0.5, size=3000)
    y = (levels[codes] + rng.normal(scale=2, size=20_000))[:, None]
    means = LevelMeans().fit(pd.DataFrame({"word": codes.astype(str)}), y[:, 0])
    # The best weight of a mean, known here, leaves the least error of the levels.
    truth = levels[means.categories_[0].astype(int)]
    counts = np.bincount(codes, minlength=3000)[means.categories_[0].astype(int)]
    plain = pd.Series(y[:, 0]).groupby(codes.astype(str)).mean()[list(means.categories_[0])].to_numpy()
    best = counts * 0.25 / (counts * 0.25 + 4) * plain
    error, least = (np.mean((each - truth) ** 2) for each in (means.means_[0][:, 0], best))
    assert error < 1.02 * least


def test_a_training_row_has_its_means_from_rows_of_other_parts_only(fitted):
    table, y, steps, _ = fitted
    means = clone(steps["features"].named_transformers_["means"][0])
    shop = table[["shop"]].astype(object)
    before, whole = means.fit_transform(shop, y), means.transform(shop)
    changed = y.copy()
    changed[7] = y.max() if y[7] < y.max() else y.min()
    after, whole_after = means.fit_transform(shop, changed), means.transform(shop)
    # Its own target moves the mean and the variances of all 900 rows a little, and nothing else.
    assert np.abs(after[7] - before[7]).max() < 0.05 * np.abs(whole_after[7] - whole[7]).max()
    for _, part in KFold(5, shuffle=True, random_state=0).split(y):
        rows = pd.Series(range(len(part)), part).groupby(shop["shop"].iloc[part].to_numpy())
        swapped = y.copy()
        for positions in (of.index.to_numpy() for _, of in rows):
            swapped[positions] = np.roll(y[positions], 1)
        # Sums of a level in a part stay as they are, and so does all of it.
        np.testing.assert_allclose(means.fit_transform(shop, swapped), before, atol=1e-12)


def test_quick_encoding_gives_the_features_of_the_transformers(fitted):
    table, _, steps, _ = fitted
    columns = steps["columns"].transform(table)
    expected = steps["features"].transform(columns)
    np.testing.assert_array_equal(encode_features(steps["features"], columns), expected)


def test_words_of_noise_are_worth_nothing():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"word": [f"w{i}" for i in rng.integers(0, 500, 1500)], "size": rng.normal(size=1500)}
    )
    y = rng.normal(size=1500)
    fitted = bp.TabularRegressor("fast", random_state=0).fit(table[:1000], y[:1000])
    assert "means" in fitted.preprocessor_["features"].named_transformers_
    held_out = ~np.isnan(fitted.out_of_fold_)
    with pytest.warns(UnseenValueWarning):
        answers_of_new = fitted.predict(table[1000:])
    for truth, answers in [
        (y[1000:], answers_of_new),
        (y[:1000][held_out], fitted.out_of_fold_[held_out]),
    ]:
        # Neither better than the mean by more than chance, nor much worse, as of rows that know their target.
        assert 0.95 < np.mean((truth - answers) ** 2) / truth.var() < 1.1
    importances = fitted.feature_importances(table[:1000], y[:1000])
    assert abs(importances["mean"]["word"]) < 0.05


def test_means_are_in_a_saved_model_its_importances_its_report_and_its_onnx_graph(tmp_path):
    table, y = shops(1500)
    result = train_table(table.assign(price=y), target="price", preset="fast", epochs=15)
    note = describe_pooling(result.pipeline, infer_schema(table))["shop"]
    assert note == "0 of 386 words kept, the rest by the mean target of their rows"
    result.save(tmp_path / "model")
    saved = load_model(tmp_path / "model")
    new = pd.DataFrame({"shop": ["shop 1", "never seen", "shop 3"], "size": [0.1, 0.2, 0.3]})
    with pytest.warns(UnseenValueWarning):
        expected = result.predict(new)
    with pytest.warns(UnseenValueWarning):
        pd.testing.assert_frame_equal(saved.predict(new), expected)
    owners = source_columns(result.pipeline)
    kinds = list(result.pipeline["columns"].kinds)
    for part in ("means", "frequent"):
        where = result.pipeline["features"].output_indices_[part]
        assert set(owners[where].tolist()) == {kinds.index("shop")}
    to_onnx(result.pipeline, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    feeds = {"shop": new[["shop"]].to_numpy(object), "size": new[["size"]].to_numpy(float)}
    answers = session.run(["prediction"], feeds)[0][:, 0]
    np.testing.assert_allclose(answers, expected["price"], atol=1e-4)


def test_groups_and_many_classes_have_no_means():
    table, y = shops(1500)
    grouped = table.assign(price=y, owner=np.arange(1500) // 3)
    options: Any = {"preset": "fast", "epochs": 1}
    result = train_table(grouped, target="price", group="owner", **options)
    assert "means" not in result.pipeline["features"].named_transformers_
    classes = [f"c{k}" for k in np.digitize(y, np.quantile(y, np.arange(1, 12) / 12))]
    result = train_table(table.assign(price=classes), target="price", **options)
    assert "means" not in result.pipeline["features"].named_transformers_


def test_a_class_of_few_rows_and_classifiers_of_many_are_trained_and_exported(tmp_path):
    table, y = shops(1500)
    classes = np.array(["low", "middle", "high"])[np.digitize(y, [-0.5, 0.5])]
    classes[:3] = "rare"
    fitted = bp.TabularClassifier("fast", max_iter=15).fit(table, classes)
    part = fitted.preprocessor_["features"].named_transformers_["means"][0]
    assert part.means_[0].shape[1] == 4
    to_onnx(fitted, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    feeds = {"shop": table[["shop"]].to_numpy(object), "size": table[["size"]].to_numpy(float)}
    P = session.run(["probabilities"], feeds)[0]
    np.testing.assert_allclose(P, fitted.predict_proba(table), atol=1e-5)


def panel(n=600):
    """Rows of 60 people by number, each with a level of their own; and a year, whose size counts."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"person": rng.integers(100, 160, n), "year": rng.integers(1960, 2020, n)})
    level = pd.Series(rng.normal(size=60), index=range(100, 160))
    return table, level[table["person"]].to_numpy() + (table["year"].to_numpy() - 1990) / 20


def test_numbers_that_are_codes_are_words_too_in_every_source_and_graph(tmp_path):
    table, y = panel()
    result = train_table(table.assign(pay=y), target="pay", preset="fast", members=1, epochs=8)
    assert result.pipeline["columns"].codes == ["person"]
    assert result.evaluation.scores["R²"] > 0.85  # by the year alone it is 0.43
    result.save(tmp_path / "model")
    settings = json.loads((tmp_path / "model" / "settings.json").read_text())
    assert [column["pooling"] for column in settings["data"]["columns"]] == [CODE, ""]
    new = pd.DataFrame({"person": [101.0, 159.0, 7.5, 1e300, np.nan], "year": [1970, 1990, 2000, 2010, 1980]})
    with pytest.warns(UnseenValueWarning) as caught:
        expected = result.predict(new)["pay"].to_numpy()
    note = "person: 3 of 5 rows hold values not seen in training (7.5, 1e+100, missing)"
    assert [str(each.message) for each in caught] == [note]
    rows = tmp_path / "rows.csv"
    rows.write_text("person,year\n101,1970\n+159.0,1990\n7.5,2000\n1e300,2010\n,1980\n")
    with pytest.warns(UnseenValueWarning):
        answers = load_model(tmp_path / "model").predict(rows)["pay"]
    np.testing.assert_array_equal(answers, expected)
    owners = source_columns(result.pipeline)
    where = result.pipeline["features"].output_indices_["means"]
    assert set(owners[where].tolist()) == {0}
    to_onnx(result.pipeline, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    feeds = {name: new[[name]].to_numpy(float) for name in new}
    np.testing.assert_allclose(session.run(["prediction"], feeds)[0][:, 0], expected, atol=1e-4)


def test_numbers_whose_size_counts_and_those_of_a_given_type_are_no_codes():
    table, y = panel()
    gaps = table["person"].where(np.arange(len(y)) % 5 > 0)
    frame = table.assign(half=table["person"] / 2, gaps=gaps)
    columns = infer_schema(frame)
    assert choose_mean_columns(columns, frame, y).codes == ("person", "gaps")
    assert choose_mean_columns(columns, frame, y, typed=["person"]).codes == ("gaps",)
    assert choose_mean_columns(columns, frame, np.zeros(len(y))).codes == ()
    assert choose_mean_columns(columns, frame, np.random.default_rng(1).normal(size=len(y))).codes == ()
    fitted = bp.TabularRegressor("fast", types={"person": "number"}, max_iter=1).fit(table, y)
    assert fitted.preprocessor_["columns"].codes == []


def test_a_column_named_like_the_words_of_a_code_keeps_its_values():
    table, y = panel()
    table["person value"] = np.arange(len(y)) % 7 / 2
    fitted = bp.TabularRegressor("fast", max_iter=1).fit(table, y)
    columns = fitted.preprocessor_["columns"].transform(table)
    assert list(columns) == ["person", "year", "person value", "person value′"]
    assert columns["person value′"].tolist() == table["person"].astype(str).tolist()


def test_words_of_few_rows_each_have_means_where_they_would_share_a_feature():
    table, y = panel()
    words = table.assign(person="p" + table["person"].astype(str))
    rare = words.assign(person=words["person"] + np.where(np.arange(len(y)) % 3, "a", "b"))
    columns = infer_schema(rare)
    assert choose_mean_columns(columns, words, y).words == ()  # ten rows each
    assert choose_mean_columns(columns, rare, y).words == ("person",)


def test_a_code_is_found_beside_a_larger_effect_and_not_where_other_numbers_tell_it():
    rng = np.random.default_rng(0)
    house, size = rng.integers(0, 40, 400), rng.normal(70, 20, 400)
    level = rng.normal(size=40)[house]
    frame = pd.DataFrame({"house": house, "size": size})
    # As a share of the variance, what houses explain is lost in the noise that the sizes are to them.
    assert choose_mean_columns(infer_schema(frame), frame, 3 * size + 20 * level).codes == ("house",)
    frame["level"] = level
    assert choose_mean_columns(infer_schema(frame), frame, size + 20 * level).codes == ()
