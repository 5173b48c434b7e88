"""Blocks of rows that are predicted in threads: the order of the rows, their errors, and what was unseen."""

import threading

import numpy as np
import pandas as pd
import pytest

from batchprop.errors import DataError, RowError, UnseenValueWarning
from batchprop.tabular import predictions, train_table


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(size=60), "kind": rng.choice(["cat", "dog"], 60)})
    return train_table(table.assign(y=3 * table["x"]), target="y", hidden=4, epochs=1, batch_size=16)


@pytest.fixture
def in_blocks(monkeypatch):
    """Predict 10 rows at a time in two threads; the even blocks wait for the odd one behind them."""
    predict, behind = predictions.predict_frame, {i: threading.Event() for i in range(0, 50, 10)}

    def predict_late(model, frame, **options):
        block = int(frame.index[0])
        if block % 20 == 0 and block + 10 in behind:
            assert behind[block + 10].wait(10)
        try:
            return predict(model, frame, **options)
        finally:
            behind[block].set()

    for module in ("predictions", "model"):
        monkeypatch.setattr(f"batchprop.tabular.{module}.block_size", lambda *_: 10)
    monkeypatch.setattr(predictions, "cpu_count", lambda: 2)
    monkeypatch.setattr(predictions, "predict_frame", predict_late)


def table_of(rows=50):
    return pd.DataFrame({"x": np.linspace(-2, 2, rows), "kind": "cat"})


@pytest.mark.parametrize("read", [False, True])
def test_rows_keep_their_order(model, in_blocks, tmp_path, read):
    table, path = table_of(), tmp_path / "t.parquet"
    table.to_parquet(path)
    predicted = model.predict(path if read else table, number=True)
    assert predicted["row"].tolist() == list(range(1, 51))
    # Sums round otherwise in blocks of other sizes.
    np.testing.assert_allclose(predicted["y"], model.pipeline.predict(table), rtol=1e-6)


def test_first_faulty_row_is_named_and_the_blocks_before_it_are_given(model, in_blocks, tmp_path):
    table = table_of().astype({"x": object})
    table.loc[[24, 35], "x"] = np.inf
    path = tmp_path / "t.csv"
    table.to_csv(path, index=False)
    with pytest.raises(RowError, match="row 25, where a finite number is expected"):
        model.predict(table)
    blocks = list[pd.DataFrame]()
    with (
        pytest.raises(DataError, match=r"t\.csv, line 26: .*'x' holds inf"),
        predictions.predict_blocks(model.pipeline, (path,)) as tables,
    ):
        blocks.extend(tables)
    assert [len(block) for block in blocks] == [10, 10]


def test_unseen_words_are_counted_in_the_order_of_the_rows(model, in_blocks):
    table = table_of()
    table.loc[[3, 4, 13, 23, 33], "kind"] = ["eel", "elk", "emu", "eft", "eel"]
    with pytest.warns(UnseenValueWarning, match=r"5 of 50 rows .*\(eel, elk, emu, \.\.\.\)"):
        model.predict(table)


def test_error_of_reading_a_later_block_comes_after_the_blocks_before():
    def frames():
        yield from (pd.DataFrame({"x": [i]}) for i in range(3))
        raise DataError("row 4 cannot be read")

    results = predictions._map_in_threads(lambda frame: int(frame["x"].iloc[0]), frames(), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(DataError, match="row 4"):
        next(results)
