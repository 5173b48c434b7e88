"""`batchprop walk`: every matrix of one batch, with the core's numbers."""

import re

import numpy as np
import pytest

import batchprop as bp
from batchprop.cli import walk_command as walking
from batchprop.cli.matrices import format_matrices, format_matrix, format_tensor
from tests.cli.commands import flowers, houses, run


def matrix(lines, start):
    """Parse the first matrix below the line that starts with `start`."""
    at = next(i for i, line in enumerate(lines) if line.startswith(start))
    rows = []
    for line in lines[at + 1 :]:
        numbers = re.match(r"  \[([^]]*)\]", line)
        if numbers is None:
            break
        rows.append([float(word.replace("−", "-")) for word in numbers[1].split()])
    return np.array(rows)


@pytest.fixture(scope="module")
def walked():
    return run("walk").stdout.splitlines()


def test_steps_are_in_the_order_of_the_algorithm(walked):
    formulas = [line[2:] for line in walked if line.startswith("▸")]
    starts = [
        "H⁰ = B", "Z¹ = W¹ H⁰ + b¹", "H¹ = σ(Z¹)", "Z² = W² H¹ + b²", "P = normalize(exp(Z²))",
        "loss = −(1/m) Σ Y ⊙ log P", "dZ² = P − Y", "DW²[:, :, i] = dZ²[:, i] (H¹[:, i])ᵀ",
        "dW² = (1/m) dZ² (H¹)ᵀ", "Db² = dZ²", "dH¹ = (W²)ᵀ dZ²", "dZ¹ = dH¹ ⊙ σ′(Z¹)",
        "DW¹[:, :, i] = dZ¹[:, i] (H⁰[:, i])ᵀ", "dW¹ = (1/m) dZ¹ (H⁰)ᵀ", "Db¹ = dZ¹",
        "W¹ ← W¹ − α dW¹", "W² ← W² − α dW²",
    ]  # fmt: skip
    assert len(formulas) == len(starts)
    for formula, start in zip(formulas, starts, strict=True):
        assert formula.startswith(start)


@pytest.mark.parametrize(("columns", "width"), [("80", 80), ("120", 120), ("200", 120)])
def test_lines_fit_the_terminal(monkeypatch, columns, width):
    monkeypatch.setenv("COLUMNS", columns)
    lines = run("walk", "--rows", 150, "--hidden", 20).stdout.splitlines()
    # The rules are as wide as the page.
    assert max(map(len, lines)) == width


def test_numbers_match_the_core(walked):
    batch = walking.iris(5, seed=0)
    net = bp.Network.create([4, 4, 3], activation="sigmoid", random_state=0, dtype="float64")
    step = bp.backprop(net, batch.B, batch.Y)
    for start, expected in {
        "  B (4, 5)": batch.B,
        "  W¹ (4, 4)": net.layers[0].W,
        "  H¹ (4, 5)": step.H[1],
        "  P (3, 5)": step.P,
        "  dZ² (3, 5)": step.dZ[1],
        "  DW¹[:, :, 1]": step.gradient.tensor(0)[:, :, 0],
        "  dW¹ (4, 4)": step.gradient.mean()[0].W,
    }.items():
        np.testing.assert_allclose(matrix(walked, start), expected, atol=6e-4)


def test_slices_collapse_to_the_mean_and_the_update_lowers_the_loss(walked):
    text = "\n".join(walked)
    assert text.count("the mean of the 5 slices is the same, largest difference") == 2
    ((before, after),) = re.findall(r"([\d.]+) before the update, ([\d.]+) after", text)
    assert float(after) < float(before)


def test_sample_contains_every_class():
    assert (walking.iris(3, seed=5).Y.sum(axis=1) == 1).all()


@pytest.mark.parametrize("rows", [1, 3, 150, 1000])
def test_any_number_of_rows_is_shown(rows):
    text = run("walk", "--rows", rows).stdout
    m = min(rows, 150)
    assert f"B (4, {m})" in text
    if m > 10:
        assert f"the first 10 of {m} columns" in text
        assert f"shown: the first 6 of {m} slices" in text


@pytest.mark.parametrize("hidden", ["none", "2", "3,2", "20"])
def test_any_depth_and_width_is_shown(hidden):
    text = run("walk", "--hidden", hidden, "--activation", "gelu", "--rows", 2).stdout
    assert "before the update" in text
    if hidden == "20":
        assert "the first 8 of 20 rows" in text


def test_classification_and_regression_tables(folder):
    text = run("walk", flowers(folder / "f.csv"), "--target", "species", "--rows", 4).stdout
    assert "4 rows of f.csv" in text
    assert "rows: setosa, versicolor, virginica" in text
    text = run("walk", houses(folder / "h.parquet"), "--target", "price").stdout
    assert "loss = (1/2m) Σ (P − Y)²" in text
    assert "P = Z²" in text
    assert "NOT" not in text


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["t.csv"], 2, "--target is missing"),
        (["--target", "y"], 2, "there is no DATA"),
        (["--rows", "0"], 2, "--rows"),
        (["--hidden", "x"], 2, "--hidden x is not a list of widths"),
        (["t.csv", "--target", "y"], 1, "there is no file t.csv"),
    ],
)
def test_bad_input_is_refused(words, code, message):
    assert message in run("walk", *words, code=code).stderr


def test_large_and_tiny_numbers_stay_aligned():
    lines, _ = format_matrix(np.array([[1e6, -1.2e-5], [0.5, 0.0]]), width=80)
    assert len({len(line) for line in lines}) == 1
    assert "1·10⁶" in lines[0]
    assert "−1.2·10⁻⁵" in lines[0]


def test_truncated_matrices_state_their_full_shape():
    assert "(shown: the first 8 of 9 rows and the first 10 of 11 columns)" in next(
        format_matrices(("M", np.zeros((9, 11))), width=80)
    )
    # As many columns as the page is wide.
    narrow = list(format_matrices(("M", np.zeros((1, 11))), width=40))
    assert narrow[1] == "  (shown: the first 5 of 11 columns)"
    assert max(map(len, narrow)) <= 40
    assert "the first 6 of 7 slices" in next(format_tensor("T", np.zeros((1, 1, 7)), width=80))


def test_absent_hidden_layers_and_rows_are_reported(folder):
    said = run("walk", "--hidden", "none").stdout
    assert "The network: 4-3, no hidden layer; 15 parameters" in said
    said = run("walk", "--rows", 9999).stdout
    assert "The batch: all 150 (of 9,999 asked for) flowers of iris" in said
    (folder / "t.csv").write_text("a,y\n" + "1.5,p\n2.5,q\n" * 5)
    said = run("walk", "t.csv", "--target", "y", "--rows", 99).stdout
    assert "all 10 (of 99 asked for) rows of t.csv (1 feature, encoded)" in said
