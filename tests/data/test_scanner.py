"""A scanned table equals the table read at once, for any files and blocks."""

import csv
import gc
import gzip
import re
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.pipeline import Pipeline

import batchprop.data.parquet_copy
from batchprop.data import csv_splitter as whole_rows
from batchprop.data.arrow import map_columns, simplify, to_pandas
from batchprop.data.csv_types import convert_options, parse_text
from batchprop.data.reader import read_table, read_tables
from batchprop.data.scanner import scan
from batchprop.errors import DataError
from batchprop.tabular.schema import infer_schema
from batchprop.tabular.target_statistics import read_target
from batchprop.tabular.transformers import make_preprocessor
from tests.data.test_reader import BAD_FILES

WORDS = [
    "1", "0", "-7", " 2", "2.5", "1e3", "9" * 20, "0x1f", "inf", "true", "False", "x", "é", "None", "", "NA",
    " ? ", "nan", "NAN", "2020-01-01", "2020-01-01 10:00", "2020-01-01T10:00:00.5", "2020-01-01T10:00Z",
    "10:00", '"a,b"', '"two\nlines"', '"1"', '""',
]  # fmt: skip
COLUMN = st.one_of(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=12),
    st.sampled_from(WORDS).flatmap(
        lambda usual: st.lists(
            st.sampled_from([usual, usual, usual, "", *WORDS[:8]]), min_size=1, max_size=30
        )
    ),
)
EXAMPLES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def together(frames):
    """Concatenate frames without hiding differences of dtype."""
    frames = list(frames)
    for frame in frames[1:]:
        pd.testing.assert_series_equal(frame.dtypes, frames[0].dtypes)
    return pd.concat(frames)


def assert_same(scanned, wanted):
    pd.testing.assert_frame_equal(scanned, wanted, check_index_type=False, check_exact=True)


def read_at_once(file):
    """Read a file as pyarrow does that sees all of it; codes and times of day stay text."""
    parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
    table = pyarrow.csv.read_csv(file, parse_options=parse, convert_options=convert_options())
    with file.open(newline="") as stream:
        words = [row[0].strip() for row in csv.reader(stream)][1:]
    if pa.types.is_time(table["a"].type) or any(
        re.fullmatch(r"[+-]?0(\d+|x[0-9a-f]+)", word) for word in words
    ):
        table = table.set_column(0, "a", pa.chunked_array([words]))
    return to_pandas(map_columns(map_columns(table, parse_text), simplify))


@EXAMPLES
@given(COLUMN, st.integers(1, 40), st.integers(1, 4))
def test_scanned_fields_equal_those_of_the_file_read_at_once(tmp_path, column, size, group):
    file = tmp_path / "t.csv"
    file.write_text("a,b\n" + "".join(f"{field},{i}\n" for i, field in enumerate(column)))
    wanted = read_at_once(file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole_rows, "BLOCK_BYTES", size)
        patch.setattr(batchprop.data.parquet_copy, "ROW_GROUP_ROWS", group)
        with scan(file) as table:
            assert_same(together(table.iter_frames()), wanted)
            assert table.n_rows == len(column)
            assert max(table.partitions) <= group
        whole = read_tables(file)
    assert_same(whole.frame, wanted)
    assert [whole.frame["b"].tolist(), whole.unit] == [list(range(len(column))), "line"]


@EXAMPLES
@given(COLUMN, st.integers(1, 40), st.data())
def test_several_files_equal_one_file_with_the_same_rows(tmp_path, column, size, data):
    at = data.draw(st.integers(0, len(column)))
    rows = [f"{field},{i}\n" for i, field in enumerate(column)]
    (tmp_path / "one.csv").write_text("a,b\n" + "".join(rows))
    (tmp_path / "part-2.csv").write_text("a,b\n" + "".join(rows[:at]))
    turned = "".join(f"{i},{field}\n" for i, field in enumerate(column[at:], start=at))
    (tmp_path / "part-10.csv.gz").write_bytes(gzip.compress(b"b,a\n" + turned.encode()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole_rows, "BLOCK_BYTES", size)
        with scan(str(tmp_path / "part-*")) as table:
            assert_same(together(table.iter_frames()), read_table(tmp_path / "one.csv"))
            files = [table.locate(i)[0].name for i in range(table.n_rows)]
    assert files == ["part-2.csv"] * at + ["part-10.csv.gz"] * (len(column) - at)
    assert_same(read_tables(str(tmp_path / "part-*")).frame, read_table(tmp_path / "one.csv"))


@pytest.mark.parametrize("case", [case for case in BAD_FILES if case != "empty"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_invalid_table_is_refused_as_in_read_table(tmp_path, case, packed):
    name, content, message = BAD_FILES[case]
    text = name.endswith((".csv", ".tsv"))
    path = tmp_path / (f"{name}.gz" if packed and text else name)
    path.write_bytes(gzip.compress(content) if packed and text else content)
    for reader in (scan, read_table, read_tables):
        with pytest.raises(DataError, match=message.replace(r".tsv", r"\.tsv")) as refusal:
            reader(path)
        assert str(path) in str(refusal.value)
        assert "\n" not in str(refusal.value)


def arrow_table():
    rows = 10
    return pa.table(
        {
            "text": pa.array(["x", None] * 5).dictionary_encode(),
            "whole": pa.array(range(rows), pa.int16()),
            "gaps": pa.array([*range(rows - 1), None]),
            "half": pa.array(np.arange(rows), pa.float32()).cast(pa.float16()),
            "flag": pa.array([True, None] * 5),
            "day": pa.array(pd.date_range("2020-01-01", periods=rows).date),
            "time": pa.array(range(rows), pa.time32("s")),
            "span": pa.array(range(rows), pa.duration("ms")),
            "zoned": pa.array(range(rows), pa.timestamp("us", "Europe/Paris")),
            "nothing": pa.nulls(rows),
            "list": pa.array([[1, 2], None] * 5),
            "list.more": pa.array(range(rows), pa.uint8()),
            " blanks ": pa.array(range(rows)).cast(pa.decimal128(21, 2)),
        }
    )


@pytest.mark.parametrize("statistics", [True, False])
@pytest.mark.parametrize("rows", [1, 2, 100])
def test_parquet_types_are_those_of_the_whole_file(tmp_path, statistics, rows):
    file = tmp_path / "t.parquet"
    pa.parquet.write_table(arrow_table(), file, row_group_size=3, write_statistics=statistics)
    table = scan(file)
    assert table.partitions == (3, 3, 3, 1)
    assert_same(together(table.iter_frames(rows=rows)), read_table(file))
    assert_same(read_tables(file).frame, read_table(file))
    assert_same(together(table.iter_frames(2, ["gaps", "text"])), read_table(file)[["gaps", "text"]][6:9])


def test_numeric_types_of_several_parquet_files_are_unified(tmp_path):
    first = {"a": pa.array([1, 2], pa.int32()), "b": pa.array([1.5, 2], pa.float32())}
    second = {"b": pa.array([7], pa.int8()), "a": pa.array([3], pa.int64())}
    day = pa.array([18000, 18001], pa.date32())
    pa.parquet.write_table(pa.table({**first, "d": day}), tmp_path / "t1.parquet")
    seconds = pa.array([86400 * 18002], pa.timestamp("s"))
    pa.parquet.write_table(pa.table({**second, "d": seconds}), tmp_path / "t2.pq")
    frame = together(scan(tmp_path).iter_frames())
    assert [str(kind) for kind in frame.dtypes[:2]] == ["int64", "float64"]
    assert frame["a"].tolist() == [1, 2, 3]
    assert frame["d"].diff()[1:].eq(pd.Timedelta(days=1)).all()
    assert_same(read_tables(tmp_path).frame, frame)


def test_text_in_one_parquet_file_and_numbers_in_another_is_refused(tmp_path):
    pa.parquet.write_table(pa.table({"a": [1]}), tmp_path / "t1.parquet")
    pa.parquet.write_table(pa.table({"a": ["x"]}), tmp_path / "t2.parquet")
    for reader in (scan, read_tables):
        with pytest.raises(DataError, match=r"'a' holds numbers in .*t1.parquet and text in .*t2.parquet"):
            reader(tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("a", r"t2.csv lacks the column 'weight' of .*t1.csv: add or rename it"),
        ("a,wieght", r"lacks the column 'weight' .* did you mean 'wieght'"),
        ("a,weight,c", r"t2.csv has a column 'c' that .*t1.csv lacks"),
    ],
)
def test_files_with_other_columns_are_refused(tmp_path, names, message):
    (tmp_path / "t1.csv").write_text("a,weight\n1,2\n")
    (tmp_path / "t2.csv").write_text(names + "\n" + ",".join("1" for _ in names.split(",")) + "\n")
    with pytest.raises(DataError, match=message):
        scan(tmp_path)


def numbers(n=1000):
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "x": random.normal(size=n),
            "y": random.choice(["no", "yes"], n),
            "k": random.integers(0, 9, n),
            "flag": random.random(n) < 0.5,
            "w": random.random(n),
        }
    )


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_blocks_contain_the_rows_in_order_as_float32(tmp_path, name, monkeypatch):
    monkeypatch.setattr(batchprop.data.parquet_copy, "MIN_ROW_GROUP_ROWS", 300)
    frame, file = numbers(), tmp_path / name
    frame.to_csv(file, index=False) if name == "t.csv" else frame.to_parquet(file, row_group_size=300)
    table = scan(file, target="y", weights="w")
    assert table.partitions == (300, 300, 300, 100)
    assert table.feature_names == ("x", "k", "flag")
    blocks = [block for run in range(len(table.partitions)) for block in table.iter_blocks(run, 128)]
    assert [block.start_row for block in blocks] == [0, 128, 256, 300, 428, 556, 600, 728, 856, 900]
    assert all(block.X.dtype == np.float32 and block.X.flags.c_contiguous for block in blocks)
    together = [np.concatenate(part) for part in zip(*[block[1:4] for block in blocks], strict=True)]
    np.testing.assert_array_equal(together[0], frame[["x", "k", "flag"]].to_numpy(np.float32))
    np.testing.assert_array_equal(together[1], frame["y"].to_numpy(str))
    np.testing.assert_array_equal(together[2], frame["w"].to_numpy())
    assert table.locate(650) == (file, *(("line", 652) if name == "t.csv" else ("row", 651)))


def test_encoded_blocks_equal_the_encoded_table(tmp_path):
    frame, file = numbers(), tmp_path / "t.parquet"
    frame.loc[3, "x"] = np.nan
    frame.assign(extra="left out").to_parquet(file, row_group_size=400)
    features = read_table(file).drop(columns=["y", "w"])
    pipeline = make_preprocessor(infer_schema(features), len(frame), "y").fit(features)
    table = scan(file, "y", "w").with_transform(pipeline, lambda column: read_target(column).values)
    blocks = [block for run in range(3) for block in table.iter_blocks(run)]
    np.testing.assert_array_equal(np.concatenate([b.X for b in blocks]), pipeline.transform(features))
    assert np.concatenate([block.y for block in blocks]).tolist() == frame["y"].tolist()
    assert blocks[0].X.dtype == np.float32


def test_custom_encoder_gets_all_columns(tmp_path):
    file = tmp_path / "t.parquet"
    numbers().to_parquet(file)

    class Count(Pipeline):
        def transform(self, X):
            return np.full((len(X), 1), len(X.columns), dtype=np.float64)

    block = next(scan(file, "y").with_transform(Count([("nothing", None)])).iter_blocks(0))
    assert block.X[0].tolist() == [4]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, r"row 6: the column 'x' has no value, where a number .*: fit a preprocessor first"),
        (np.inf, r"row 6: the column 'x' holds inf"),
        (1e300, r"row 6: the column 'x' holds 1e\+300, where a number that fits into float32"),
    ],
)
def test_missing_or_too_large_number_is_reported_with_its_position(tmp_path, value, message):
    frame, file = numbers(9), tmp_path / "t.parquet"
    frame.loc[5, "x"] = value
    frame.to_parquet(file, row_group_size=4)
    with pytest.raises(DataError, match=message):
        list(scan(file, "y").iter_blocks(1))


@pytest.mark.parametrize(
    ("target", "weights", "message"),
    [
        ("z", None, "no target column 'z'"),
        (None, "ww", "no weights column 'ww'; did you mean 'w'"),
        ("y", "y", "cannot be both target and weights"),
    ],
)
def test_missing_columns_are_refused(tmp_path, target, weights, message):
    file = tmp_path / "t.csv"
    numbers(9).to_csv(file, index=False)
    with pytest.raises(DataError, match=message):
        scan(file, target, weights)
    if weights is None:
        with pytest.raises(DataError, match=message):
            read_tables(file, target)


def test_text_without_an_encoder_is_refused(tmp_path):
    file = tmp_path / "t.csv"
    numbers(9).to_csv(file, index=False)
    with pytest.raises(DataError, match=r"'y' of .* holds string, not numbers: fit a preprocessor first"):
        next(scan(file, "x").iter_blocks(0))


@pytest.mark.parametrize("value", [-1.0, None, np.inf])
def test_sample_weights_must_be_nonnegative_numbers(tmp_path, value):
    frame, file = numbers(9)[["x", "w"]], tmp_path / "t.csv"
    frame.loc[2, "w"] = value
    frame.to_csv(file, index=False)
    with pytest.raises(DataError, match=r"t.csv, line 4: the weights column 'w' holds .*: a weight is"):
        next(scan(file, weights="w").iter_blocks(0))


def test_date_target_and_text_weights_are_refused(tmp_path):
    frame, file = numbers(9), tmp_path / "t.parquet"
    frame[["x"]].assign(day=pd.Timestamp("2020")).to_parquet(file)
    with pytest.raises(DataError, match="the target 'day' holds values of type timestamp"):
        next(scan(file, "day").iter_blocks(0))
    frame[["x", "y"]].to_parquet(file)
    with pytest.raises(DataError, match="the weights column 'y' holds string: a weight is a number"):
        next(scan(file, weights="y").iter_blocks(0))


def test_converted_copy_is_deleted_when_closed_or_unused(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    file = tmp_path / "t.csv"
    numbers().to_csv(file, index=False)
    with scan(file, "y") as table:
        assert len(list((tmp_path / "temporary").iterdir())) == 1
    assert not list((tmp_path / "temporary").iterdir())
    with pytest.raises(DataError, match=r"the table of .*t.csv is closed: scan it again"):
        next(table.iter_frames())
    table = scan(file, "y").with_transform(Pipeline([("columns", None)]))
    gc.collect()
    assert list((tmp_path / "temporary").iterdir())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del table
        gc.collect()
    assert not list((tmp_path / "temporary").iterdir())
