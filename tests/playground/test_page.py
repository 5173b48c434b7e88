"""The playground in a real browser: training, pausing, stepping, and every setting."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.browsers import open_page, violations
from tests.microscope.browser_pages import go_to, read_matrix
from tests.playground.servers import PETS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.playground.servers import Playing

expect = pytest.importorskip("playwright.sync_api", reason="pip install playwright").expect
expect.set_options(timeout=30_000)

INKED = """async (canvas, inks) => {
  await new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)));
  const probe = new OffscreenCanvas(inks.length, 1).getContext("2d");
  inks.forEach((ink, n) => {
    probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(ink);
    probe.fillRect(n, 0, 1, 1);
  });
  const wanted = new Uint32Array(probe.getImageData(0, 0, inks.length, 1).data.buffer);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const pixels = new Uint32Array(data.buffer);
  return Array.from(wanted, ink => pixels.filter(pixel => pixel === ink).length);
}"""
"""How many pixels of a canvas are of each colour, named as the stylesheet names it."""

SAME = "a,b,one\n" + "".join(f"{i},{i * i},same\n" for i in range(30))
"""A table whose last column, which is the most likely target, cannot be learned."""


def start(playing: Playing) -> None:
    playing.at(".start").click()
    expect(playing.at(".start")).to_have_text("Pause")


def pause(playing: Playing) -> None:
    playing.at(".start").click()
    expect(playing.at(".start")).to_have_text("Start")


def test_training_runs_pauses_and_steps(playing: Playing) -> None:
    expect(playing.readout("step")).to_have_text("0")
    expect(playing.at(".open-microscope")).to_be_disabled()
    start(playing)
    expect(playing.readout("epoch")).to_have_text(re.compile(r"^[1-9]"))
    pause(playing)
    before = playing.steps()
    assert before == playing.served.ask(lambda it: it.trainer.steps)
    for n, take in enumerate(
        (playing.at("button.step").click, lambda: playing.page.keyboard.press("ArrowRight"))
    ):
        take()
        expect(playing.readout("step")).to_have_text(str(before + n + 1))
        loss = float(playing.last_step().loss)
        expect(playing.readout("loss")).to_have_text(f"{loss:.4g}")
        assert_allclose(playing.newest("Loss")[0], loss, rtol=1e-6)
    assert playing.served.ask(lambda it: it.trainer.steps) == before + 2
    noise = playing.served.ask(lambda it: it.trainer.noise_scales[-1])
    assert_allclose(playing.newest("Gradient noise scale"), [noise, 16], rtol=1e-6)
    validation = playing.served.ask(lambda it: it.trainer.validate())
    expect(playing.readout("validation loss")).to_have_text(f"{validation.loss:.4g}")
    expect(playing.readout("validation accuracy")).to_have_text(f"{100 * validation.score:.3g}%")


def test_first_step_and_the_state_before_it_are_drawn(playing: Playing) -> None:
    playing.at("button.step").click()
    expect(playing.readout("step")).to_have_text("1")
    playing.at("button.reset").click()
    expect(playing.readout("step")).to_have_text("0")
    expect(playing.at(".open-microscope")).to_be_disabled()
    playing.at("button.step").click()
    expect(playing.readout("step")).to_have_text("1")
    loss = playing.at('section[aria-label="Loss"]')
    loss.locator("canvas").hover(position={"x": 52, "y": 90})
    before = playing.served.ask(lambda it: it.trainer.validation[0])
    assert before.step == 0
    expect(loss.locator(".pointer-readout")).to_have_text(f"step 0: validation {before.loss:.3g}")
    inked = loss.locator("canvas").evaluate(INKED, ["--loss", "--validation"])
    assert min(inked) >= 8  # a dot; a dashed line from before the step to after it


def test_large_data_are_drawn_in_part(open_playground: Callable[..., Playing]) -> None:
    playing = open_playground({"rows": 5000, "batch_size": 100})
    expect(playing.at(".plot-description")).to_have_text(
        "4,000 training points, 1,000 validation points; 2,000 of 5,000 points drawn"
    )
    label = playing.at(".decision-plot canvas")
    playing.at("button.step").click()
    expect(playing.at(".microscope-description")).to_contain_text("Step 1 trained on 100 points.")
    ringed = re.compile(r" \d\d of the 100 points of the last batch are ringed")
    expect(label).to_have_attribute("aria-label", ringed)
    expect(playing.at(".ring-entry")).to_be_visible()
    playing.at("#batch-size-slider").press("End")
    expect(playing.at(".batch-size-hint")).to_contain_text("All 4,000 examples at once")
    playing.at("button.step").click()
    expect(playing.at(".microscope-description")).to_contain_text("Step 2 trained on 4,000 points.")
    expect(label).to_have_attribute("aria-label", re.compile("has all training points; none is ringed"))
    expect(playing.at(".ring-entry")).to_be_hidden()


def test_settings_apply_while_the_training_runs(playing: Playing) -> None:
    start(playing)
    expect(playing.at(".batch-size-hint")).to_contain_text("Batches of 16 are")
    playing.type("#batch-size", "1")
    expect(playing.at(".batch-size-hint")).to_contain_text("A batch of one says nothing")
    playing.at("#batch-size-slider").press("End")
    expect(playing.at(".batch-size-hint")).to_contain_text("All 240 examples at once are")
    expect(playing.at(".batch-size-field")).to_contain_text(
        "Batch gradient descent: all 240 rows, 1 step per epoch"
    )
    playing.at("#optimizer").select_option("adam")
    playing.type("#learning-rate", "0.01")
    playing.at('.speeds input[value="fast"]').check(force=True)
    expect(playing.at("#learning-rate")).to_have_value("0.01")
    expect(playing.at(".start")).to_have_text("Pause")
    steps = playing.steps()
    expect(playing.readout("step")).not_to_have_text(str(steps))
    pause(playing)
    settings = playing.served.ask(lambda it: it.settings)
    assert (settings.batch_size, settings.optimizer, settings.learning_rate, settings.speed) == (
        "full", "adam", 0.01, "fast",
    )  # fmt: skip
    sizes = playing.served.ask(lambda it: np.array(it.trainer.batch_sizes))
    assert {16, 1, 240} <= set(sizes)
    assert playing.served.ask(lambda it: it.run) == 0


def test_network_and_data_settings_restart_the_training(playing: Playing) -> None:
    playing.at("button.step").click()
    expect(playing.readout("step")).to_have_text("1")
    playing.at(".add-layer").click()
    expect(playing.readout("step")).to_have_text("0")
    expect(playing.at(".network-diagram svg")).to_have_attribute("aria-label", "Network with 2–8–8–8–2 units")
    playing.at('[aria-label="Remove hidden layer 1"]').click()
    playing.type('[aria-label="Units of hidden layer 2"]', "3")
    expect(playing.at(".network-diagram svg")).to_have_attribute("aria-label", "Network with 2–8–3–2 units")
    playing.at("#data").select_option("hills")
    playing.type("#rows", "100")
    expect(playing.at(".plot-description")).to_have_text("80 training points, 20 validation points")
    playing.at("#noise").fill("0")  # not finished with Enter: taken a moment later
    playing.at(".next-seed").click()
    playing.at("#activation").select_option("relu")
    expect(playing.at("#seed")).to_have_value("1")
    expect(playing.at(".plot-legend")).to_contain_text("height")
    playing.at("button.step").click()
    expect(playing.readout("validation R²")).to_have_text(re.compile(r"^−?\d"))
    settings = playing.served.ask(lambda it: it.settings)
    assert (settings.hidden, settings.rows, settings.noise, settings.seed) == ((8, 3), 100, 0, 1)
    assert settings.activation == "relu"


def test_file_is_used_and_its_batch_opens_in_the_microscope(playing: Playing) -> None:
    playing.load("pets.csv", PETS)
    expect(playing.at("#target")).to_have_value("kind")
    expect(playing.at(".plot-legend")).to_contain_text("cat")
    playing.at("#target").select_option("weight")
    expect(playing.readout("validation R²")).to_be_visible()
    playing.at("#target").select_option("kind")
    expect(playing.readout("validation accuracy")).to_be_visible()
    playing.at("#axis-0").select_option(label="height")
    expect(playing.at("#axis-1")).to_have_value("0")  # the two changed places
    playing.type("#batch-size", "5")
    for n in range(3):
        playing.at("button.step").click()
        expect(playing.readout("step")).to_have_text(str(n + 1))
    expect(playing.at(".decision-plot canvas")).to_have_attribute(
        "aria-label", re.compile(r"\. 5 points of the last batch are ringed")
    )
    playing.at(".open-microscope").click()
    microscope = playing.at("dialog iframe").content_frame
    microscope.locator("figure").first.wait_for()
    frame = next(one for one in playing.page.frames if one.url.endswith("/microscope"))
    assert_allclose(read_matrix(frame, "B"), playing.last_step().H[0], rtol=2e-5, atol=2e-6)
    go_to(frame, "loss")
    assert_allclose(read_matrix(frame, "losses")[0], playing.last_step().losses, rtol=2e-5)
    assert playing.at("dialog a").get_attribute("target") == "_blank"
    assert not violations(playing.page)
    playing.at("dialog .close").click()
    expect(playing.at("dialog")).to_have_count(0)
    expect(playing.at(".open-microscope")).to_be_focused()
    playing.page.keyboard.press("Enter")
    expect(playing.at("dialog .close")).to_be_visible()
    playing.at("dialog .close").focus()
    playing.page.keyboard.press("ArrowRight")  # nothing happens behind the dialog
    playing.page.keyboard.press("Escape")
    expect(playing.at(".open-microscope")).to_be_focused()
    assert playing.steps() == 3


def test_errors_appear_beside_their_control(playing: Playing, tmp_path: Path) -> None:
    def expect_error(field: str, words: str) -> None:
        expect(playing.at(f"{field} [role=alert]")).to_contain_text(words)

    for field, control, value, words, stays in (
        (".rows-field", "#rows", "1000000000", "a whole number from 20 to 5,000", "300"),
        (".learning-rate-field", "#learning-rate", "-1", "a number from 0.000001 to 100", "0.1"),
        (".batch-size-field", "#batch-size", "100000", "batch_size=100000", "16"),
        (".layers-field", ".units >> nth=0", "9999", "each from 1 to 64", "8"),
    ):
        playing.type(control, value)
        expect_error(field, words)
        expect(playing.at(control)).to_have_value(stays)
        expect(playing.at(".field-error:not(:empty)")).to_have_count(1)
    for name, content, words in (
        ("bad.csv", "a,b\n1,\x00\n", "bad.csv is not text"),
        ("empty.csv", "", "empty.csv is empty: choose a table with column names in its first row"),
        ("song.mp3", "la", "song.mp3 is not a table"),
    ):
        playing.load(name, content)
        expect_error(".file", words)
    long = tmp_path / "long.csv"
    with long.open("wb") as file:
        file.truncate(20_000_001)
    playing.at("#file").set_input_files(long)
    expect_error(".file", "long.csv has 20.1 MB: the playground takes files of up to 20 MB")
    playing.at("#data").select_option("hills")
    playing.at("#activation").select_option("relu")
    playing.type("#learning-rate", "100")
    expect(playing.at(".field-error:not(:empty)")).to_have_count(0)
    playing.at(".start").click()
    expect(playing.at(".notice")).to_contain_text("choose a smaller learning rate, then reset")
    expect(playing.at(".start")).to_be_disabled()
    playing.type("#learning-rate", "0.01")
    playing.at("button.reset").click()
    expect(playing.at(".notice")).to_be_empty()
    playing.at("button.step").click()
    expect(playing.readout("step")).to_have_text("1")


def test_rejected_file_changes_nothing(playing: Playing) -> None:
    playing.load("pets.csv", PETS)
    expect(playing.at("#target")).to_have_value("kind")
    playing.at("button.step").click()
    expect(playing.readout("step")).to_have_text("1")

    def refused() -> None:
        playing.load("same.csv", SAME)
        expect(playing.at(".file [role=alert]")).to_contain_text("'one' holds one class only")
        expect(playing.at("#target-picker")).to_have_value("one")
        expect(playing.at(".target-picker label")).to_have_text("Target in same.csv")

    refused()
    expect(playing.at("#data option:checked")).to_have_text("Your file: pets.csv")
    expect(playing.at("#target option")).to_have_text(["weight", "height", "age", "kind"])
    expect(playing.at("#target")).to_have_value("kind")
    expect(playing.at(".plot-title")).to_have_text("pets.csv: kind")
    expect(playing.readout("step")).to_have_text("1")
    playing.at("#target-picker").select_option("b")
    expect(playing.at(".file [role=alert]")).to_contain_text("no column is left to predict from")
    playing.at("#target-picker").select_option("a")
    expect(playing.at(".plot-title")).to_have_text("same.csv: a, standardised")
    expect(playing.at("#target-picker")).to_be_hidden()
    expect(playing.at(".file [role=alert]")).to_be_empty()
    refused()
    playing.at("#data").select_option("moons")
    expect(playing.at("#target-picker")).to_be_hidden()


@pytest.mark.parametrize("how", ["in the page", "in its terminal"])
def test_every_page_shows_the_end(playing: Playing, browser: Browser, how: str) -> None:
    other = open_page(browser, playing.served.address, ".speeds input:checked")
    if how == "in the page":
        playing.at(".end").click()
    else:
        playing.served.worker.close()
        playing.served.listener.should_exit = True
    for page in (playing.page, other.page):
        expect(page.locator(".connection-notice")).to_have_text(
            "The playground has ended. To start it again, run this in a terminal: batchprop play"
        )
    expect(playing.at(".start")).to_be_disabled()
    expect(playing.at("button.step")).to_be_disabled()
    playing.type("#learning-rate", "0.5")  # nobody is asked any more
    expect(playing.at(".learning-rate-field .field-error")).to_have_text("The playground has ended.")
    other.close()
    assert other.said == []


def test_fifth_page_shows_the_limit(playing: Playing, browser: Browser) -> None:
    playing.page.evaluate("""window.more = Promise.all([1, 2, 3].map(
      () => new Promise(told => new EventSource("events").addEventListener("setup", told))
    ))""")
    other = open_page(browser, playing.served.address, ".connection-notice:not([hidden])")
    expect(other.page.locator(".connection-notice")).to_have_text(
        "4 pages of the playground are open: close one"
    )
    expect(other.page.locator(".start")).to_be_disabled()
    assert len([url for url in other.asked if url.endswith("/events")]) == 1
    other.close()
    assert other.said == []


def test_regression_on_a_single_feature(playing: Playing) -> None:
    playing.load("square.csv", "x,y\n" + "".join(f"{i / 8},{i * i / 64}\n" for i in range(40)))
    expect(playing.at(".plot-title")).to_contain_text("square.csv")
    label = re.compile("The network's predictions over x: 32 training points and 8 validation points")
    expect(playing.at(".decision-plot canvas")).to_have_attribute("aria-label", label)
    expect(playing.at("#axis-0")).to_be_hidden()


def test_file_can_be_dropped_on_the_plot(playing: Playing) -> None:
    dropped = playing.page.evaluate_handle(
        """text => {
          const carried = new DataTransfer();
          carried.items.add(new File([text], "pets.csv", { type: "text/csv" }));
          return carried;
        }""",
        PETS,
    )
    plane = playing.at(".decision-plot")
    plane.dispatch_event("dragover", {"dataTransfer": dropped})
    expect(plane).to_have_class(re.compile(r"\bdrop\b"))
    plane.dispatch_event("drop", {"dataTransfer": dropped})
    expect(playing.at("#target")).to_have_value("kind")
    expect(plane).not_to_have_class(re.compile(r"\bdrop\b"))
