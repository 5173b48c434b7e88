"""The league: its list of tables. None is loaded, for their package is no part of dev."""

from __future__ import annotations

from collections import Counter

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
