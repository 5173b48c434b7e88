"""Columns in the names of folders, and columns that have no value in one of several files."""

import datetime as dt

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from batchprop.data.reader import read_table, read_tables
from batchprop.data.scanner import scan
from batchprop.errors import DataError
from batchprop.tabular import train_table

UTC = dt.UTC
NOON = pd.Timestamp(2024, 1, 1, 12).to_pydatetime()


def write(path, **columns):
    """Write a table in the format of the suffix, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    if path.suffix == ".parquet":
        pa.parquet.write_table(table, path)
    else:
        table.to_pandas().to_csv(path, index=False)
    return path


def read(paths, way, **options):
    """Read a table at once or in blocks, as one frame."""
    if way == "at once":
        return read_tables(paths, **options).frame
    with scan(paths, **options) as table:
        return pd.concat(table.iter_frames(rows=2))


WAYS = pytest.mark.parametrize("way", ["at once", "in blocks"])
SUFFIXES = pytest.mark.parametrize("suffix", [".csv", ".parquet"])


@WAYS
@SUFFIXES
def test_folders_give_columns_of_numbers_dates_and_text(tmp_path, way, suffix):
    days = ["2024-01-31", "2024-02-01"]
    for i, region in enumerate(["north%20sea", "__HIVE_DEFAULT_PARTITION__"]):
        inner = tmp_path / f"region={region}" / f"year={2023 + i}" / f"day={days[i]}" / f"share={i}.5"
        write(inner / f"part{suffix}", a=[i, 10 + i], b=["x", "y"])
    frame = read(tmp_path, way)
    assert frame["a"].tolist() == [0, 10, 1, 11] or frame["a"].tolist() == [1, 11, 0, 10]
    frame = frame.sort_values("a", ignore_index=True)
    assert frame["year"].tolist() == [2023, 2024, 2023, 2024]
    assert frame["year"].dtype.kind == "i"
    assert frame["share"].tolist() == [0.5, 1.5, 0.5, 1.5]
    assert frame["region"][::2].tolist() == ["north sea", "north sea"]
    assert frame["region"][1::2].isna().all()
    assert pd.to_datetime(frame["day"]).dt.strftime("%Y-%m-%d").tolist() == days * 2
    if way == "in blocks":
        # A column of the folders alone, and none at all.
        with scan(tmp_path) as table:
            assert [len(block) for block in table.iter_frames(columns=["year"])] == [2, 2]


@WAYS
@SUFFIXES
def test_folders_may_give_the_target_and_text_stays_text(tmp_path, way, suffix):
    for code in ("01", "02"):
        write(tmp_path / f"code={code}" / f"part{suffix}", a=[1, 2])
    assert read(tmp_path, way, target="code")["code"].tolist() == ["01", "01", "02", "02"]
    assert read(tmp_path, way, text=["code"])["code"].tolist() == ["01", "01", "02", "02"]
    one = tmp_path / "code=01" / f"part{suffix}"
    assert read_table(one, text=["code"])["code"].tolist() == ["01", "01"]


@WAYS
@SUFFIXES
def test_folders_that_contradict_are_refused_by_name(tmp_path, way, suffix):
    one = write(tmp_path / "region=north" / f"part{suffix}", a=[1], b=[2])
    other = write(tmp_path / "zone=3" / f"part{suffix}", a=[1], b=[2])
    with pytest.raises(DataError, match=r"zone=3/part\.\w+ lacks the column 'region' of .*region=north/part"):
        read([one, other], way)
    both = write(tmp_path / "b=7" / f"part{suffix}", a=[1], b=[2])
    with pytest.raises(DataError, match=r"part\.\w+ holds a column 'b', and its folder b=7 gives one, too"):
        read(both, way)
    twice = write(tmp_path / "zone=3" / "zone=4" / f"part{suffix}", a=[1])
    with pytest.raises(DataError, match="two of its folders give the column 'zone'"):
        read(twice, way)
    missing = write(tmp_path / "zone=" / f"part{suffix}", a=[1])
    with pytest.raises(DataError, match="the name of its folder lacks the target 'zone'"):
        read(missing, way, target="zone")


def test_model_predicts_from_the_column_of_a_folder(tmp_path):
    for kind, region in (("big", "south"), ("small", "north")):
        write(tmp_path / f"region={region}" / "part.parquet", a=[0.5] * 30 + [0.25] * 30, kind=[kind] * 60)
    model = train_table(tmp_path, target="kind", epochs=30, learning_rate=0.05, hidden=(4,), engine="numpy")
    new = write(tmp_path / "new" / "region=north" / "part.csv", a=[0.5, 0.25])
    assert model.predict(new)["kind"].tolist() == ["small", "small"]
    assert model.predict(new, memory="1MiB")["kind"].tolist() == ["small", "small"]


@WAYS
@pytest.mark.parametrize("empty", [pa.null(), pa.string(), pa.float32(), pa.timestamp("ms")])
@pytest.mark.parametrize("order", [1, -1])
def test_column_without_values_in_one_file_is_what_the_other_says(tmp_path, way, empty, order):
    files = [
        write(tmp_path / "gaps.parquet", a=pa.nulls(2, empty), n=[1, 2], flag=pa.nulls(2, empty)),
        write(tmp_path / "more.parquet", a=[5, 6], n=[3, 4], flag=[True, False]),
    ][::order]
    frame = read(files, way).sort_values("n")
    assert frame["a"].dtype == "float64"
    assert frame["a"].isna().tolist() == [True, True, False, False]
    assert frame["a"][2:].tolist() == [5, 6] if order == 1 else frame["a"][:2].isna().all()
    assert str(frame["flag"].dtype) == "boolean"
    third = write(tmp_path / "words.parquet", a=["x"], n=[5], flag=[True])
    with pytest.raises(DataError, match=r"'a' holds numbers in .*more\.parquet and text in .*words\.parquet"):
        read([*files, third], way)


@WAYS
def test_zoned_and_naive_times_are_told_apart_with_their_files(tmp_path, way):
    files = [
        write(tmp_path / "a.parquet", at=[NOON], n=[1]),
        write(tmp_path / "b.parquet", at=[NOON.replace(tzinfo=UTC)], n=[1]),
    ]
    naive, zoned = "dates without a time zone in .*a.parquet", "dates with a time zone in .*b.parquet"
    with pytest.raises(DataError, match=f"'at' holds {naive} and {zoned}"):
        read(files, way)
    with pytest.raises(DataError, match=f"'at' holds {zoned} and {naive}"):
        read(files[::-1], way)
