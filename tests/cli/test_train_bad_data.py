"""`batchprop train` on bad data: a one-line error, exit code 1, and no files left."""

import os
from pathlib import Path

import pytest

from tests.cli.commands import QUICK, flowers, houses, names, run

GOOD = "a,b,y\n" + "".join(f"{i % 7},{i % 3}.5,{'pq'[i % 2]}\n" for i in range(40))

BAD_TABLES = {
    "empty": (b"", "is empty"),
    "header only": (b"a,y\n", "holds column names and no rows"),
    "ragged": (b"a,y\n1,2\n1,2,3\n", "line 3: 3 fields"),
    "latin-1": (b"a,y\ncaf\xe9,1\n", "line 2 holds the byte 0xe9"),
    "parquet inside": (b"PAR1....PAR1", "rename it to end in .parquet"),
    "no such column": (GOOD.replace("y", "Y", 1).encode(), "no target column 'y'; did you mean 'Y'"),
    "one class": (GOOD.replace("q", "p").encode(), "holds one class only, 'p', in all 40 rows"),
    "a class with one row": (GOOD.encode() + b"1,2,rare\n", "class 'rare' has one row"),
    "too few rows": (b"a,y\n1,p\n2,q\n", "there are 2 rows with a target 'y'"),
    "no target at all": (
        b"a,y\n" + b"1,\n" * 20,
        "20 of 20 rows cannot be used, so none is left; the first is in t.csv, line 2: its target 'y'",
    ),
    "labels that mean missing": (b"a,y\n" + b"1,NA\n1,N/A\n" * 20, "--missing, 'NA' not among them\n"),
    "nothing to learn from": (b"a,y\n" + b"1,p\n1,q\n" * 20, "no column is left to predict from"),
    "infinite": (GOOD.encode() + b"inf,1,p\n", "t.csv, line 42: column 'a' holds inf there"),
}

POWERS = [f"1e{power}" for power in range(300)]


@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_table_is_a_one_line_error_and_leaves_no_files(folder, case):
    content, message = BAD_TABLES[case]
    (folder / "t.csv").write_bytes(content)
    result = run("train", "t.csv", "--target", "y", *QUICK, code=1)
    assert message in result.stderr
    assert names(folder) == ["t.csv"]


def test_missing_file_exits_with_code_1(folder):
    assert "there is no file t.csv" in run("train", "t.csv", "--target", "y", code=1).stderr
    assert names(folder) == []


def test_negative_counts_are_refused_with_a_suggestion(folder):
    (folder / "t.csv").write_text("a,y\n1,-2.5\n2,3\n" + "3,4.5\n" * 20)
    result = run("train", "t.csv", "--target", "y", "--loss", "poisson", code=1)
    assert "the target 'y' holds -2.5, and --loss poisson is for counts" in result.stderr
    assert names(folder) == ["t.csv"]


def test_a_target_too_large_to_square_is_refused_before_training(folder):
    (folder / "t.csv").write_text("a,b\n" + "".join(f"{i % 7},{x}\n" for i, x in enumerate(POWERS)))
    result = run("train", "t.csv", "--target", "b", code=1)
    assert "the target 'b' holds 1·10²⁹⁹, and a number larger than 1·10³⁰ cannot be learned" in result.stderr
    assert "rescale it, or take its logarithm" in result.stderr
    assert result.stdout == ""
    assert names(folder) == ["t.csv"]


def test_huge_feature_values_are_clipped_without_a_warning(folder):
    rows = [f"{x},{(-1) ** i * 10.0 ** (i % 2 * 308)},{i % 5}.5" for i, x in enumerate(POWERS)]
    (folder / "t.csv").write_text("a,b,y\n" + "\n".join(rows))
    assert run("train", "t.csv", "--target", "y", *QUICK).stderr == ""


def test_unclosed_quote_does_not_swallow_rows(folder):
    rows = [f"{i},{'pq'[i % 2]}" for i in range(60)]
    rows[30] = '30,"p'
    (folder / "t.csv").write_text("b,t\n" + "\n".join(rows) + "\n")
    result = run("train", "t.csv", "--target", "t", code=1)
    assert "t.csv, line 32: a quote opens a field here and is never closed" in result.stderr


def test_batch_size_above_the_rows_is_reduced_without_a_warning(folder):
    (folder / "t.csv").write_text("a,y\n1,p\n2,q\n" + "3,p\n4,q\n" * 5)
    assert run("train", "t.csv", "--target", "y", "--batch-size", 512, "--epochs", 2).stderr == ""


def test_sample_weights_must_be_nonnegative_numbers(folder):
    (folder / "t.csv").write_text(GOOD)
    result = run("train", "t.csv", "--target", "a", "--weights", "y", code=1)
    assert (
        "t.csv, line 2: the weights column 'y' holds p there: a weight is a number, 0 or more"
        in result.stderr
    )
    (folder / "t.csv").write_text("a,w,y\n" + "1,0,p\n2,0,q\n" * 20)
    result = run("train", "t.csv", "--target", "y", "--weights", "w", *QUICK, code=1)
    assert "weight" in result.stderr
    (folder / "t.csv").write_text("a,w,y\n" + "1,1e400,p\n2,0,q\n" * 20)
    result = run("train", "t.csv", "--target", "y", "--weights", "w", *QUICK, code=1)
    assert "there: a weight is a number, 0 or more" in result.stderr
    assert "no weights column 'v'" in run("train", "t.csv", "--target", "y", "--weights", "v", code=1).stderr
    assert names(folder) == ["t.csv"]


def test_diverging_loss_suggests_a_fix_and_leaves_no_files(folder):
    data = houses(folder / "houses.csv")
    words = ("--solver", "sgd", "--learning-rate", 1e30, "--activation", "identity", *QUICK)
    result = run("train", data, "--target", "price", *words, code=1)
    for part in ("epoch", "batch", "try a --learning-rate below 1e+30, or --max-grad-norm 1"):
        assert part in result.stderr
    assert names(folder) == ["houses.csv"]


def test_an_existing_folder_is_refused_before_the_table_is_read(folder):
    (folder / "t-model").mkdir()
    (folder / "t-model" / "mine.txt").write_text("mine")
    result = run("train", "t.csv", "--target", "y", code=1)
    assert "the folder t-model exists: name another with --out, or replace it with --force" in result.stderr
    result = run("train", "t.csv", "--target", "y", "--force", code=1)
    assert "holds no model, so --force does not replace it" in result.stderr
    assert names(folder / "t-model") == ["mine.txt"]


def test_force_replaces_a_model(folder):
    data = flowers(folder / "flowers.csv")
    run("train", data, "--target", "species", *QUICK)
    before = (folder / "flowers-model" / "history.csv").read_text()
    run("train", data, "--target", "species", *QUICK, "--seed", 1, "--force")
    assert (folder / "flowers-model" / "history.csv").read_text() != before
    assert names(folder) == ["flowers-model", "flowers.csv"]


def test_unwritable_folder_is_refused_before_the_table_is_read(folder):
    (folder / "file").write_text("x")
    result = run("train", "t.csv", "--target", "y", "--out", "file/model", code=1)
    assert "file/model cannot be locked" in result.stderr
    assert names(folder) == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused(folder):
    (folder / "locked").mkdir(mode=0o500)
    result = run("train", "t.csv", "--target", "y", "--out", "locked/model", code=1)
    assert "Permission denied" in result.stderr


@pytest.mark.parametrize("out", ["", "."])
def test_a_path_without_a_name_is_refused(folder, out):
    (folder / "t.csv").write_bytes(GOOD.encode())
    for force in ((), ("--force",)):
        result = run("train", "t.csv", "--target", "y", "--out", out, *force, code=2)
        assert f"--out {Path(out)} names no new folder: give a name, such as" in result.stderr
    assert [each.name for each in folder.iterdir()] == ["t.csv"]


def test_force_does_not_delete_the_table_inside_the_model_folder(folder):
    run("train", flowers(folder / "flowers.csv"), "--target", "species", "--out", "model", *QUICK)
    (folder / "model" / "data").mkdir()
    data = (folder / "flowers.csv").rename(folder / "model" / "data" / "flowers.csv")
    result = run("train", data, "--target", "species", "--out", "model", "--force", code=2)
    assert f"--out model holds the table {data}: name another folder" in result.stderr
    assert data.exists()
