"""Any division of a table into Parquet files, row groups and blocks is the same table."""

import datetime as dt
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from batchprop.data.reader import read_tables
from batchprop.data.scanner import scan
from batchprop.tabular import (
    Observer,
    fit_streaming,
    infer_schema,
    make_preprocessor,
    predictions,
    train_table,
)
from batchprop.tabular.encoding import QuickEncoder
from batchprop.tabular.options import make_options
from batchprop.tabular.train import train
from tests.cli.commands import run

ROWS = 60
RNG = np.random.default_rng(0)
TABLE: dict[str, list[Any]] = {
    "whole": [int(k) for k in RNG.integers(0, 9, ROWS)],
    "some": [None if k < 2 else int(k) for k in RNG.integers(0, 9, ROWS)],
    # A part of it may hold whole numbers only, and is then of another type.
    "mixed": [int(x) if x < 0 else float(x) for x in RNG.normal(size=ROWS).round(2)],
    "word": [None if k == 0 else f" word {k}" for k in RNG.integers(0, 5, ROWS)],
    "price": [None if k == 0 else f"{k:,}" for k in RNG.integers(0, 5, ROWS) * 700],
    "when": [dt.date(2020, 1, 1) + dt.timedelta(int(k)) if k else None for k in RNG.integers(0, 99, ROWS)],
    "flag": [[True, False, None][k] for k in RNG.integers(0, 3, ROWS)],
    # None but in the last rows: the other files do not tell its type.
    "late": [None] * (ROWS - 5) + [3, 4, 5, 6, 7],
    "y": [int(k) for k in RNG.integers(0, 2, ROWS)],
}


def write_divided(folder, cuts, group_rows, *, empty_groups=False):
    """Write the table in files that end at these rows, each with the types of its own values.

    Equal ends give files of no rows; there may be row groups of none, too.
    """
    bounds = [0, *sorted(cuts), ROWS]
    for old in folder.glob("*.parquet"):
        old.unlink()
    for i, (start, stop) in enumerate(pairwise(bounds)):
        part = pa.table({name: pa.array(values[start:stop]) for name, values in TABLE.items()})
        with pa.parquet.ParquetWriter(folder / f"part-{i}.parquet", part.schema) as file:
            for rows in (part[:0], part, part[:0]) if empty_groups else (part,):
                file.write_table(rows, row_group_size=group_rows)
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The undivided table: its frame, and the preprocessing and a model learned from it."""
    frame = read_tables(write_divided(tmp_path_factory.mktemp("whole"), [], ROWS)).frame
    columns = infer_schema(frame.drop(columns="y"))
    encoder = make_preprocessor(columns, ROWS).fit(frame)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one epoch of a few rows learns nothing
        model = train_table(frame, target="y", hidden=4, epochs=1, engine="numpy")
    return frame, columns, encoder.transform(frame), model, model.predict(frame, proba=True)


@pytest.mark.parametrize(
    ("cuts", "group_rows", "block_rows", "empty_groups"),
    [
        ([1, 2, ROWS - 1], 29, 11, False),
        ([0, 0, 30, 30, ROWS], 29, 1000, True),
        ([17], 13, 16, True),
    ],
)
def test_any_division_is_the_same_table(
    whole, tmp_path, monkeypatch, cuts, group_rows, block_rows, empty_groups
):
    frame, columns, features, model, answers = whole
    folder = write_divided(tmp_path, cuts, group_rows, empty_groups=empty_groups)
    pd.testing.assert_frame_equal(read_tables(folder).frame, frame)
    with scan(folder, "y") as table:
        blocks = (part for block in table.iter_frames(rows=block_rows) for part in (block[:0], block))
        fitted = fit_streaming(blocks, target="y")
        assert fitted.columns == columns
        encoded = [
            block.X
            for partition in range(len(table.partitions))
            for block in table.with_transform(QuickEncoder(fitted.encoder.steps)).iter_blocks(
                partition, block_rows
            )
        ]
        encoded.append(QuickEncoder(fitted.encoder.steps).transform(frame[:0]))
    assert np.array_equal(np.concatenate(encoded), features)
    monkeypatch.setattr(predictions, "MAX_BLOCK_ROWS", block_rows)
    predicted = model.predict(folder, proba=True)
    assert predicted["y"].equals(answers["y"])
    assert np.allclose(predicted, answers, rtol=1e-6)


DIVISIONS = [([], ROWS, False), ([0, 0, 30, 30, ROWS], 29, True), ([20, 21], 5, True)]


@pytest.mark.parametrize("parts", [False, True], ids=["in memory", "in parts"])
def test_any_division_of_test_rows_has_the_same_scores(whole, tmp_path, monkeypatch, parts):
    data = tmp_path / "train.parquet"
    whole[0].to_parquet(data)
    monkeypatch.setattr("batchprop.tabular.training_input.is_large", lambda *_: parts)
    monkeypatch.setattr("batchprop.tabular.streaming.BLOCK_ROWS", 11)
    (tmp_path / "test").mkdir()
    scores = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one epoch of a few rows learns nothing
        for cuts, group_rows, empty_groups in DIVISIONS[parts:]:
            test = write_divided(tmp_path / "test", cuts, group_rows, empty_groups=empty_groups)
            model = train_table(data, test=test, target="y", hidden=4, epochs=1, engine="numpy")
            scores.append(model.evaluation)
    assert scores[1:] == scores[:1] * (len(scores) - 1)
    assert len(scores) > 1


def test_any_division_of_a_training_in_parts_holds_out_the_same_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("batchprop.tabular.training_input.is_large", lambda *_: True)
    options = make_options(
        digits=False, saves=False, target="y", hidden=2, epochs=1, engine="numpy", test_fraction=0.6
    )
    tested = []
    # Some row groups are held out as a whole.
    for cuts, group_rows in [([20, 21], 3), ([], 30)]:
        folder = write_divided(tmp_path, cuts, group_rows)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one epoch of a few rows learns nothing
            tested.append(train((folder,), options, Observer()).test_predictions()["y"])
    assert tested[0].tolist() == tested[1].tolist()


def test_any_division_is_examined_alike(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("t").mkdir()
    examined = []
    for cuts, group_rows, empty_groups in DIVISIONS:
        write_divided(Path("t"), cuts, group_rows, empty_groups=empty_groups)
        run("examine", "t", "--target", "y", "--epochs", 1, "--top", 0, "--engine", "numpy", "--force")
        rows = pd.read_csv("t-examined.csv")
        bounds = dict(zip([f"part-{i}.parquet" for i in range(9)], [0, *cuts], strict=False))
        if "place" in rows:
            places = rows.pop("place").str.extract(r"(.*), row (\d+)")
            rows.insert(0, "row", places[0].map(bounds) + places[1].astype(int))
        examined.append(rows)
    for other in examined[1:]:
        pd.testing.assert_frame_equal(other, examined[0])
