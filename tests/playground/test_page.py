"""The playground in a real browser: training, stepping, every setting, and what can be taken away."""

from __future__ import annotations

import re
from contextlib import redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_iris

import batchprop as bp
from batchprop.playground import make_network, make_toy, minibatches, playground, split_rows
from tests.browsers import violations
from tests.microscope.browser_pages import go_to, read_matrix
from tests.playground.pages import PETS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from tests.playground.pages import Playing

expect = pytest.importorskip("playwright.sync_api", reason="pip install playwright").expect
expect.set_options(timeout=30_000)

SAME = "a,b,one\n" + "".join(f"{i},{i * i},same\n" for i in range(30))
"""A table whose last column, which is the most likely target, cannot be learned."""


def start(playing: Playing) -> None:
    playing.at(".start").click()
    expect(playing.at(".start")).to_have_text("Pause")


def pause(playing: Playing) -> None:
    playing.at(".start").click()
    expect(playing.at(".start")).to_have_text("Start")


def train(steps: int, rate: float = 0.1) -> tuple[bp.Network, bp.Step]:
    """Train as the page begins, and return the network and its last step."""
    X, Y = make_toy("moons")
    net = make_network([2, 8, 8, 2], "tanh", "softmax", seed=0)
    batches = minibatches(split_rows(len(X), seed=0)[0], 16, seed=0)
    for _ in range(steps):
        rows = next(batches)
        step = bp.backprop(net, X[rows].T, Y[rows].T)
        layers, _ = bp.optimizers.sgd().update(net.layers, step.gradient.mean(), (), rate)
        net = net.replace_layers(layers)
    return net, step


def test_training_runs_pauses_steps_and_shows_the_librarys_numbers(playing: Playing) -> None:
    expect(playing.readout("step")).to_have_text("0")
    expect(playing.at(".open-microscope")).to_be_disabled()
    start(playing)
    expect(playing.readout("epoch")).to_have_text(re.compile(r"^[1-9]"))
    pause(playing)
    before = playing.steps()
    for n, take in enumerate(
        (playing.at("button.step").click, lambda: playing.page.keyboard.press("ArrowRight"))
    ):
        take()
        expect(playing.readout("step")).to_have_text(str(before + n + 1))
    net, step = train(before + 2)
    loss, held_out = playing.newest("Loss")
    assert_allclose(loss, step.loss, rtol=1e-4)
    expect(playing.readout("loss")).to_have_text(f"{loss:.4g}")
    X, Y = make_toy("moons")
    rows = split_rows(len(X), seed=0)[1]
    held = bp.backprop(net, X[rows].T, Y[rows].T)
    assert_allclose(held_out, held.loss, rtol=1e-4)
    accuracy = np.mean(held.P.argmax(axis=0) == Y[rows].argmax(axis=1))
    expect(playing.readout("held-out accuracy")).to_have_text(f"{100 * accuracy:.3g}%")
    assert playing.newest("Gradient noise scale")[1] == 16


def test_settings_apply_while_the_training_runs(playing: Playing) -> None:
    start(playing)
    expect(playing.at(".batch-size-hint")).to_contain_text("Batches of 16 are")
    playing.type("#batch-size", "1")
    expect(playing.at(".batch-size-hint")).to_contain_text("A batch of one says nothing")
    playing.at("#batch-size-slider").press("End")
    expect(playing.at(".batch-size-hint")).to_contain_text("All 240 examples at once are")
    expect(playing.at(".batch-size-field")).to_contain_text("Batch gradient descent: all 240 rows")
    playing.at("#optimizer").select_option("adam")
    playing.type("#learning-rate", "0.01")
    playing.at('.speeds input[value="fast"]').check(force=True)
    expect(playing.at(".start")).to_have_text("Pause")
    pause(playing)
    address = playing.page.url
    assert re.search(r"log=\d+:batchSize,1;\d+:batchSize,full;\d+:optimizer,adam;", address), address
    assert "speed=fast" in address


def test_network_and_data_settings_restart_the_training(playing: Playing) -> None:
    playing.at("button.step").click()
    expect(playing.readout("step")).to_have_text("1")
    playing.at(".add-layer").click()
    expect(playing.readout("step")).to_have_text("0")
    expect(playing.at(".network canvas")).to_have_attribute("aria-label", "Network with 2–8–8–8–2 units")
    playing.at('[aria-label="Remove hidden layer 1"]').click()
    playing.at('[aria-label="One unit less in hidden layer 2"]').click()
    expect(playing.at(".network canvas")).to_have_attribute("aria-label", "Network with 2–8–7–2 units")
    playing.at('.inputs-field input[value="x1x2"]').check()
    expect(playing.at(".network canvas")).to_have_attribute("aria-label", "Network with 3–8–7–2 units")
    playing.at("#data").select_option("hills")
    playing.type("#rows", "100")
    expect(playing.at(".plot-description")).to_have_text("80 training points, 20 held-out points")
    playing.at("#noise").fill("0")  # not finished with Enter: taken a moment later
    playing.at(".next-seed").click()
    playing.at("#activation").select_option("relu")
    playing.at("#loss").select_option("huber")
    expect(playing.at("#seed")).to_have_value("1")
    playing.at("button.step").click()
    expect(playing.readout("held-out R²")).to_have_text(re.compile(r"^−?\d"))
    for part in (
        "data=hills",
        "rows=100",
        "noise=0",
        "hidden=8,7",
        "activation=relu",
        "loss=huber",
        "seed=1",
    ):
        assert part in playing.page.url


def test_presets_are_cards(playing: Playing) -> None:
    expect(playing.at('.preset[aria-pressed="true"]')).to_contain_text("Two moons")
    playing.page.get_by_role("button", name="Spirals When does depth pay?").click()
    expect(playing.at('.preset[aria-pressed="true"]')).to_contain_text("Spirals")
    expect(playing.at(".plot-title")).to_have_text("Two spirals")
    expect(playing.at("#optimizer")).to_have_value("adam")


def test_link_repeats_the_training_and_python_repeats_it_too(open_playground: Callable[..., Playing]) -> None:
    link = "data=spirals&rows=200&hidden=5,4&features=x1,x2,sin x1&l2=0.01&dropout=0.1&step=30"
    link += "&log=10:batchSize,8;20:optimizer,adam,learningRate,0.01;20:w,1,2,3,0.75;25:maxNorm,0.5"
    first = open_playground(link)
    expect(first.readout("step")).to_have_text("30")
    expect(first.at(".notice")).to_be_empty()
    loss = first.newest("Loss")
    # The address says it again, and so does the next page.
    second = open_playground(first.page.url.partition("#")[2])
    expect(second.readout("step")).to_have_text("30")
    assert_allclose(second.newest("Loss"), loss)
    namespace: dict[str, Any] = {}
    with redirect_stdout(StringIO()) as said:
        exec(compile(second.python(), "playground.py", "exec"), namespace)  # noqa: S102 our own page's
    assert_allclose(namespace["step"].loss, loss[1], rtol=1e-3)
    assert float(said.getvalue().rpartition(" ")[2]) == pytest.approx(loss[1], abs=1e-3)


def test_address_that_is_not_understood_is_told(open_playground: Callable[..., Playing]) -> None:
    playing = open_playground("seed=5&hidden=900&colour=red&step=-1")
    for words in ("hidden layers", "“colour” is unknown", "“-1” is no number of steps"):
        expect(playing.at(".notice")).to_contain_text(words)
    expect(playing.at("#seed")).to_have_value("5")


def test_weights_are_read_by_the_library(playing: Playing, tmp_path: Path) -> None:
    playing.at("button.step").click()
    expect(playing.readout("step")).to_have_text("1")
    with playing.page.expect_download() as download:
        playing.at(".download-weights").click()
    download.value.save_as(tmp_path / "net.safetensors")
    net, expected = bp.Network.from_weights(tmp_path / "net.safetensors"), train(1)[0]
    assert (net.activations[0].name, net.head.name) == ("tanh", "softmax")
    for layer, other in zip(net.layers, expected.layers, strict=True):
        assert_allclose(layer.W, other.W, atol=1e-6)
        assert_allclose(layer.b, other.b, atol=1e-6)


def test_units_and_edges_are_pointed_at_chosen_and_dragged(playing: Playing) -> None:
    canvas, readout = playing.at(".network canvas"), playing.at(".network-readout")
    expect(playing.at(".network-note")).not_to_be_empty()  # drawn: before, keys have nothing to move over
    canvas.focus()
    for key in ("ArrowRight", "ArrowDown"):
        playing.page.keyboard.press(key)
    expect(playing.at(".plot-title")).to_have_text("Unit 2 of hidden layer 1")
    expect(readout).to_have_text(re.compile(r"^unit 2 of hidden layer 1: b = −?[\d.]+$"))
    playing.page.keyboard.press("e")
    weight = make_network([2, 8, 8, 2], "tanh", "softmax", seed=0).layers[0].W[1, 0]
    shown = f"w = {weight:.3g}".replace("-", "−")
    expect(readout).to_have_text(f"input x₁ → unit 2 of hidden layer 1: {shown}")
    playing.page.keyboard.press("+")
    expect(readout).to_contain_text(f"w = {weight + 0.1:.3g}".replace("-", "−"))
    playing.page.keyboard.press("u")
    playing.page.keyboard.press("Enter")
    playing.at("#seed").focus()
    expect(playing.at(".plot-title")).to_have_text("Unit 2 of hidden layer 1")
    box = canvas.bounding_box()
    assert box is not None
    assert re.search(r"log=0:w,0,1,0,", playing.page.url)
    playing.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 2)
    playing.at('.edge-switch input[value="batch"]').check(force=True)
    expect(playing.at(".network-note")).to_contain_text("There is no gradient yet")
    playing.at("button.step").click()
    playing.at('.edge-switch input[value="example"]').check(force=True)
    expect(playing.at(".example-picker output")).to_have_text(re.compile("^1 of 16, class "))


def test_file_is_used_and_its_batch_opens_in_the_microscope(playing: Playing) -> None:
    playing.load("pets.csv", PETS)
    expect(playing.at("#target")).to_have_value("kind")
    expect(playing.at(".plot-legend")).to_contain_text("cat")
    playing.at("#target").select_option("weight")
    expect(playing.readout("held-out R²")).to_be_visible()
    playing.at("#target").select_option("kind")
    expect(playing.readout("held-out accuracy")).to_be_visible()
    playing.at("#axis-0").select_option(label="height")
    expect(playing.at("#axis-1")).to_have_value("0")  # the two changed places
    playing.type("#batch-size", "5")
    for n in range(3):
        playing.at("button.step").click()
        expect(playing.readout("step")).to_have_text(str(n + 1))
    expect(playing.at(".decision-plot canvas")).to_have_attribute(
        "aria-label", re.compile(r"\. 5 points of the last batch are ringed")
    )
    loss = playing.newest("Loss")[0]
    playing.at(".open-microscope").click()
    microscope = playing.at("dialog iframe").content_frame
    microscope.locator("figure").first.wait_for()
    frame = playing.page.frames[-1]
    assert read_matrix(frame, "B").shape == (3, 5)
    go_to(frame, "loss")
    assert_allclose(read_matrix(frame, "losses")[0].mean(), loss, rtol=1e-5)
    # The microscope in its frame has tests of its own.
    assert not violations(playing.page, ".dialog-head")
    playing.at("dialog .close").click()
    expect(playing.at("dialog")).to_have_count(0)
    expect(playing.at(".open-microscope")).to_be_focused()


def test_microscope_shows_the_librarys_matrices(playing: Playing) -> None:
    for n in range(3):
        playing.at("button.step").click()
        expect(playing.readout("step")).to_have_text(str(n + 1))
    playing.at(".open-microscope").click()
    playing.at("dialog iframe").content_frame.locator("figure").first.wait_for()
    frame, step = playing.page.frames[-1], train(3)[1]
    assert_allclose(read_matrix(frame, "B"), step.H[0], rtol=2e-5, atol=2e-6)
    go_to(frame, "loss")
    assert_allclose(read_matrix(frame, "losses")[0], step.losses, rtol=1e-4, atol=1e-6)
    go_to(frame, "backward-3")
    assert_allclose(read_matrix(frame, "dZ3"), step.dZ[2], rtol=1e-3, atol=1e-6)


def test_theme_outlasts_a_reload_and_reaches_the_microscope(playing: Playing) -> None:
    playing.at(".theme-button").click()
    expect(playing.at(".theme-button")).to_have_text("Light theme")
    playing.page.reload()
    expect(playing.at(".theme-button")).to_have_text("Light theme")
    playing.at("button.step").click()
    expect(playing.readout("step")).to_have_text("1")
    playing.at(".open-microscope").click()
    expect(playing.at("dialog iframe").content_frame.locator("html")).to_have_attribute("data-theme", "dark")


def test_errors_appear_beside_their_control(playing: Playing, tmp_path: Path) -> None:
    for field, control, value, words, stays in (
        (".rows-field", "#rows", "1000000000", "a whole number from 20 to 5,000", "300"),
        (".learning-rate-field", "#learning-rate", "-1", "a number from 0.000001 to 100", "0.1"),
        (".batch-size-field", "#batch-size", "100000", "from 1 to 240, the training rows", "16"),
    ):
        playing.type(control, value)
        expect(playing.at(f"{field} [role=alert]")).to_contain_text(words)
        expect(playing.at(control)).to_have_value(stays)
        expect(playing.at(".field-error:not(:empty)")).to_have_count(1)
    for name, content, words in (
        ("bad.csv", "a,b\n1,\x00\n", "bad.csv is not text"),
        ("empty.csv", "", "empty.csv is empty: choose a table with column names in its first row"),
        ("song.mp3", "la", "song.mp3 is not a table"),
    ):
        playing.load(name, content)
        expect(playing.at(".file [role=alert]")).to_contain_text(words)
    long = tmp_path / "long.csv"
    with long.open("wb") as file:
        file.truncate(20_000_001)
    playing.at("#file").set_input_files(long)
    expect(playing.at(".file [role=alert]")).to_contain_text("long.csv has 20.1 MB")
    playing.at("#data").select_option("hills")
    playing.at("#activation").select_option("relu")
    playing.type("#learning-rate", "100")
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
    playing.load("same.csv", SAME)
    expect(playing.at(".file [role=alert]")).to_contain_text("“one” holds one class only")
    expect(playing.at("#target-picker")).to_have_value("one")
    expect(playing.at("#data option:checked")).to_have_text("Your table: pets.csv")
    expect(playing.at(".plot-title")).to_have_text("pets.csv: kind")
    expect(playing.readout("step")).to_have_text("1")
    playing.at("#target-picker").select_option("a")
    expect(playing.at(".plot-title")).to_have_text("same.csv: a, standardised")
    expect(playing.at(".plot-description")).to_contain_text("“one” is constant and left out")
    expect(playing.at("#target-picker")).to_be_hidden()


def test_file_can_be_dropped_on_the_page(playing: Playing) -> None:
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


@pytest.fixture(scope="module")
def flowers_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with a table that Python put in."""
    X, y = load_iris(return_X_y=True, as_frame=True)
    return playground(X, y, about="Iris", random_state=4).save(tmp_path_factory.mktemp("iris") / "iris.html")


def test_table_from_python_is_there_at_once(open_playground: Any, flowers_page: Path) -> None:
    playing = open_playground(file=flowers_page)
    expect(playing.at(".plot-title")).to_have_text("Iris")
    expect(playing.at("#seed")).to_have_value("4")
    expect(playing.at(".plot-description")).to_contain_text("120 training points, 30 held-out points")
    expect(playing.at("#axis-0 option:checked")).to_have_text("petal length (cm)")
    playing.at("button.step").click()
    expect(playing.readout("step")).to_have_text("1")
    playing.at("#data").select_option("moons")
    expect(playing.at(".plot-title")).to_have_text("Two moons")


def test_regression_on_a_single_feature(playing: Playing) -> None:
    playing.load("square.csv", "x,y\n" + "".join(f"{i / 8},{i * i / 64}\n" for i in range(40)))
    label = re.compile("The network's predictions over x: 32 training points and 8 held-out points")
    expect(playing.at(".decision-plot canvas")).to_have_attribute("aria-label", label)
    expect(playing.at("#axis-0")).to_be_hidden()
