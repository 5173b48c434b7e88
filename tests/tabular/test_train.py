"""`train_table` and `load_model`: the command's functions in Python."""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics
from sklearn.datasets import load_iris

from batchprop.data.memory import exceeds_memory
from batchprop.errors import DataError, ModelError, OneClassWarning, ParameterError
from batchprop.estimators.parameters import PARAMETER_CONSTRAINTS
from batchprop.tabular import (
    Observer,
    TrainedModel,
    TrainOptions,
    load_model,
    read_tables,
    scan,
    table_bytes,
    train_table,
)
from batchprop.tabular.model import FreshRecord
from batchprop.tabular.model_info import FORMAT
from batchprop.tabular.options import make_options, option_choices, option_table
from batchprop.tabular.predictions import predict_blocks, predict_frame
from batchprop.tabular.train import train

QUICK: dict[str, Any] = {"hidden": 8, "epochs": 3, "batch_size": 16}


def flowers() -> pd.DataFrame:
    iris = load_iris(as_frame=True)
    frame: pd.DataFrame = iris.frame.rename(columns=lambda name: name.removesuffix(" (cm)").replace(" ", "_"))
    frame["species"] = iris.target_names[frame.pop("target")]
    return frame


@pytest.fixture(scope="module")
def model():
    return train_table(flowers(), target="species", **QUICK)


def test_a_frame_and_a_file_of_it_give_the_same_model(model, tmp_path):
    path = tmp_path / "flowers.csv"
    flowers().to_csv(path, index=False)
    from_file = train_table(path, target="species", **QUICK)
    assert from_file.evaluation == model.evaluation
    pd.testing.assert_frame_equal(from_file.predict(path), model.predict(flowers()))
    assert [epoch.loss for epoch in from_file.history] == [epoch.loss for epoch in model.history]


@pytest.mark.parametrize("proba", [False, True])
@pytest.mark.parametrize("memory", [None, 1 << 20])
def test_row_whose_outputs_overflow_is_named(model, tmp_path, proba, memory):
    pipeline = copy.deepcopy(model.pipeline)
    first, last = pipeline[-1].coefs_
    # The preprocessing bounds every feature by 3, so only such weights overflow, where the width is 3.
    weights = np.array([0, 0, 0, 1.5e38], "float32")[:, None] * np.ones_like(first)
    pipeline[-1].coefs_ = [weights, np.float32(1e-37) * last]
    frame = flowers()
    frame.loc[75, "petal_width"] = 1e9
    path = tmp_path / "far.csv"
    frame.to_csv(path, index=False)
    blocks = partial(predict_blocks, pipeline, (path,), proba=proba, memory=memory)
    with pytest.raises(DataError, match=r"far\.csv, line 77: .*not finite"), blocks() as tables:
        list(tables)
    by_label = frame.rename(index="row {}".format)
    for rows in (frame, by_label):
        with pytest.raises(DataError, match="row 76 are not finite"):
            predict_frame(pipeline, rows, proba=proba)
    assert len(predict_frame(pipeline, frame.drop(75), proba=proba)) == 149


@pytest.mark.pictures
@pytest.mark.parametrize("balanced", [False, True])
def test_network_that_answers_one_class_only_is_remarked_on(balanced):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=200), "kind": np.where(np.arange(200) < 20, "rare", "often")})
    options: dict[str, Any] = {"hidden": 4, "epochs": 2, "learning_rate": 1e-9 if balanced else 1e-3}
    options["class_weight"] = "balanced" if balanced else None
    with pytest.warns(OneClassWarning) as warned:
        model = train_table(frame, target="kind", **options)
    label = model.predict(frame)["kind"].unique().tolist()
    assert len(label) == 1
    note = str(warned[0].message)
    assert note.startswith(f"the network answers {label[0]!r} for each of the 40 test rows")
    assert ("class_weight='balanced'" in note) == (not balanced)
    assert "another learning rate than" in note
    assert "more epochs than 2" in note
    assert isinstance(model._record, FreshRecord)
    result = model._record.result
    stopped_early = replace(result, options=replace(result.options, epochs=9))
    assert "more epochs" not in str(stopped_early.one_class_note)
    assert warned[0].filename == __file__
    # The report says the same; the apostrophes are escaped there.
    assert "does not tell the classes apart" in model.report()


def test_rare_class_that_is_never_the_most_probable_is_told_to_be_ranked():
    rng = np.random.default_rng(0)
    x = rng.normal(size=1000)
    churned = rng.random(1000) < 0.25 / (1 + np.exp(-2 * x))
    frame = pd.DataFrame({"x": x, "churned": np.where(churned, "yes", "no")})
    small: dict[str, Any] = {"members": 1, "hidden": 4, "bins": 0, "engine": "numpy"}
    with pytest.warns(OneClassWarning) as warned:
        model = train_table(frame, target="churned", epochs=4, learning_rate=0.02, **small)
    assert model.evaluation.scores["ROC AUC"] > 0.65
    note = str(warned[0].message)
    assert "no row's probability of 'yes' reaches 1/2, but the probabilities tell rows apart" in note
    assert note.endswith("class_weight='balanced' answers rarer classes more often")
    assert "more epochs" not in note


def test_predictions_match_the_pipeline(model):
    frame = flowers()
    P = model.predict(frame, proba=True)
    np.testing.assert_allclose(P.iloc[:, 1:], model.pipeline.predict_proba(frame))
    assert (P["species"] == model.pipeline.predict(frame)).all()
    right = (P["species"] == frame["species"]).mean()
    assert model.pipeline.score(frame, frame["species"]) == right


@pytest.mark.pictures
def test_loaded_model_has_the_same_evaluation_and_predictions(model, tmp_path):
    model.save(tmp_path / "m")
    again = load_model(tmp_path / "m")
    assert again.evaluation == model.evaluation
    assert again.history == model.history
    assert again.report().startswith("<!doctype html>")
    pd.testing.assert_frame_equal(again.predict(flowers()), model.predict(flowers()))
    again.save(tmp_path / "copy")
    assert load_model(tmp_path / "copy").evaluation == model.evaluation
    with pytest.raises(DataError, match="exists"):
        model.save(tmp_path / "m")
    model.save(tmp_path / "m", force=True)


def test_missing_files_of_a_model_folder_are_named(model, tmp_path):
    model.save(tmp_path / "m")
    for name in ("history.csv", "settings.json", "report.html"):
        (tmp_path / "m" / name).unlink()
    again = load_model(tmp_path / "m")
    assert len(again.predict(flowers())) == 150
    for ask in (lambda: again.evaluation, lambda: again.history, again.report):
        with pytest.raises(ModelError, match=r"does not tell the (scores|history|report): its .* is missing"):
            ask()


def test_a_folder_of_another_format_is_refused(model, tmp_path):
    model.save(tmp_path / "m")
    settings = tmp_path / "m" / "settings.json"
    info = json.loads(settings.read_text())
    assert info.pop("format") == FORMAT
    for other in ({}, {"format": 7}):
        settings.write_text(json.dumps(info | other))
        with pytest.raises(ModelError, match=r"holds a model of format [17], and .* train it again"):
            load_model(tmp_path / "m")


def test_observer_is_called_after_each_epoch():
    seen = []

    class Losses(Observer):
        def on_epoch(self, history):
            seen.append(history[-1].loss)

    model = train_table(flowers(), target="species", observer=Losses(), **QUICK)
    assert seen == [epoch.loss for epoch in model.history]


def test_frame_rows_without_a_target_are_an_error_or_skipped():
    frame = flowers().rename(columns={"species": "self"})
    frame.loc[3, "self"] = None
    with pytest.raises(DataError, match="the DataFrame, row 4: its target 'self' is missing; fill it in"):
        train_table(frame, target="self", **QUICK)
    model = train_table(frame, target="self", on_bad_row="skip", **QUICK)
    assert len(model.predict(frame)) == 150


def test_checkpoints_are_resumed_and_removed_at_the_end(tmp_path):
    model = train_table(flowers(), target="species", checkpoints=tmp_path / "c", **QUICK)
    assert not (tmp_path / "c").exists()
    assert len(model.history) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": None}, "`target` is missing"),
        ({"epoch": 3}, "option='epoch' is unknown: .* did you mean 'epochs'"),
        ({"epochs": 0}, "epochs=0 is not allowed: give an integer of at least 1"),
        ({"loss": "hubr"}, "loss='hubr' is not allowed: give one of 'squared_error'"),
        ({"test_fraction": 2}, "test_fraction=2 is not allowed: give a number from 0.01 to 0.9"),
        ({"seed": None}, "seed=None is not allowed: give an integer from 0 to 4294967295"),
        ({"seed": np.random.RandomState(0)}, r"seed=RandomState.* is not allowed: give an integer from 0"),
        ({"max_skipped": True}, "max_skipped=True is not allowed: give a number from 0 to 1"),
        ({"label_smoothing": "much"}, "label_smoothing='much' is not allowed: give a number from 0 to 0.99"),
        ({"record": "yes"}, "record='yes' is not allowed: give True or False"),
        ({"weights": 4}, "weights=4 is not allowed: give the name of a column"),
        ({"memory": 2.5}, "memory=2.5 is 2 bytes: at least 1MiB is needed"),
        ({"checkpoints": "c", "checkpoint_every": "soon"}, "checkpoint_every='soon' is not allowed: give a"),
        ({"checkpoints": 5}, "checkpoints=5 is not a folder: give its path"),
        ({"resume": True}, "give `checkpoints`"),
        ({"loss": "huber"}, "loss='huber' is for regression, and the target 'species' holds classes"),
        ({"solver": "lbfgs", "record": True}, "record=True does not go with solver='lbfgs'"),
    ],
)
def test_misuse_errors_use_python_parameter_names(options, message):
    with pytest.raises(ParameterError, match=message):
        train_table(flowers(), **{"target": "species", **QUICK, **options})


def test_option_table_matches_the_estimator_constraints():
    for name, option in option_table().items():
        if (constraint := PARAMETER_CONSTRAINTS.get(option.parameter or "")) is None:
            continue
        default = getattr(TrainOptions(), name)
        values = [default, *option_choices(name), option.low, option.high]
        for value in values:
            if value is not None or default is None:
                whole = isinstance(default, int) and value is not None and not isinstance(value, str)
                given = int(value) if whole else value
                # Bounds are never None; an option that may be None must also be allowed there.
                assert given is None or constraint.is_valid(given), (name, given)


NO_PATHS: list[Any] = [{"a.csv": [1]}, np.array(["a.csv", "b.csv"]), None, 7]
REFUSED: dict[str, Any] = {f"is of type {type(value).__name__}": value for value in NO_PATHS} | {
    f"holds a value of type {type(value).__name__}": ["a.csv", value] for value in NO_PATHS
}
# Each reads a table, and calls it so; the last two also take a DataFrame.
READERS: dict[str, tuple[str, Any]] = {
    "scan": ("paths", scan),
    "read_tables": ("paths", read_tables),
    "table_bytes": ("paths", table_bytes),
    "exceeds_memory": ("paths", exceeds_memory),
    "train_table": ("data", partial(train_table, target="species", **QUICK)),
    "predict": ("data", TrainedModel.predict),
}
# Without data, train_table trains on the digits.
CASES = [
    (reader, problem)
    for reader, problem in product(READERS, REFUSED)
    if not (reader == "train_table" and REFUSED[problem] is None)
]


@pytest.mark.parametrize(("reader", "problem"), CASES)
def test_every_reader_of_tables_refuses_what_is_no_path(model, reader, problem):
    parameter, read = READERS[reader]
    last = "a list of these, or a DataFrame" if parameter == "data" else "or a list of these"
    arguments = [*([model] if reader == "predict" else []), REFUSED[problem]]
    with pytest.raises(
        ParameterError, match=f"^{parameter} {problem}: give a file, a folder, a pattern, {last}$"
    ):
        read(*arguments)


@pytest.mark.parametrize("reader", ["scan", "read_tables", "table_bytes"])
def test_the_columns_of_a_frame_are_no_paths(reader):
    with pytest.raises(ParameterError, match="paths is of type DataFrame: give a file"):
        READERS[reader][1](flowers())


def test_resume_without_checkpoints_is_refused():
    with pytest.raises(ParameterError, match="resume needs a folder with checkpoints: give `checkpoints`"):
        train_table(flowers(), target="species", resume=True)


def weighted_table(target: str, rows: int) -> pd.DataFrame:
    """A table in which rows count 0, 1 or 9; those that count 9 follow another rule."""
    rng = np.random.default_rng(4)
    frame = pd.DataFrame(rng.normal(size=(rows, 20)), columns=list("abcdefghijklmnopqrst"))
    frame["w"] = rng.choice([0.0, 1.0, 9.0], rows, p=[0.2, 0.5, 0.3])
    y = np.where(frame.w > 1, frame.a, -0.3 * frame.a) + 0.5 * rng.normal(size=rows)
    frame["y"] = np.where(y > 0.8, "yes", "no") if target == "classification" else y
    return frame


@pytest.mark.filterwarnings("ignore:.* are read at a time:UserWarning")
@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("source", ["frame", "parts"])
def test_validation_and_scores_heed_the_weights(task, source, tmp_path):
    frame = weighted_table(task, 3000)
    options: dict[str, Any] = {"target": "y", "weights": "w", "epochs": 4, "hidden": (8,), "batch_size": 64}
    if task == "classification":
        options["class_weight"] = "balanced"
    data: Any = frame
    if source == "parts":
        frame.to_parquet(tmp_path / "t.parquet", row_group_size=500)
        data, options["memory"] = (tmp_path / "t.parquet",), "1MiB"
        # Rows of weight 0 have no number.
        frame = frame[frame.w > 0].reset_index(drop=True)
    result = train(data, make_options(**options), Observer())
    assert (result.table.target_stats is not None) == (source == "parts")
    network, table, split = result.network, result.table, result.split
    for rows, is_test in ((split.validation, False), (split.test, True)):
        features, y, w = table.frame.iloc[rows], table.target.values[rows], table.weights[rows]
        original = frame.loc[features.index]
        np.testing.assert_array_equal(w, original.w)
        if task == "classification":
            P, scores = result.pipeline.predict_proba(features), result.evaluation.scores
            if is_test:
                guess = result.pipeline.predict(features)
                assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(y, guess, sample_weight=w))
                wanted = metrics.log_loss(y, P, sample_weight=w)
                assert scores["log loss"] == pytest.approx(wanted, rel=1e-5)
                continue
            # By hand: n / (2 n_k) of the training rows, times the row's own weight.
            counts = class_counts(result, frame)
            balanced = {label: sum(counts.values()) / (2 * n) for label, n in counts.items()}
            by_class = np.array([balanced[label] for label in y])
            wanted = metrics.log_loss(y, P, sample_weight=w * by_class)
        elif is_test:
            guess = result.pipeline.predict(features)
            assert result.evaluation.scores["R²"] == pytest.approx(
                metrics.r2_score(y, guess, sample_weight=w)
            )
            continue
        else:
            scaler = result.pipeline[-1].transformer_
            off = scaler.transform(y[:, None])[:, 0] - network.predict(
                result.pipeline[:-1].transform(features)
            )
            wanted = np.average(off**2, weights=w) / 2
        assert result.best_epochs[0].validation_loss == pytest.approx(wanted, rel=1e-4)


def class_counts(result: Any, frame: pd.DataFrame) -> dict[str, int]:
    """The number of training rows of each class; a row of weight 0 counts as absent."""
    held_out = result.table.frame.index[np.concatenate([result.split.validation, result.split.test])]
    train = frame.drop(index=held_out)
    return dict(Counter(train.y[train.w > 0].tolist()))


@pytest.mark.filterwarnings("ignore:.* are read at a time:UserWarning")
@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("source", ["frame", "parts"])
def test_simplest_guess_heeds_the_weights(task, source, tmp_path):
    frame = weighted_table(task, 3000)
    # By number of rows "no" is the majority; by weight "yes" is.
    if task == "classification":
        frame["w"] = np.where(frame.y == "yes", 1000.0, 1.0)
    options: dict[str, Any] = {"target": "y", "weights": "w", "epochs": 1, "hidden": (4,)}
    data: Any = frame
    if source == "parts":
        frame.to_parquet(tmp_path / "t.parquet", row_group_size=500)
        data, options["memory"] = (tmp_path / "t.parquet",), "1MiB"
        # Rows of weight 0 have no number.
        frame = frame[frame.w > 0].reset_index(drop=True)
    result = train(data, make_options(**options), Observer())
    test = frame.loc[result.table.frame.index[result.split.test]]
    baseline = result.evaluation.baseline
    if task == "classification":
        assert baseline["accuracy"] == pytest.approx(np.average(test.y == "yes", weights=test.w))
        return
    # In memory, the guess also knows the validation rows.
    held = result.table.frame.index[result.split.test]
    used = frame.drop(index=held if source == "frame" else result.table.frame.index)
    mean = np.average(used.y, weights=used.w)
    wanted = np.average(np.abs(test.y - mean), weights=test.w)
    assert baseline["mean absolute error"] == pytest.approx(wanted, rel=1e-9)


@pytest.mark.pictures
def test_training_that_diverges_after_an_epoch_keeps_its_best_weights_and_says_so(tmp_path):
    frame = weighted_table("regression", 300)
    options: dict[str, Any] = {"solver": "sgd", "batch_size": "full", "learning_rate": 1e4}
    options["activation"] = "identity"
    with pytest.warns(RuntimeWarning, match="training ends with the best weights so far, those of epoch 1"):
        model = train_table(frame, target="y", **options, epochs=50)
    assert np.isfinite(model.predict(frame)["y"]).all()
    assert re.search(r"Stopped in epoch \d, where the loss was no longer finite", model.report())
    assert all(np.isfinite(epoch.loss) for epoch in model.history)
    model.save(tmp_path / "m")
    assert load_model(tmp_path / "m").history == model.history
