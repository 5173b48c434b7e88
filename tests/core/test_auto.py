"""Automatic engine selection: shapes alone decide, and more work never selects NumPy again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchprop.engines import auto
from batchprop.engines.auto import (
    ENGINES,
    PRECISIONS,
    Workload,
    choose_engine,
    estimate_numpy_seconds,
    worth_compiling,
)
from batchprop.errors import ParameterError

SMALL = Workload((4, 8, 3), 150, 50, 20)
LARGE = Workload((784, 1024, 10), 60_000, 128, 100)

works = st.builds(
    Workload,
    sizes=st.lists(st.integers(1, 2000), min_size=2, max_size=5),
    rows=st.integers(1, 10**7),
    batch_size=st.integers(1, 10**5),
    epochs=st.integers(1, 1000),
)


def without_jax(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "jax_is_installed", lambda: False)


def test_auto_selects_the_faster_engine() -> None:
    assert choose_engine("auto", SMALL) == "numpy"
    assert choose_engine("auto", LARGE) == "jax"


@given(works)
def test_auto_follows_the_rule_for_the_shapes(work: Workload) -> None:
    assert choose_engine("auto", work) == ("jax" if worth_compiling(work) else "numpy")
    assert worth_compiling(work) == (estimate_numpy_seconds(work) > auto.WORTH_COMPILING)


@given(works, st.integers(0, 10**6), st.integers(0, 1000))
def test_more_rows_or_epochs_never_switch_back_to_numpy(work: Workload, rows: int, epochs: int) -> None:
    more = work._replace(rows=work.rows + rows, epochs=work.epochs + epochs)
    assert estimate_numpy_seconds(more) >= estimate_numpy_seconds(work) > 0
    assert worth_compiling(more) or not worth_compiling(work)


@given(works, st.integers(0, 4), st.integers(1, 1000))
def test_wider_network_never_switches_back_to_numpy(work: Workload, layer: int, more: int) -> None:
    sizes = list(work.sizes)
    sizes[layer % len(sizes)] += more
    assert estimate_numpy_seconds(work._replace(sizes=sizes)) > estimate_numpy_seconds(work)


@pytest.mark.parametrize("work", [SMALL, LARGE])
def test_explicit_engine_is_used(work: Workload) -> None:
    assert choose_engine("numpy", work) == "numpy"
    assert choose_engine("jax", work) == "jax"


@pytest.mark.parametrize("work", [SMALL, LARGE])
@pytest.mark.parametrize("device", ["gpu", "tpu"])
def test_device_or_precision_selects_jax(work: Workload, device: str) -> None:
    assert choose_engine("auto", work, device=device) == "jax"
    for precision in PRECISIONS[1:]:
        assert choose_engine("auto", work, precision=precision) == "jax"


def test_device_and_precision_of_numpy_do_not_select_jax() -> None:
    assert choose_engine("auto", SMALL, device="cpu", precision="float32") == "numpy"
    assert choose_engine("numpy", LARGE, device="cpu", precision="float32") == "numpy"


@pytest.mark.parametrize("asked", [{"device": "gpu"}, {"precision": "bfloat16"}])
def test_numpy_with_a_device_or_precision_is_refused(asked: dict[str, Any]) -> None:
    ((name, value),) = asked.items()
    with pytest.raises(
        ParameterError, match=rf"{name}='{value}' does not go with engine='numpy'.*{name}=None"
    ):
        choose_engine("numpy", SMALL, **asked)


def test_auto_without_jax_selects_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    without_jax(monkeypatch)
    for work in (SMALL, LARGE):
        assert choose_engine("auto", work) == choose_engine("numpy", work) == "numpy"


@pytest.mark.parametrize(
    ("engine", "asked"), [("jax", {}), ("auto", {"device": "gpu"}), ("auto", {"precision": "bfloat16"})]
)
def test_requesting_missing_jax_is_an_error(
    engine: str, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    without_jax(monkeypatch)
    with pytest.raises(ParameterError, match=r"needs? JAX, .*not installed.*pip install 'batchprop\[jax\]'"):
        choose_engine(engine, SMALL, **asked)


def test_available_engines() -> None:
    assert ENGINES == ("auto", "numpy", "jax")
    assert auto.jax_is_installed()
