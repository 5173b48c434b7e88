"""Tables from any data frame: the same features and answers, in the kind of frame that came in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from batchprop.errors import DataError
from batchprop.tabular import infer_schema, train_table
from batchprop.tabular.model import TrainedModel
from batchprop.tabular.transformers import cast_column

N = 60
RNG = np.random.default_rng(0)
START = datetime(2020, 1, 1)  # noqa: DTZ001 as most tables have them
COLUMNS: dict[str, list[Any]] = {
    "size": RNG.normal(100, 30, N).tolist(),
    "rooms": [*RNG.integers(1, 5, N - 1).tolist(), None],
    "town": RNG.choice(["Ulm", "Bonn", "Jena"], N).tolist(),
    "sold": [START + timedelta(days=int(days)) for days in RNG.integers(0, 400, N)],
    "built": [date(1990 + int(year), 5, 1) for year in RNG.integers(0, 9, N)],
    "took": [timedelta(minutes=int(minutes)) for minutes in RNG.integers(1, 99, N)],
    "at": [time(int(hour), 30) for hour in RNG.integers(0, 24, N)],
    "tax": [Decimal(int(cents)) / 100 for cents in RNG.integers(100, 999, N)],
    "garden": [*(RNG.random(N - 1) < 0.5).tolist(), None],
}
TARGET = [
    1 + size / 100 + (town == "Ulm") for size, town in zip(COLUMNS["size"], COLUMNS["town"], strict=True)
]
FRAMES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "objects": lambda columns: pd.DataFrame(columns, dtype=object),
    "arrow": lambda columns: pa.table(columns).to_pandas(types_mapper=pd.ArrowDtype),
    "polars": pl.DataFrame,
    "lazy": pl.LazyFrame,
    "pyarrow": pa.table,
    "narwhals": lambda columns: nw.from_native(pl.DataFrame(columns)),
}


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    frame = pd.DataFrame({**COLUMNS, "rent": TARGET}, index=[f"flat {number}" for number in range(N)])
    return train_table(frame, target="rent", epochs=2, hidden=[4])


@pytest.mark.parametrize("to", FRAMES)
def test_any_frame_trains_the_same_model_and_gets_answers_of_its_kind(to: str, model: TrainedModel) -> None:
    data = FRAMES[to]({**COLUMNS, "rent": TARGET})
    other = train_table(data, target="rent", epochs=2, hidden=[4])
    caster, expected = other.pipeline["columns"], model.pipeline["columns"]
    assert (
        caster.kinds
        == expected.kinds
        == {
            **dict.fromkeys(COLUMNS, "number"),
            "town": "category",
            "sold": "date",
            "built": "date",
            "garden": "boolean",
        }
    )
    assert caster.spellings == expected.spellings == {"took": "seconds", "at": "seconds"}
    answers = other.predict(data)
    assert type(answers) is (pl.DataFrame if to == "lazy" else type(data))
    values = nw.from_native(answers)["rent"].to_list()
    assert values == model.predict(pd.DataFrame(COLUMNS))["rent"].tolist()
    assert values == other.pipeline.predict(data).tolist()


def test_columns_hold_the_kinds_of_their_values() -> None:
    frame = pd.DataFrame(
        {
            "month": pd.period_range("2020-01", periods=4, freq="M"),
            "months": pd.Series([pd.Period("2020-01"), pd.Period("2021"), None, pd.NaT], dtype=object),
            "moments": pd.Series([date(2020, 2, 29), START, pd.Timestamp("2020-03-01"), None], dtype=object),
            "band": pd.interval_range(0, 4),
            "bands": pd.Series([*pd.interval_range(0, 3), pd.NA], dtype=object),
            "count": pd.Series([1, 2, pd.NA, 4], dtype=object),
            "share": pd.Series([0.5, pd.NA, None, np.nan], dtype=object),
            "large": pd.Series([10**40, 1, 2, pd.NA], dtype=object),
            "on": pd.Series([True, False, pd.NA, True], dtype=object),
            "sparse": pd.arrays.SparseArray([0.0, 0.0, 1.0, 2.0]),
        }
    )
    kinds = {column.name: column.kind for column in infer_schema(frame)}
    dates, words = ["month", "months", "moments"], ["band", "bands"]
    numbers = ["count", "share", "large", "sparse"]
    expected = {"date": dates, "category": words, "number": numbers, "boolean": ["on"]}
    assert kinds == {name: kind for kind, names in expected.items() for name in names}
    gaps = {name: int(cast_column(frame[name], kind).isna().sum()) for name, kind in kinds.items()}
    # Of words and booleans, a gap is a word of its own.
    assert gaps == {**dict.fromkeys(kinds, 0), "months": 2, "moments": 1, "count": 1, "share": 3, "large": 1}


INDEXES = {
    "text": (list("abc"), "index 'b'"),
    "dates": (pd.date_range("2020-02-28", periods=3), "index 2020-02-29 00:00:00"),
    "numbers": ([7, 5, 3], "index 5"),
    "several": (pd.MultiIndex.from_product([["a"], list("xyz")]), "index ('a', 'y')"),
}


@pytest.mark.parametrize(("index", "named"), INDEXES.values(), ids=INDEXES)
def test_row_of_any_index_is_named(index: Any, named: str, model: TrainedModel) -> None:
    frame = pd.DataFrame(COLUMNS).iloc[:3].set_axis(index)
    assert model.predict(frame).index.equals(frame.index)
    frame["rooms"] = ["1", "many", "3"]
    with pytest.raises(
        DataError, match=r"column 'rooms' holds 'many' in row 2, where a number like 1,234\.5"
    ) as error:
        model.predict(frame)
    assert named in str(error.value)
    if named != "index 5":  # of whole numbers, an index may count the rows of a file
        with pytest.raises(DataError, match="column 'rooms' holds 'many' in row 2") as error:
            model.pipeline.predict(frame)
        assert named in str(error.value)


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ("rooms", date(2020, 2, 29), "2020-02-29"),
        ("rooms", timedelta(days=1), "1 days 00:00:00"),
        ("rooms", time(12), "0 days 12:00:00"),
        ("rooms", pd.Period("2020-02"), "2020-02-01"),
        ("rooms", pd.Interval(0, 1), r"'\(0, 1\]'"),
        ("rooms", [1], r"\[1\]"),
        ("sold", 3, "3"),
        ("sold", timedelta(days=1), "1 days"),
        ("took", date(2020, 2, 29), "2020-02-29"),
        ("town", {"a": 1}, r"\{'a': 1\}"),
        ("garden", [True], r"\[True\]"),
    ],
)
def test_value_of_another_kind_is_refused(column: str, value: Any, shown: str, model: TrainedModel) -> None:
    frame = pd.DataFrame(COLUMNS).iloc[:2].astype({column: object})
    frame[column] = pd.Series([value] * 2, dtype=object)
    with pytest.raises(
        DataError, match=f"column '{column}' holds {shown}.* in row 1, where .* expected: correct"
    ):
        model.predict(frame)


@pytest.mark.parametrize("value", [date(2020, 2, 29), START, timedelta(1), time(1), pd.Period("2020"), [1]])
def test_weights_of_another_kind_are_refused(value: Any) -> None:
    frame = pd.DataFrame({**COLUMNS, "rent": TARGET, "w": pd.Series([value] * N, dtype=object)})
    with pytest.raises(DataError, match=r"the weights column 'w' holds .*: a weight is a number, 0 or more"):
        train_table(frame, target="rent", weights="w", epochs=1)


def test_table_that_no_model_takes_is_refused(model: TrainedModel) -> None:
    frame = pd.DataFrame(COLUMNS)
    with pytest.raises(DataError, match="the table has 2 columns named 'size': rename one"):
        model.predict(frame.assign(again=1.0).rename(columns={"again": "size"}))
    with pytest.raises(DataError, match="the data frame has no rows"):
        model.predict(pl.DataFrame(frame[:0]))
    with pytest.raises(DataError, match="column 'z' holds complex numbers"):
        train_table(pd.DataFrame({"z": [1j] * N, "rent": TARGET}), target="rent")
    with pytest.raises(DataError, match="column 'o' holds Python objects"):
        train_table(pl.DataFrame({"o": [object()] * N, "rent": TARGET}), target="rent")
