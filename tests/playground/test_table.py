"""Tables from Python, and what the page cannot take."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

import batchprop as bp
from batchprop.errors import DataError, InputError, ParameterError
from batchprop.playground import Playground, make_toy, playground

X = np.random.default_rng(0).normal(size=(30, 2))


def table_of(page: Playground) -> dict[str, Any]:
    """The table that is written into a page."""
    match = re.search(r'id="playground-data">(.*?)</script>', page.html, re.DOTALL)
    assert match is not None
    table: dict[str, Any] = json.loads(match[1])["table"]
    return table


def test_function_has_the_name_of_its_package() -> None:
    assert bp.playground is playground


def test_data_frame_names_columns_rows_and_target() -> None:
    frame = pd.DataFrame(X, columns=["a", "b"], index=[f"r{k}" for k in range(30)])
    table = table_of(playground(frame, pd.Series(["no", "yes"] * 15, name="ill")))
    assert (table["features"], table["outputs"], table["rows"][0]) == (["a", "b"], ["no", "yes"], "row r0")
    assert (table["title"], table["task"]) == ("Your table", "classes")


def test_numbers_are_standardised_and_names_are_made_up() -> None:
    table = table_of(playground(X, X[:, 0] ** 2, about="Squares"))
    assert (table["title"], table["task"]) == ("Squares: target, standardised", "numbers")
    assert (table["features"], table["outputs"]) == (["x0", "x1"], ["target"])


def test_notebook_gets_a_frame_and_markup_in_names_stays_text(monkeypatch: pytest.MonkeyPatch) -> None:
    page = playground(X, ["</script><b>", "b"] * 15, about="a < b")
    monkeypatch.setattr("batchprop.microscope.widget.find_spec", lambda _: None)
    assert page._repr_mimebundle_()["text/html"].startswith('<iframe title="batchprop playground"')
    assert "<title>a &lt; b: batchprop playground</title>" in page.html
    assert "</script><b>" not in page.html


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ((X, None), InputError, "X and y belong together"),
        ((X, [1, 2]), InputError, "give 30 targets, one for each row of X"),
        ((X[:, 0], [0, 1] * 15), InputError, r"X has shape \(30,\)"),
        (([["a", "b"]] * 6, [0, 1] * 3), InputError, "encode it, or give the file"),
        ((np.full((6, 1), np.nan), [0, 1] * 3), InputError, "NaN or infinite"),
        ((X, np.arange(30)), DataError, "30 classes: the playground takes up to 10"),
        ((X[:4], [0, 1] * 2), DataError, r"too few rows \(4\)"),
        ((np.zeros((6, 501)), [0, 1] * 3), DataError, "501 features"),
    ],
)
def test_what_the_page_cannot_take_is_refused(given: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        playground(*given)


@pytest.mark.parametrize("seed", [-1, 2**32, 0.5, True])
def test_seed_that_the_page_does_not_take_is_refused(seed: Any) -> None:
    with pytest.raises(ParameterError, match="random_state="):
        playground(random_state=seed)


@pytest.mark.parametrize("given", [{"name": "moon"}, {"name": "moons", "rows": 4}])
def test_toy_data_set_that_is_unknown_or_too_small_is_refused(given: Any) -> None:
    with pytest.raises(ParameterError):
        make_toy(**given)
