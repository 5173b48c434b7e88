"""The microscope in a real browser: its numbers match the library, and every control works."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import batchprop as bp
from tests import browsers
from tests.browsers import violations
from tests.estimators.tables import estimator, quiet, table
from tests.microscope.browser_pages import (
    ROWS,
    assert_matches,
    current_step,
    go_to,
    library_matrices,
    matrix_names,
    open_file,
    read_matrix,
    steps,
)

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

pytestmark = quiet

STEPS = [
    "forward-0", "forward-1", "forward-2", "forward-3", "loss", "backward-3", "backward-2", "backward-1",
    "collapse-3", "collapse-2", "collapse-1", "update-1", "update-2", "update-3",
]  # fmt: skip
CHANGED_BY_A_STEP = (".equation-view", '[aria-current="step"]')


def test_every_number_of_every_step_matches_the_library(page: Page, model: Any) -> None:
    expected, compared = library_matrices(model), set[str]()
    assert steps(page) == STEPS
    for line in STEPS:
        assert current_step(page) == line
        compared |= assert_matches(page, expected)
        page.keyboard.press("ArrowRight")
    assert compared == set(expected)


def test_slider_goes_back_to_the_initial_weights(page: Page, model: Any) -> None:
    assert page.locator(".snapshot-name").inner_text() == "after epoch 5, the last"
    page.locator("#snapshot").focus()
    page.keyboard.press("Home")
    assert page.locator(".snapshot-name").inner_text() == "before the first epoch"
    assert current_step(page) == "forward-0"
    go_to(page, "update-2")
    assert_matches(page, library_matrices(model.at_snapshot(model.weight_snapshots_[0])))


def test_url_fragment_opens_that_step_without_a_tour(browser: Browser, file: Path) -> None:
    opened_page = browsers.open_page(browser, file.as_uri() + "#collapse-1", "figure", width=390, height=844)
    assert current_step(opened_page.page) == "collapse-1"
    assert not opened_page.page.locator(".tour").is_visible()
    # The strip of small pictures is wider than the window: the current one is in sight.
    opened_page.page.wait_for_function(
        "() => {const {left, right} = document.querySelector('.miniature.current').getBoundingClientRect();"
        " return left >= 0 && right <= innerWidth}"
    )
    opened_page.close()


def test_tour_follows_the_worst_example_to_its_gradient(browser: Browser, file: Path, model: Any) -> None:
    opened_page = open_file(browser, file)
    page = opened_page.page
    X, y = table("multiclass")
    step, wrong = model.backprop(X[:ROWS], y[:ROWS]), model.predict(X[:ROWS]) != y[:ROWS]
    worst = int(np.argmax(np.where(wrong | ~wrong.any(), step.losses, -np.inf)))
    tour, target = page.locator(".tour"), page.locator(".tour-target")
    assert f"row {worst}." in tour.inner_text()
    assert target.count() == 1
    # By keyboard alone: it opens with the focus on the card, and Escape gives it back.
    page.locator(".tour-opener").focus()
    page.keyboard.press("Enter")
    for name, place in (
        ("forward-3", f"{step.losses[worst]:.3g}"),
        ("backward-3", "dZ"),
        ("collapse-1", "one slice of 6"),
        ("collapse-1", f"norm {np.sqrt(step.gradient.squared_norms()[worst]):.3g}"),
    ):
        page.locator(".tour-next").press("Enter")
        assert current_step(page) == name
        assert place in tour.inner_text()
        assert target.count() == 1
        assert page.locator("tr.highlighted").get_attribute("data-example") == str(worst)
    assert target.get_attribute("data-example") == str(worst)
    page.keyboard.press("Escape")
    assert not tour.is_visible()
    assert target.count() == 0
    assert page.locator(".tour-opener").evaluate("button => button === document.activeElement")
    opened_page.close()


def test_keys_buttons_and_miniatures_step_and_space_plays(page: Page) -> None:
    go_to(page, STEPS[-1])
    assert page.locator("button.next").is_disabled()
    page.keyboard.press("ArrowLeft")
    page.locator("button.previous").click()
    assert current_step(page) == STEPS[-3]
    page.locator("h1").click()
    page.keyboard.press("Space")
    assert page.locator("button.play").inner_text() == "Pause"
    page.keyboard.press("Space")
    assert page.locator("button.play").inner_text() == "Play"
    names = page.locator(".miniature-name").all_inner_texts()
    assert names[:6] == ["B", "H¹", "H²", "P", "loss", "dZ³"]
    page.locator(".miniature").nth(9).click()
    assert current_step(page) == "collapse-2"
    assert page.locator(".miniature.current .miniature-name").inner_text() == "dW²"
    page.locator('figure[data-name="DW2"] .collapse-button').focus()
    page.keyboard.press("ArrowRight")
    assert current_step(page) == "collapse-1"
    page.locator("figure summary").first.focus()
    page.keyboard.press("ArrowLeft")
    assert current_step(page) == "collapse-2"


def test_hovering_a_column_selects_the_example_everywhere(page: Page, model: Any) -> None:
    X, y = table("multiclass")
    go_to(page, "forward-1")
    canvas = page.locator('figure[data-name="Z1"] canvas').first
    box = canvas.bounding_box()
    assert box is not None
    canvas.hover(position={"x": box["width"] * 2.5 / ROWS, "y": box["height"] * 0.5 / 7})
    assert page.locator("tr.highlighted").get_attribute("data-example") == "2"
    card = page.locator(".detail-panel").inner_text()
    step = model.backprop(X[2:3], y[2:3])
    norm = float(np.sqrt(step.gradient.squared_norms()[0]))
    for text in ("row 2", str(y[2]), f"{step.losses[0]:.4g}", f"{norm:.4g}", "Z¹, unit 1"):
        assert text in card, (text, card)
    Z = library_matrices(model)["Z1"]
    assert f"{Z[0, 2]:.4g}".replace("-", "−") in card


def test_dragging_over_cells_follows_the_pointer_and_the_slider_the_mouse(page: Page, model: Any) -> None:
    go_to(page, "forward-3")
    box = page.locator('figure[data-name="P"] canvas').first.bounding_box()
    assert box is not None
    P = library_matrices(model)["P"]
    cell = (box["width"] / ROWS, box["height"] / len(P))
    page.mouse.move(box["x"] + 0.5 * cell[0], box["y"] + 0.5 * cell[1])
    page.mouse.down()
    for example, output in ((1, 0), (ROWS - 1, len(P) - 1)):
        page.mouse.move(box["x"] + (example + 0.5) * cell[0], box["y"] + (output + 0.5) * cell[1], steps=3)
        assert page.locator("tr.highlighted").get_attribute("data-example") == str(example)
        value = page.locator(".explanation-value").get_attribute("data-value")
        assert_allclose(float(value or "nan"), P[output, example], rtol=1e-5)
    page.mouse.up()
    slider = page.locator("#snapshot").bounding_box()
    assert slider is not None
    page.mouse.move(slider["x"] + slider["width"] - 8, slider["y"] + slider["height"] / 2)
    page.mouse.down()
    page.mouse.move(slider["x"] + 1, slider["y"] + slider["height"] / 2, steps=3)
    page.mouse.up()
    assert page.locator(".snapshot-name").inner_text() == "before the first epoch"


def test_keyboard_reaches_every_cell_and_screen_readers_announce_it(page: Page, model: Any) -> None:
    go_to(page, "collapse-2")
    figure = page.locator('figure[data-name="dW2"]').first
    figure.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    value = library_matrices(model)["dW2"][1, 1]
    assert f"{value:.4g}".replace("-", "−") in page.locator(".detail-panel").inner_text()
    assert current_step(page) == "collapse-2"
    assert page.locator('[aria-live="polite"]').count() == 1
    assert re.match(r"dW², 4 × 7; one row per unit", figure.get_attribute("aria-label") or "")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    assert current_step(page) == "collapse-1"


def test_excluding_and_clipping_match_the_library(page: Page, model: Any) -> None:
    page.locator('tr[data-example="1"] input').uncheck()
    page.locator('tr[data-example="4"] input').uncheck()
    weights = np.array([1.0, 0, 1, 1, 0, 1])
    go_to(page, "update-1")
    assert_matches(page, library_matrices(model, weights))
    page.locator("#clip-on").check()
    page.locator("#clip-number").fill("0.2")
    page.locator("#clip-number").press("Enter")
    page.locator("#clip-number").fill("-3")
    page.locator("#clip-number").press("Enter")
    assert page.locator("#clip-number").input_value() == "0.2"
    expected = library_matrices(model, weights, 0.2)
    assert_matches(page, expected, ["dW1", "updatedW1", "updatedb1"])
    X, y = table("multiclass")
    g = model.backprop(X[:ROWS], y[:ROWS]).gradient
    length = np.sqrt(sum(float((theta**2).sum()) for layer in g.mean() for theta in layer))
    text = page.locator(".gradient-change").inner_text()
    assert f"{length:.4g} →" in text
    assert "2 examples excluded" in text
    cosines = page.eval_on_selector_all(
        'td[data-key="cosine"]', "all => all.map(one => Number(one.dataset.value))"
    )
    kept = model.backprop(X[:ROWS], y[:ROWS], weights).gradient.clipped(0.2).mean()
    norm = np.sqrt(sum(float((theta**2).sum()) for layer in kept for theta in layer))
    assert_allclose(cosines, g.dot(kept) / np.sqrt(g.squared_norms()) / norm, rtol=1e-4)
    page.locator("#clip-on").uncheck()
    page.locator("button.include-all").click()
    assert_matches(page, library_matrices(model))


# Of the steps, each is looked at in one scheme and width: to look takes seconds. A step changes its own
# equations and which line is marked; the list of all steps, which is most of the page, stays as it was.
@pytest.mark.parametrize(
    ("scheme", "width", "height", "looked_at"),
    [
        ("light", 1280, 720, {"forward-2": (), "loss": CHANGED_BY_A_STEP}),
        ("dark", 390, 844, {"collapse-1": ()}),
    ],
)
def test_page_is_accessible_and_fits(
    browser: Browser, file: Path, width: int, height: int, scheme: str, looked_at: dict[str, tuple[str, ...]]
) -> None:
    opened_page = open_file(browser, file, width=width, height=height, color_scheme=scheme)
    for line in ("forward-2", "loss", "collapse-1"):
        go_to(opened_page.page, line)
        equations = opened_page.page.locator(".equation")
        heights = equations.evaluate_all("all => all.map(one => one.getBoundingClientRect().height)")
        assert max(heights) <= height
        opened_page.page.locator("figure summary").first.click()
        assert line not in looked_at or not violations(opened_page.page, *looked_at[line])
        assert opened_page.page.evaluate("document.scrollingElement.scrollWidth") <= width
    assert (opened_page.said, opened_page.asked) == ([], [file.as_uri()])
    opened_page.close()


def test_overflowing_network_is_drawn(browser: Browser, tmp_path: Path, model: Any) -> None:
    X, y = table("multiclass")
    broken = model.at_snapshot(model.weight_snapshots_[-1])
    del broken._extra_state
    broken.coefs_ = [broken.coefs_[0] * np.inf, *broken.coefs_[1:]]
    with np.errstate(all="ignore"):
        file = bp.microscope.look(broken, X[:3], y[:3]).save(tmp_path / "broken.html")
    opened_page = open_file(browser, file)
    for line in ("loss", "backward-1", "collapse-1", "update-1", "forward-1"):
        go_to(opened_page.page, line)
        assert matrix_names(opened_page.page)
    assert not np.isfinite(read_matrix(opened_page.page, "W1")).all()
    assert opened_page.said == []
    opened_page.close()


def test_labels_are_never_markup(browser: Browser, tmp_path: Path) -> None:
    X, y = table("binary")
    y = np.where(y == "yes", "<img src=x onerror=alert(1)>", "</script><b>no</b>")
    file = bp.microscope.look(estimator("binary").fit(X, y), X, y, rows=3, about="<i>a</i>").save(
        tmp_path / "t.html"
    )
    opened_page = open_file(browser, file)
    assert opened_page.page.locator("h1").inner_text() == "<i>a</i> through 5-8-1"
    assert opened_page.page.locator("main img, main b, main i").count() == 0
    assert "<img src=x onerror=alert(1)>" in opened_page.page.locator("table.examples-table").inner_text()
    assert (opened_page.said, opened_page.asked) == ([], [file.as_uri()])
    opened_page.close()
