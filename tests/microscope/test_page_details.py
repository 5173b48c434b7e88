"""The microscope in a real browser, in detail: images, slices, texts and sorting."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.testing import assert_allclose

import batchprop as bp
from tests.estimators.tables import estimator, quiet, table
from tests.microscope.browser_pages import ROWS, go_to, library_matrices, open_file, read_matrix

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

pytestmark = quiet


def test_images_show_the_given_images_not_the_inputs(browser: Browser, tmp_path: Path, model: Any) -> None:
    X, y = table("multiclass")
    images = np.zeros((len(X), 2, 3))
    images[:, 1, 2] = 200
    file = bp.microscope.look(model, X[:3], y[:3], images=images[:3]).save(tmp_path / "images.html")
    opened_page = open_file(browser, file)
    shown = opened_page.page.locator(".thumbnail .input-image")
    assert shown.count() == 3
    assert shown.first.get_attribute("aria-label") == "row 0 as an image, 2 × 3, colours from 0 to 200"
    shown.first.hover()
    drawn = opened_page.page.locator(".detail-panel .input-image canvas").evaluate(
        """canvas => {
          const { width, height } = canvas;
          const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
          const at = (row, column) =>
            4 * (width * Math.floor((row + 0.5) * height / 2) + Math.floor((column + 0.5) * width / 3));
          const places = [0, 1].flatMap(row => [0, 1, 2].map(column => at(row, column)));
          return places.map(place => data.slice(place, place + 3).join());
        }"""
    )
    assert len(set(drawn[:5])) == 1
    assert drawn[5] != drawn[0]
    assert opened_page.said == []
    opened_page.close()


def test_rows_of_weights_are_drawn_as_images_and_pointed_at_by_pixel(
    browser: Browser, tmp_path: Path
) -> None:
    X, y = table("binary")
    X = np.hstack([X, X[:, :1]])  # 6 features: images of 2 × 3
    model = estimator("binary").fit(X, y)
    page = bp.microscope.look(model, X[:4], y[:4], images=X[:4].reshape(-1, 2, 3))
    opened_page = open_file(browser, page.save(tmp_path / "faces.html"))
    go_to(opened_page.page, "update-1")
    canvas = opened_page.page.locator('figure[data-name="W1"] canvas')
    box = canvas.bounding_box()
    assert box is not None
    # 8 images in lines of 4: 2 lines of 2 pixels, and 4 times 3 pixels side by side.
    pixel = box["width"] / 12
    assert_allclose(box["height"], 4 * pixel)
    canvas.hover(position={"x": (3 + 2 + 0.5) * pixel, "y": (2 + 1 + 0.5) * pixel})
    value = opened_page.page.locator(".explanation-value").get_attribute("data-value")
    assert_allclose(float(value or "nan"), model.coefs_[0].T[4 + 1, 3 + 2], rtol=1e-5)
    assert opened_page.said == []
    opened_page.close()


def test_numbers_of_a_tensor_are_the_largest_gradient_until_a_sheet_is_pointed_at(
    page: Page, model: Any
) -> None:
    X, y = table("multiclass")
    longest = int(np.argmax(model.backprop(X[:ROWS], y[:ROWS]).gradient.squared_norms()))
    go_to(page, "collapse-1")
    figure = page.locator('figure[data-name="DW1"]')
    figure.locator("summary").click()
    assert figure.locator("table").get_attribute("data-example") == str(longest)
    for example in (4, 2):
        figure.locator(f'.sheet[data-slice="{example}"] > canvas').hover()
        assert page.locator("tr.highlighted").get_attribute("data-example") == str(example)
        assert figure.locator("table").get_attribute("data-example") == str(example)


def test_sheets_fly_into_the_mean_of_those_that_are_in_the_batch(page: Page, model: Any) -> None:
    go_to(page, "collapse-2")
    figure = page.locator('figure[data-name="DW2"]')
    figure.locator('.sheet[data-slice="3"] input').uncheck()
    assert figure.locator(".sheet.excluded").get_attribute("data-slice") == "3"
    assert not page.locator('tr[data-example="3"] input').is_checked()
    assert figure.locator(".mean-count").inner_text() == "0 of 5"
    page.emulate_media(reduced_motion="no-preference")
    figure.locator("button.collapse-button").click()
    page.wait_for_selector('figure[data-name="DW2"] .flying-sheet')
    page.wait_for_selector('figure[data-name="DW2"] .shows-mean')
    assert figure.locator(".mean-count").inner_text() == "5 of 5"
    assert page.locator(".flying-sheet").count() == 0
    expected = library_matrices(model, np.array([1.0, 1, 1, 0, 1, 1]))["dW2"]
    assert_allclose(read_matrix(page, "DW2"), expected, rtol=2e-5, atol=2e-6)


def test_gradient_map_holds_the_principal_components_of_the_gram_matrix(page: Page, model: Any) -> None:
    X, y = table("multiclass")
    gradient = model.backprop(X[:ROWS], y[:ROWS]).gradient
    values, vectors = np.linalg.eigh(gradient.gram(gradient))
    expected = vectors[:, :-3:-1] * np.sqrt(values[:-3:-1])
    markers = page.locator(".map-marker")
    shown = np.array(
        markers.evaluate_all("all => all.map(one => [one.dataset.x, one.dataset.y].map(Number))")
    )
    assert_allclose(np.abs(shown), np.abs(expected), rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    part = 100 * values[:-3:-1].sum() / values.sum()
    assert f"{part:.3g}% of their squared length" in page.locator(".gradient-map").inner_text()
    markers.nth(2).click()
    assert not page.locator('tr[data-example="2"] input').is_checked()
    assert markers.nth(2).evaluate("marker => marker === document.activeElement")
    assert "1 example excluded" in page.locator(".gradient-change").inner_text()


def test_numbers_stand_in_cells_and_their_switch_takes_them_out(page: Page) -> None:
    go_to(page, "forward-3")
    canvas = page.locator('figure[data-name="Z3"] canvas')
    drawing = "canvas => canvas.toDataURL()"
    with_numbers = canvas.evaluate(drawing)
    page.locator("#numbers").uncheck()
    assert canvas.evaluate(drawing) != with_numbers
    page.locator("#numbers").check()
    assert canvas.evaluate(drawing) == with_numbers


def test_mean_loss_and_collapse_texts_follow_the_included_examples(page: Page, model: Any) -> None:
    losses = library_matrices(model)["losses"][0]
    formula = page.locator('[data-step="collapse-2"] annotation').first
    go_to(page, "loss")
    note = page.locator(".equation-note")
    assert note.inner_text() == f"The mean of the 6 losses is {losses.mean():.4g}."
    assert r"\tfrac1m" in (formula.text_content() or "")
    page.locator('tr[data-example="1"] input').uncheck()
    mean = np.delete(losses, 1).mean()
    assert note.inner_text() == f"The mean of the 5 losses of the included examples is {mean:.4g}."
    assert "frac1m" not in (formula.text_content() or "")
    assert r"\operatorname{diag}(c)" in (formula.text_content() or "")
    go_to(page, "collapse-2")
    spoken = page.locator(".equation-view .sign .sr-only").all_inner_texts()
    assert not [words for words in spoken if "mean" in words or "divided by m" in words], spoken
    page.locator("button.include-all").click()
    assert "their mean is" in page.locator(".equation-view .sign .sr-only").all_inner_texts()
    assert r"\tfrac1m" in (formula.text_content() or "")


def test_mean_loss_uses_the_weights_of_the_batch(browser: Browser, tmp_path: Path) -> None:
    X, y = table("binary")
    y = np.where(np.arange(len(y)) < 4, y, "yes")
    model = estimator("binary", class_weight="balanced").fit(X, y)
    file = bp.microscope.look(model, X[:4], y[:4]).save(tmp_path / "weights.html")
    weights = model.network_and_batch(X[:4], y[:4])[1].weights
    losses = model.backprop(X[:4], y[:4]).losses
    opened_page = open_file(browser, file)
    go_to(opened_page.page, "loss")
    expected = f"The weighted mean of the 4 losses is {np.average(losses, weights=weights):.4g}."
    assert opened_page.page.locator(".equation-note").inner_text() == expected
    assert len(set(weights)) > 1
    opened_page.close()


def rows_in_order(page: Page) -> list[int]:
    """The examples in the order of the table."""
    rows: list[str] = page.eval_on_selector_all("tr[data-example]", "all => all.map(r => r.dataset.example)")
    return [int(row) for row in rows]


def test_number_columns_sort_numerically_and_stay_sorted(browser: Browser, tmp_path: Path) -> None:
    X, y = table("single")
    model = estimator("single").fit(X, y, record_examples=True)
    y = np.array([10.0, -3.5, 9.5, -12.0, 0.25, 1e-7])
    file = bp.microscope.look(model, X[:ROWS], y).save(tmp_path / "numbers.html")
    opened_page = open_file(browser, file)
    for key, values in (("label", y), ("prediction", model.predict(X[:ROWS]))):
        head = opened_page.page.locator(f'th[data-key="{key}"]')
        head.locator("button").click()
        assert rows_in_order(opened_page.page) == np.argsort(values).tolist(), key
    opened_page.page.locator("#snapshot").focus()
    opened_page.page.keyboard.press("Home")
    early = model.at_snapshot(model.weight_snapshots_[0]).predict(X[:ROWS])
    assert rows_in_order(opened_page.page) == np.argsort(early).tolist()
    assert head.get_attribute("aria-sort") == "ascending"
    opened_page.page.locator('th[data-key="included"] button').click()
    box = opened_page.page.locator('tr[data-example="0"] input')
    box.focus()
    opened_page.page.keyboard.press("Space")
    assert rows_in_order(opened_page.page) == [1, 2, 3, 4, 5, 0]
    assert box.evaluate("box => box === document.activeElement")
    opened_page.close()


def test_nan_sorts_last_in_both_directions(browser: Browser, tmp_path: Path, model: Any) -> None:
    X, y = table("multiclass")
    X = X[:4].copy()
    X[1] *= 1e308
    with np.errstate(all="ignore"):
        file = bp.microscope.look(model, X, y[:4]).save(tmp_path / "odd.html")
    opened_page = open_file(browser, file)
    head = opened_page.page.locator('th[data-key="norm"] button')
    values = opened_page.page.eval_on_selector_all(
        'td[data-key="norm"]', "all => all.map(one => Number(one.dataset.value))"
    )
    odd = [n for n, value in enumerate(values) if np.isnan(value)]
    assert odd
    for _ in range(2):
        head.click()
        assert rows_in_order(opened_page.page)[4 - len(odd) :] == odd
    opened_page.close()


def test_collapsed_tensor_describes_the_mean(page: Page, model: Any) -> None:
    go_to(page, "collapse-1")
    stack = page.locator('figure[data-name="DW1"]')
    expected = library_matrices(model)
    stack.locator("button.collapse-button").click()
    assert_allclose(read_matrix(page, "DW1"), expected["dW1"], rtol=2e-5, atol=2e-6)
    mean = expected["dW1"]
    assert f"from {mean.min():.3g} to {mean.max():.3g}".replace("-", "−") in (
        stack.get_attribute("aria-label") or ""
    )
    X, y = table("multiclass")
    largest = np.abs(model.backprop(X[:ROWS], y[:ROWS]).gradient.tensor(0)).max()
    assert stack.locator(".legend-numbers span").last.inner_text() == f"{largest:.3g}"
    assert stack.locator("button.collapse-button").inner_text() == "Expand the slices"
    text = page.get_by_text("are the same numbers: largest difference").inner_text()
    assert re.search(r"difference (0|[\d.]+·10⁻\S+)\.", text)
    zoom = page.locator(".sign annotation").first.text_content() or ""
    assert rf"\times {largest / np.abs(mean).max():.2g}}}" in zoom


def test_page_opens_on_the_last_snapshot_with_a_mistake(browser: Browser, tmp_path: Path, model: Any) -> None:
    X, y = table("multiclass")
    correct = np.array([model.at_snapshot(one).predict(X) == y for one in model.weight_snapshots_])
    late = np.flatnonzero(~correct[0] & correct[-1])[:1]
    rows = np.concatenate([np.flatnonzero(correct.all(axis=0))[:3], late])
    file = bp.microscope.look(model, X[rows], y[rows], rows=4).save(tmp_path / "mistake.html")
    opened_page = open_file(browser, file)
    last = int(np.flatnonzero(~correct[:, late[0]])[-1])
    assert opened_page.page.locator("#snapshot").input_value() == str(last)
    assert opened_page.page.locator(".example-head.wrong").count() == 1
    opened_page.close()


def test_partly_drawn_matrix_states_its_full_shape_and_one_example_is_singular(
    browser: Browser, tmp_path: Path
) -> None:
    X, y = table("binary")
    model = estimator("binary", hidden_layer_sizes=(100,), max_iter=2).fit(X, y)
    opened_page = open_file(browser, bp.microscope.look(model, X[:1], y[:1]).save(tmp_path / "part.html"))
    assert opened_page.page.locator(".gradient-change").inner_text().endswith("with its 1 example.")
    go_to(opened_page.page, "forward-1")
    for name, shape in (("W1", "100 × 5, 64 × 5 drawn"), ("b1", "100 × 1, 64 × 1 drawn"), ("B", "5 × 1")):
        figure = opened_page.page.locator(f'figure[data-name="{name}"]')
        assert figure.locator(".figure-shape").inner_text() == shape
    opened_page.close()


def test_terms_of_a_poisson_loss_add_up(browser: Browser, tmp_path: Path) -> None:
    X, y = table("counts")
    model = estimator("counts", loss="poisson").fit(X, y)
    opened_page = open_file(browser, bp.microscope.look(model, X, y, rows=4).save(tmp_path / "poisson.html"))
    go_to(opened_page.page, "loss")
    opened_page.page.locator('figure[data-name="losses"]').focus()
    opened_page.page.keyboard.press("ArrowDown")
    for _ in range(4):
        steps = opened_page.page.locator(".explanation .terms .value")
        values = steps.evaluate_all("all => all.map(one => Number(one.dataset.value))")
        assert len(values) == 2
        assert_allclose(values[0], values[1], rtol=1e-4, atol=1e-6)
        opened_page.page.keyboard.press("ArrowRight")
    opened_page.close()


def test_predictions_share_a_colour_scale_with_targets_only_side_by_side(
    browser: Browser, tmp_path: Path
) -> None:
    X, y = table("single")
    opened_page = open_file(
        browser,
        bp.microscope.look(estimator("single").fit(X, y), X[:4], 1000 + y[:4]).save(tmp_path / "p.html"),
    )
    heads = opened_page.page.locator('figure[data-name="B"] .example-head')
    assert heads.all_inner_texts() == [f"{value:,.4g}" for value in 1000 + y[:4]]
    assert "Click an example" in opened_page.page.locator(".gradient-map").inner_text()
    legend = opened_page.page.locator('figure[data-name="P"] .legend-numbers')
    go_to(opened_page.page, "forward-2")
    alone = legend.inner_text()
    for line in ("loss", "backward-2"):
        go_to(opened_page.page, line)
        assert legend.inner_text() != alone
        assert legend.inner_text().endswith("1,005")
    opened_page.close()
