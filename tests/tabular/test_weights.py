"""A row of weight 0 is as if absent, whatever it holds; weights may be of any size."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from batchprop.errors import DataError
from batchprop.tabular import Observer, train_table
from batchprop.tabular.options import make_options
from batchprop.tabular.train import train

pytestmark = pytest.mark.filterwarnings("ignore:.* are read at a time:UserWarning")


@pytest.fixture(autouse=True)
def parts(request, monkeypatch):
    where = request.node.callspec.params.get("where", "") if hasattr(request.node, "callspec") else ""
    monkeypatch.setattr("batchprop.tabular.training_input.is_large", lambda *_: "parts" in where)


OPTIONS: dict[str, Any] = {
    "target": "y",
    "weights": "w",
    "epochs": 2,
    "hidden": (4,),
    "engine": "numpy",
    "batch_size": 32,
}


def weighted(rows: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=rows), "w": rng.choice([0.0, 1.0, 3.0], rows)})
    return frame.assign(y=frame.x**2 + 0.5)


def outcome(frame: pd.DataFrame, where: str, folder: Any, **more: Any) -> Any:
    """The scores and answers of a training on a table from some place."""
    source: Any = frame
    options = OPTIONS | more
    if where != "frame":
        path = folder / f"{len(list(folder.iterdir()))}.{where.partition(' ')[0]}"
        if path.suffix == ".csv":
            frame.to_csv(path, index=False)
        else:
            frame.to_parquet(path)  # one row group: they decide the order of rows
        source = (path,)
    result = train(source, make_options(**options), Observer())
    assert (result.table.target_stats is not None) == ("parts" in where)
    return result.evaluation.scores, result.pipeline.predict(pd.DataFrame({"x": [0.1, 2.0]})).tolist()


@pytest.mark.parametrize("where", ["frame", "csv", "parquet", "csv in parts", "parquet in parts"])
@pytest.mark.parametrize("fill", [9.97e36, np.nan, np.inf])
def test_a_row_of_weight_0_is_as_if_absent(where, fill, tmp_path):
    frame = weighted()
    filled = frame.copy()
    filled.loc[frame.w == 0, ["x", "y"]] = fill
    present = frame[frame.w > 0].reset_index(drop=True)
    assert outcome(filled, where, tmp_path) == outcome(present, where, tmp_path)


@pytest.mark.parametrize("where", ["frame", "csv", "csv in parts"])
def test_a_word_in_a_row_of_weight_0_makes_no_column_text(where, tmp_path):
    frame = weighted()
    filled = frame.astype({"x": object, "y": object})
    filled.loc[frame.w == 0, ["x", "y"]] = "oops"
    present = frame[frame.w > 0].reset_index(drop=True)
    assert outcome(filled, where, tmp_path) == outcome(present, where, tmp_path)


@pytest.mark.parametrize("where", ["frame", "csv", "parquet", "csv in parts", "parquet in parts"])
def test_weights_of_0_alone_are_refused(where, tmp_path):
    with pytest.raises(DataError, match="the weights column 'w' is 0 in all rows: give rows a positive"):
        outcome(weighted().assign(w=0), where, tmp_path)


def test_rows_of_weight_0_are_counted_in_the_numbers_of_rows():
    frame = weighted(60)
    frame["w"] = [0.0, *[1.0] * 59]
    frame.loc[3, "y"] = np.nan
    with pytest.raises(DataError, match=r"row 4: its target 'y' is missing"):
        train_table(frame, **OPTIONS)


@pytest.mark.parametrize("where", ["frame", "csv", "parquet in parts"])
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_weights_up_to_the_limit_of_float64_count_as_their_ratios(where, task, tmp_path):
    frame = weighted()
    huge = frame.assign(w=frame.w * 5e307)
    assert np.isfinite(huge.w).all()
    if task == "classification":
        frame, huge = (each.assign(y=np.where(each.y > 1, "high", "low")) for each in (frame, huge))
    # The penalty heeds the size of ordinary weights; the largest of others counts as 1.
    frame = frame.assign(w=frame.w / frame.w.max())
    scores, answers = outcome(huge, where, tmp_path)
    expected, expected_answers = outcome(frame, where, tmp_path)
    assert scores == pytest.approx(expected, rel=1e-6)
    assert answers == (expected_answers if task == "classification" else pytest.approx(expected_answers))
