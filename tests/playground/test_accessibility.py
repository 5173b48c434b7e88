"""The playground by keyboard, with a screen reader, on a phone and in dark mode."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.browsers import violations

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.playground.servers import Playing

expect = pytest.importorskip("playwright.sync_api", reason="pip install playwright").expect
expect.set_options(timeout=30_000)

FOCUSED = """() => {
  const at = document.activeElement;
  const name = at.id || at.name || at.classList[0] || at.tagName.toLowerCase();
  const ring = [at, at.nextElementSibling].filter(Boolean).map(one => getComputedStyle(one));
  return [name, ring.some(style => style.outlineStyle === "solid" && parseFloat(style.outlineWidth) >= 2)];
}"""


def test_every_control_is_reached_by_keyboard_with_a_visible_focus(playing: Playing) -> None:
    playing.at("button.step").click()
    expect(playing.readout("step")).to_have_text("1")
    playing.page.reload()
    expect(playing.readout("step")).to_have_text("1")
    reached: dict[str, bool] = {}
    while True:
        playing.page.keyboard.press("Tab")
        name, ringed = playing.page.evaluate(FOCUSED)
        if name == "body" or (name == "theme-button" and reached):
            break
        reached[name] = ringed and reached.get(name, True)
    wanted = {
        "theme-button", "end", "start", "step", "reset", "speed", "open-microscope", "data", "rows",
        "rows-slider", "noise", "noise-slider", "file", "units", "remove", "add-layer", "activation", "seed",
        "next-seed", "batch-size", "batch-size-slider", "learning-rate", "learning-rate-slider", "optimizer",
        "loss-scale", "summary",
    }  # fmt: skip
    assert wanted <= set(reached)
    assert all(reached.values()), [name for name, ringed in reached.items() if not ringed]


def test_training_by_keyboard_alone(playing: Playing) -> None:
    keyboard = playing.page.keyboard
    keyboard.press("Space")
    expect(playing.at(".start")).to_have_text("Pause")
    expect(playing.readout("step")).not_to_have_text("0")
    keyboard.press("Space")
    expect(playing.at(".start")).to_have_text("Start")
    steps = playing.steps()
    # In a field, keys keep their own meaning; on a button, space presses the button.
    for selector in ("#seed", "#learning-rate-slider", '.speeds input[value="steady"]'):
        playing.at(selector).focus()
        keyboard.press("ArrowRight")
        keyboard.press("ArrowLeft")
    playing.at("#optimizer").focus()
    keyboard.press("Space")
    keyboard.press("Escape")
    playing.at(".theme-button").focus()
    keyboard.press("Space")
    expect(playing.at(".theme-button")).to_have_text("Light theme")
    state = playing.served.ask(lambda it: (it.running, it.run, it.trainer.steps))
    assert state == (False, 0, steps)
    keyboard.press("ArrowRight")
    expect(playing.readout("step")).to_have_text(str(steps + 1))


def test_screen_readers_get_announcements(playing: Playing) -> None:
    live = playing.at('[aria-live="polite"]')
    playing.at("button.step").click()
    expect(live).to_have_text(re.compile(r"^Step 1, loss [\d.]+\.$"))
    playing.at(".start").click()
    expect(live).to_have_text("Started.")
    playing.at(".start").click()
    expect(live).to_have_text(re.compile(r"^Paused at step \d+, loss [\d.]+\.$"))
    step = playing.steps()
    loss = playing.readout("validation loss").inner_text()
    for panel, words in (
        ("Loss", rf"^Loss by step, {step} steps: .* validation {re.escape(loss)}\.$"),
        (
            "Gradient noise scale",
            rf"^Gradient noise scale by step, {step} steps: now \S+ examples, batch size 16\.$",
        ),
        ("Decision plot", rf"After step {step}: [\d.]+% correct on the validation points\."),
    ):
        canvas = playing.at(f'section[aria-label="{panel}"] canvas')
        expect(canvas).to_have_attribute("role", "img")
        expect(canvas).to_have_attribute("aria-label", re.compile(words))
    playing.at("button.reset").click()
    expect(live).to_have_text("New training from the initial weights.")


# Colours depend on the scheme, and places on the width.
@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_page_is_accessible_and_fits(
    open_playground: Callable[..., Playing], scheme: str, width: int
) -> None:
    playing = open_playground({"batch_size": 4}, width=width, color_scheme=scheme)
    for details in playing.at("details").all():
        if details.get_attribute("open") is None:
            details.locator("summary").click()
    playing.at("button.step").click()
    playing.type("#rows", "1")
    expect(playing.at(".rows-field .field-error")).not_to_be_empty()
    expect(playing.at(".history-table tbody tr")).to_have_count(2)
    assert not violations(playing.page)
    assert playing.page.evaluate("document.scrollingElement.scrollWidth") <= width
    canvas = playing.at(".decision-plot canvas").bounding_box()
    assert canvas is not None
    assert min(canvas["width"], canvas["height"]) > 250


def test_on_a_phone_the_plot_comes_first_and_settings_are_closed(
    open_playground: Callable[..., Playing],
) -> None:
    playing = open_playground(width=390, height=844)
    tops = [
        playing.at(selector).first.evaluate("one => one.getBoundingClientRect().top")
        for selector in (".toolbar", ".decision-plot", ".group", ".chart")
    ]
    assert tops == sorted(tops)
    assert playing.at("details.group[open]").count() == 0
    # Sharp on screens with two device pixels per CSS pixel.
    ratio = playing.page.evaluate("devicePixelRatio")
    wide = playing.at(".decision-plot canvas").evaluate("one => [one.width, one.clientWidth]")
    assert wide[0] == pytest.approx(wide[1] * ratio, abs=1)
    # The width of a wide window at 400% zoom.
    playing.page.set_viewport_size({"width": 320, "height": 256})
    assert playing.page.evaluate("document.scrollingElement.scrollWidth") <= 320
