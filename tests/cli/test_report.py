"""`report.html`: its numbers match the model, for any table."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import bootstrap
from sklearn import inspection
from sklearn.metrics import confusion_matrix, log_loss, mean_absolute_error, r2_score
from typer.testing import CliRunner

from batchprop.cli.app import app
from batchprop.report.page import Report, render
from batchprop.tabular import model_files
from batchprop.tabular.evaluation import HeldOutRows
from batchprop.tabular.fit import split_rows
from batchprop.tabular.importance import _sample_sizes, permutation_importance, source_columns
from batchprop.tabular.intervals import bootstrap_classification, bootstrap_regression
from batchprop.tabular.metrics import classification_scores, regression_scores
from batchprop.tabular.options import TrainOptions
from batchprop.tabular.persistence import load_pipeline
from batchprop.tabular.prediction_section import prediction_section
from batchprop.tabular.target import Target
from batchprop.tabular.training_table import load
from batchprop.tabular.verdict import _compare
from tests.cli.commands import FILES, QUICK, flowers, houses, names, run, write
from tests.cli.reports import ParsedReport, report

pytestmark = pytest.mark.pictures

POWERS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")

rng = np.random.default_rng(0)


def skip_learning_curve(patch):
    """Write an empty picture in place of the one beside the report, which draws its own."""
    patch.setattr(model_files, "save_learning_curve", lambda *args: args[-1].write_bytes(b""))


@pytest.fixture(autouse=True)
def reports_alone(monkeypatch):
    """Draw the reports, which these tests read, and nothing beside them."""
    skip_learning_curve(monkeypatch)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A folder with flowers.csv, and two models trained on it with recorded rows."""
    folder = tmp_path_factory.mktemp("recorded")
    data = flowers(folder / "flowers.csv")
    with pytest.MonkeyPatch.context() as patch:
        skip_learning_curve(patch)
        for target in ("species", "petal_width"):
            out = folder / f"{target}-model"
            run("train", data, "--target", target, "--out", out, *QUICK, "--record", "--learning-rate", 0.02)
    return folder


def held_out(folder, target):
    """The model, and its test rows with their targets."""
    data = load(folder / "flowers.csv", TrainOptions(target=target))
    rows = split_rows(data, TrainOptions()).test
    return load_pipeline(folder / f"{target}-model"), data.frame.iloc[rows], data.target.values[rows]


def by_scipy(statistic, *columns):
    """SciPy's bootstrap interval with the same draws."""
    result = bootstrap(
        columns, statistic, paired=True, vectorized=False, n_resamples=1000, method="percentile",
        rng=np.random.default_rng(0),
    )  # fmt: skip
    return result.confidence_interval.low, result.confidence_interval.high


def written(interval):
    return " to ".join(f"{end:#.4g}" for end in interval).replace("-", "−")


def test_classification_scores_and_their_intervals(recorded):
    model, frame, y = held_out(recorded, "species")
    said, right = report(recorded / "species-model"), model.predict(frame) == y
    low, high = (f"{100 * end:.3g}%" for end in by_scipy(np.mean, right))
    assert (
        f"The model is right on {right.sum()} of 30 test rows, {100 * right.mean():.3g}% (95% interval "
        f"{low} to {high}), where always answering the most frequent class is right on 33.3%." in said.text
    )
    scores = {row[0]: row[1:] for row in said.table("Scores on 30 test rows")}
    assert scores["accuracy"] == [f"{right.mean():#.4g}", written(by_scipy(np.mean, right)), "0.3333"]
    P = model.predict_proba(frame).astype(float)
    P /= P.sum(axis=1, keepdims=True)
    losses = -np.log(P[y[:, None] == model.classes_])
    assert scores["log loss"][:2] == [f"{log_loss(y, P):#.4g}", written(by_scipy(np.mean, losses))]


@pytest.mark.parametrize(
    ("gains", "link"),
    [
        ([0.1, 0.2], ", where the mean"),
        ([-0.1, 0.2], "; that is not clearly better than the mean, which"),
        ([-0.2, -0.1], "; that is worse than the mean, which"),
        (None, ", where the mean"),
    ],
)
def test_the_verdict_says_where_the_simplest_guess_does_as_well(gains, link):
    assert _compare(gains, "the mean") == link


def test_the_confusion_matrix(recorded):
    model, frame, y = held_out(recorded, "species")
    head, *rows = report(recorded / "species-model").table("Test rows by true class")
    assert head[1:] == [row[0] for row in rows] == model.classes_.tolist()
    counts = confusion_matrix(y, model.predict(frame))
    np.testing.assert_array_equal([list(map(int, row[1:])) for row in rows], counts)


def r_squared(y, guess):
    """R², without the checks of scikit-learn's, which take most of a thousand draws."""
    return 1 - np.sum((y - guess) ** 2) / np.sum((y - np.mean(y)) ** 2)


def test_regression_scores_and_residuals(recorded):
    model, frame, y = held_out(recorded, "petal_width")
    guess, said = model.predict(frame).astype(float), report(recorded / "petal_width-model")
    scores = {row[0]: row[1:] for row in said.table("Scores on 30 test rows")}
    assert scores["R²"][:2] == [f"{r2_score(y, guess):#.4g}", written(by_scipy(r_squared, y, guess))]
    off, r2 = scores["mean absolute error"], scores["R²"][0]
    assert off[:2] == [
        f"{mean_absolute_error(y, guess):#.4g}",
        written(by_scipy(mean_absolute_error, y, guess)),
    ]
    assert (
        f"The model misses petal_width by {off[0]} on average on 30 test rows (95% interval {off[1]}), with "
        f"R² {r2}, where always answering the mean misses it by {off[2]}." in said.text
    )
    low_to_high = written(np.quantile(y - guess, [0.25, 0.75]))
    assert f"half lie between {low_to_high.replace(' to ', ' and ')}" in said.text


@pytest.mark.parametrize("target", ["species", "petal_width"])
def test_importances_match_scikit_learn_on_the_pipeline(recorded, target):
    model, frame, y = held_out(recorded, target)

    def score(model, X, y):
        if target == "petal_width":
            return -np.sqrt(np.mean((y - model.predict(X)) ** 2))
        return np.log(model.predict_proba(X)[y[:, None] == model.classes_]).mean()

    result = inspection.permutation_importance(model, frame, y, scoring=score, n_repeats=5, random_state=0)
    rows = {
        name: float(re.sub("·10(.*)", lambda power: f"e{power[1].translate(POWERS)}", mean).replace("−", "-"))
        for name, mean, _ in report(recorded / f"{target}-model").table("Rise of")[1:]
    }
    assert list(rows.values()) == sorted(rows.values(), reverse=True)
    np.testing.assert_allclose([rows[name] for name in frame], result.importances_mean, rtol=1e-3, atol=1e-6)


def test_features_map_to_their_source_columns(models):
    model = load_pipeline(models / "houses-model")
    named = [name.partition("__")[2] for name in model[:-1].get_feature_names_out()]
    columns = list(model["columns"].kinds)
    for feature, owner in zip(named, source_columns(model), strict=True):
        column = feature.removeprefix("missingindicator_").partition(" from ")[0].split("_")[0]
        assert column == columns[owner]


@pytest.mark.parametrize("target", ["species", "petal_width"])
def test_suspicious_rows_have_line_numbers(recorded, target):
    frame = pd.read_csv(recorded / "flowers.csv")
    model = load_pipeline(recorded / f"{target}-model")
    head, *rows = report(recorded / f"{target}-model").table("The 20 most suspicious of 108 training rows")
    assert head[0] == "line"
    for line, given, *_ in rows:
        assert str(frame[target][int(line) - 2]) in (given, f"{float(given)}" if target != "species" else "")
    network = getattr(model[-1], "regressor_", model[-1])
    assert (network.examples_["mislabel_rank"] == 1).sum() == 1
    assert [point.epoch for point in network.weight_snapshots_] == [0, 1, 2, 3]


def test_look_shows_the_snapshots_of_a_recorded_model(recorded, folder):
    run("look", recorded / "petal_width-model", "--no-open", "--out", "look.html", "--rows", 2)
    assert "after epoch 2" in (folder / "look.html").read_text()


def test_report_has_no_scripts_and_no_external_resources(recorded):
    said = report(recorded / "species-model")
    tags = {tag for tag, _ in said.elements}
    assert not tags & {"script", "link", "img", "image", "iframe", "object", "embed", "base", "form"}
    links = [value for _, given in said.elements for name, value in given.items() if name in ("src", "href")]
    assert links
    assert all(link.startswith("#picture-") for link in links)
    assert not any(name.startswith("on") for _, given in said.elements for name in given)
    ids = [given["id"] for _, given in said.elements if "id" in given]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links} <= set(ids)
    html = (recorded / "species-model" / "report.html").read_text()
    assert not re.search(r"@import|url\((?!#picture-)", html)


def test_report_states_data_settings_and_results(recorded):
    said = report(recorded / "species-model")
    assert said.titles == [
        "The test", "Learning curve", "Confusion", "Which columns matter", "The most suspicious rows",
        "The data", "Settings", "Files",
    ]  # fmt: skip
    assert ["learning-rate", "0.02"] in said.table("Options of the training")
    assert ["all", "108", "12", "30"] in said.table("Rows of 3 classes")
    assert [row[0] for row in said.table("In the folder")[1:]] == sorted(FILES, key=said.text.index)
    assert said.text.count("batchprop predict") == 1
    assert {row[0] for row in said.table("Versions")} >= {"batchprop", "numpy", "scikit-learn"}


# --- unusual tables --------------------------------------------------------------------------------

MEAN = "<script>alert(1)</script> & $x^ 城"


def test_user_text_is_escaped(folder):
    frame = pd.DataFrame({MEAN: rng.normal(size=60), "b": rng.choice(["<b>", "城 $", "-->"], 60)})
    frame["</style><i>"] = [MEAN, "nein"] * 30
    result = run("train", write(frame, folder / "a <b>.csv"), "--target", "</style><i>", *QUICK, "--out", "m")
    assert result.stderr == ""
    said = report(folder / "m")
    assert not {"script", "b", "i"} & {tag for tag, _ in said.elements}
    assert f"{MEAN} taken for nein" in said.text or f"nein taken for {MEAN}" in said.text
    assert {row[0] for row in said.table("Rise of log loss")[1:]} == {MEAN, "b"}


X, NOISE = rng.normal(size=(2, 40))
ODD: dict[str, dict[str, Any]] = {
    "one test row": {"x": X[:12], "y": NOISE[:12]},
    "60 classes, no numbers": {"x": ["a", "b", "c"] * 80, "y": [f"no. {k}" for k in range(60)] * 4},
    "poisson, one number in the test": {"x": X, "y": [0.0] * 39 + [4.0]},
    "quantile, weights": {"x": X, "y": NOISE, "w": 2},
}
WORDS = {
    "one test row": ("--test-fraction", "0.01"),
    "60 classes, no numbers": (),
    "poisson, one number in the test": ("--task", "regression", "--loss", "poisson", "--record"),
    "quantile, weights": ("--loss", "quantile", "--quantile", "0.9", "--weights", "w"),
}
SAID = {
    "one test row": "One row is too few for intervals",
    "60 classes, no numbers": "A matrix of 60 classes is too large to read; these were confused most often.",
    "poisson, one number in the test": "has a mean Poisson deviance of ",
    "quantile, weights": "each counts by its weight",
}


@pytest.mark.parametrize("case", ODD)
def test_unusual_tables_have_a_report(folder, case):
    data = write(pd.DataFrame(ODD[case]), folder / "t.csv")
    result = run("train", data, "--target", "y", *QUICK, *WORDS[case])
    assert result.stderr == ""
    said = report(folder / "t-model")
    assert SAID[case] in said.text
    assert not re.search(r"\b(nan|inf)\b|∞", said.text, re.IGNORECASE)


def test_classes_missing_from_the_test_rows_are_reported():
    classes, y = np.array(["a", "b", "c"]), np.array(["a", "a", "b"] * 5)
    P = rng.dirichlet([1, 1, 1], 15)
    result = bootstrap_classification(y, P, classes)
    for name, value in classification_scores(y, P, classes).items():
        assert result[name][0] <= value <= result[name][1]
    said = ParsedReport(
        render(
            Report(
                "",
                "",
                "",
                tuple(prediction_section(Target("t", "classification", "", y), held_out_rows(y, P), classes)),
            )
        )
    )
    assert said.table("Test rows by true class")[3] == ["c", "0", "0", "0"]


def held_out_rows(y, given):
    return HeldOutRows(None, y, given)


def test_calibration_is_omitted_if_test_rows_have_one_class():
    y, P = np.array(["a"] * 50), np.full((50, 2), 0.5)
    _, calibration = prediction_section(
        Target("t", "classification", "", y), held_out_rows(y, P), np.array(["a", "b"])
    )
    assert calibration.text[0].startswith("Left out")
    assert "ROC AUC" not in bootstrap_classification(y, P, np.array(["a", "b"]))


def test_constant_target_has_no_r2():
    y, guess = np.full(30, 2.0), rng.normal(size=30)
    assert "R²" not in bootstrap_regression(y, guess)
    assert regression_scores(y[:1], guess[:1]).keys() == {"root mean squared error", "mean absolute error"}
    said = ParsedReport(
        render(
            Report(
                "",
                "",
                "",
                tuple(prediction_section(Target("t", "regression", "", y), held_out_rows(y, y), None)),
            )
        )
    )
    assert "the median is 0.000." in said.text


def test_the_interval_of_the_roc_auc_with_ties():
    y, p = rng.integers(0, 2, 80), rng.integers(0, 9, 80) / 8
    result = bootstrap_classification(y, np.column_stack([1 - p, p]), np.array([0, 1]))
    np.testing.assert_allclose(result["ROC AUC"], by_scipy(share_of_pairs, y, p), rtol=1e-12)


def share_of_pairs(y, p):
    """The ROC AUC: the share of pairs of both classes in which the 1 is above the 0; a tie is half a pair."""
    return np.mean((1 + np.sign(p[y == 1][:, None] - p[y == 0])) / 2)


def test_importance_of_a_wide_table_uses_fewer_repeats_and_rows():
    assert _sample_sizes(rows=20_000, columns=60, features=100) == (1000, 5)
    assert _sample_sizes(rows=20_000, columns=400, features=500) == (1000, 2)
    assert _sample_sizes(rows=20_000, columns=1000, features=1000) == (400, 1)


def test_single_test_row_has_no_importances(models):
    model = load_pipeline(models / "houses-model")
    X = np.zeros((1, len(source_columns(model))))
    assert permutation_importance(model, X, np.zeros(1), lambda *_: 0.0) is None


def test_ctrl_c_during_the_report_keeps_the_model(folder, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    data = houses(folder / "houses.csv")
    monkeypatch.setattr("batchprop.tabular.model_files.diagnose", interrupt)
    result = CliRunner().invoke(app, ["train", str(data), "--target", "price", *QUICK])
    assert result.exit_code == 130
    assert "Interrupted: the report is left out." in result.stdout
    assert names(folder / "houses-model") == [name for name in FILES if name != "report.html"]
    assert "report.html" not in result.stdout


def test_recording_with_lbfgs_is_refused():
    said = run("train", "--record", "--solver", "lbfgs", code=2).stderr
    assert "--record does not go with --solver lbfgs" in said
