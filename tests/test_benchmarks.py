"""The league: its tables, scores and means. No table is loaded, for their package is no part of dev."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from benchmarks import league
from benchmarks import league_report as report
from benchmarks.league_cell import score
from benchmarks.league_methods import make_category_encoder, to_numbers
from benchmarks.tables import SPECS, TABLES, divide, list_tables


def test_tables_are_forty_different_ones() -> None:
    assert len(TABLES) == len({(spec.package, spec.item) for spec in SPECS}) == 40


def test_tables_are_divided_in_halves_that_are_alike() -> None:
    dev, held_out = list_tables("dev"), list_tables("held_out")
    assert len(dev) == len(held_out) == 20
    assert {*dev, *held_out} == {*TABLES}
    counts = Counter((group, TABLES[name].task == "regression") for name, group in divide().items())
    assert counts == {("dev", False): 11, ("held_out", False): 11, ("dev", True): 9, ("held_out", True): 9}


def test_tables_drop_for_a_reason_and_never_the_target() -> None:
    for spec in SPECS:
        assert all(spec.drop.values())
        assert spec.target not in {*spec.drop, *spec.dates, *spec.codes}


def test_scores_are_scikit_learns_for_classes() -> None:
    rng = np.random.default_rng(0)
    P, y = rng.dirichlet(np.ones(3), 60), np.arange(60) % 3
    scores = score(P, y, y, "multiclass")
    assert scores["class_error"] == pytest.approx(1 - accuracy_score(y, P.argmax(axis=1)), abs=1e-6)
    assert scores["log_loss"] == pytest.approx(log_loss(y, P), abs=1e-6)
    assert scores["auc"] == pytest.approx(roc_auc_score(y, P, multi_class="ovr"), abs=1e-6)


def test_sure_and_wrong_costs_the_log_of_ten_million() -> None:
    y = np.array([0, 1])
    wrong = score(np.eye(2)[1 - y], y, y, "binary")
    assert wrong == pytest.approx({"class_error": 1, "log_loss": 7 * np.log(10), "auc": 0}, abs=1e-6)


def test_mean_of_the_training_rows_has_an_nrmse_of_1() -> None:
    y_train, y = np.array([1.0, 2.0, 6.0]), np.array([2.0, 9.0])
    assert score(np.full(2, 3.0), y, y_train, "regression") == {"nrmse": 1.0}
    with pytest.raises(ValueError, match="not finite"):
        score(np.array([1.0, np.nan]), y, y_train, "regression")


def test_losses_are_averaged_over_splits_and_geometrically_over_tables() -> None:
    of_score = {"tabm": {"digits": {1: 0.02, 2: 0.04}, "email": {1: 0.15, 2: 0.15}}}
    assert report.average(report.estimate(of_score, "tabm").values()) == pytest.approx(0.08)
    low, high = (0.03 * 0.16) ** 0.5, (0.05 * 0.16) ** 0.5
    assert report.standard_error(of_score["tabm"]) == pytest.approx((high - low) / 2)


def test_method_that_ran_an_easy_split_only_gains_nothing_by_it() -> None:
    of_score = {"hist-gb": {"ames": {1: 0.29, 2: 0.59}}, "tabm": {"ames": {1: 0.29}}}
    assert (
        report.estimate(of_score, "tabm")
        == report.estimate(of_score, "hist-gb")
        == {"ames": pytest.approx(0.44)}
    )


def test_failed_method_takes_the_worst_score() -> None:
    cells = [
        {"method": "good", "table": "ames", "split": 1, "scores": {"nrmse": 0.3}},
        {"method": "bad", "table": "ames", "split": 1, "scores": {"nrmse": 0.7}},
        {"method": "none", "table": "ames", "split": 1, "failed": "out of memory"},
    ]
    scores = report.collect_scores(cells)
    assert scores["nrmse"]["none"] == {"ames": {1: 0.7}}
    methods, ranks, tables = report.rank(scores)
    assert (methods, ranks.tolist(), tables) == (["bad", "good", "none"], [[2.5, 1, 2.5]], ["ames"])


def test_critical_difference_is_that_of_the_literature() -> None:
    # Demšar 2006: four classifiers on 14 data sets, 1.25 at 5%.
    assert report.critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)


def test_cliques_are_the_longest_runs_within_the_difference() -> None:
    assert report.find_cliques(np.array([1.0, 1.5, 2.1, 4.0]), 1.2) == [(0, 2)]
    assert report.find_cliques(np.array([1.0, 2.0, 3.0]), 1.2) == [(0, 1), (1, 2)]


def test_kept_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "league.json"
    assert league.read_cells(path) == {}
    cell = {"method": "hist-gb", "table": "ames", "split": 2, "scores": {"nrmse": 0.3}}
    league.write_cells(path, {("hist-gb", "ames", 2): cell}, {"cores": 2})
    assert league.read_cells(path) == {("hist-gb", "ames", 2): cell}


def test_peers_get_moments_and_truth_values_as_numbers_and_unseen_words_as_gaps() -> None:
    moments = pd.to_datetime(["1970-01-02 06:00", ""])
    frame = pd.DataFrame({"word": ["a", None], "when": moments, "true": [True, False], "x[<": [1.5, None]})
    numbers = to_numbers(frame)
    assert numbers.iloc[0].to_dict() == {
        "word": "a",
        "true": 1,
        "x[<": 1.5,
        "when days": 1.25,
        "when month": 1,
        "when day_of_week": 4,
        "when hour": 6,
    }
    assert numbers.iloc[1].isna().sum() == 6
    encoded = make_category_encoder(frame)(frame.assign(word=["b", "a"]))
    assert encoded["c0"].tolist() == [pytest.approx(np.nan, nan_ok=True), "a"]
    assert list(encoded.columns) == [f"c{i}" for i in range(7)]
