"""The files of a table: names, folders, patterns, and compressed files, also damaged or malicious."""

import gzip
from pathlib import Path

import pyarrow as pa
import pytest

from batchprop.data import files as sources
from batchprop.data.files import expand_paths
from batchprop.data.reader import read_table, read_tables
from batchprop.data.scanner import scan
from batchprop.errors import DataError

TEXT = b'name,weight\n"ann\nmary",1.5\nbob,2.5\n'


def zstd(content):
    return pa.compress(content, codec="zstd", asbytes=True)


PACK = {".gz": gzip.compress, ".zst": zstd}


@pytest.fixture
def folder(tmp_path):
    for name in ("part-10.csv", "part-9.CSV", "part-1.csv.gz", "a.tsv", ".hidden.csv", "notes.txt"):
        packed = gzip.compress(TEXT) if name.endswith(".gz") else TEXT
        (tmp_path / name).write_bytes(packed.replace(b",", b"\t") if name == "a.tsv" else packed)
    (tmp_path / "deep.csv").mkdir()
    (tmp_path / "deep.csv" / "part-11.csv").write_bytes(TEXT)
    return tmp_path


def names(paths):
    return [path.name for path in expand_paths(paths)]


def test_pattern_expands_in_natural_order(folder):
    assert names(str(folder / "part-*")) == ["part-1.csv.gz", "part-9.CSV", "part-10.csv"]
    assert names(folder / "**" / "part-1[01].csv") == ["part-11.csv", "part-10.csv"]
    assert names([folder / "part-10.csv", str(folder / "part-9.*")]) == ["part-10.csv", "part-9.CSV"]


def test_folder_expands_to_its_tables(folder):
    (folder / "a.tsv").unlink()
    assert names(folder) == ["part-1.csv.gz", "part-9.CSV", "part-10.csv"]


def test_existing_file_named_like_a_pattern_is_a_file(tmp_path):
    (tmp_path / "t[1].csv").write_bytes(TEXT)
    (tmp_path / "t1.csv").write_bytes(TEXT)
    assert names(tmp_path / "t[1].csv") == ["t[1].csv"]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (
            "",
            r"part-10.csv have different formats, and a table has one: name a pattern such",
        ),
        ("nothing-*.csv", r"no file matches the pattern .*nothing-\*.csv"),
        ("part-8.csv", r"there is no file .*part-8.csv.*; did you mean"),
        (
            "notes.txt",
            r"ends in '.txt', and is not read as it is: rename it to end in .csv, or in .tsv if tabs",
        ),
        (["part-10.csv", "part-1?.csv"], r"part-10.csv is named twice: name each file once"),
        (["part-10.csv", "../{}/part-10.csv"], "is named twice"),
        ([], "no file is named"),
    ],
)
def test_files_that_do_not_form_one_table_are_refused(folder, paths, message):
    given = (
        [folder / each.format(folder.name) for each in paths] if isinstance(paths, list) else folder / paths
    )
    with pytest.raises(DataError, match=message):
        expand_paths(given)


def test_a_folder_without_tables_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds no table .*: name another folder"):
        expand_paths(tmp_path)
    (tmp_path / "deeper").mkdir()
    with pytest.raises(DataError, match=r"holds no table .*: name a pattern such as .*/\*\*/\*.parquet"):
        expand_paths(tmp_path)


@pytest.mark.parametrize("ending", PACK)
def test_compressed_text_is_read_and_scanned_like_plain_text(tmp_path, ending):
    plain, packed = tmp_path / "t.csv", tmp_path / f"t.csv{ending}"
    plain.write_bytes(TEXT)
    packed.write_bytes(PACK[ending](TEXT))
    wanted = read_table(plain).to_dict()
    assert read_table(packed).to_dict() == read_tables(packed).frame.to_dict() == wanted
    with scan(packed) as table:
        assert next(table.iter_frames()).to_dict() == wanted
    assert read_tables(packed).row_numbers.tolist() == [2, 4]


@pytest.mark.parametrize("ending", PACK)
def test_concatenated_compressed_members_are_one_text(tmp_path, ending):
    file = tmp_path / f"t.csv{ending}"
    file.write_bytes(PACK[ending](TEXT[:20]) + PACK[ending](TEXT[20:]))
    assert read_table(file)["weight"].tolist() == [1.5, 2.5]


def damaged(pack):
    packed = pack(TEXT * 100)
    return {
        "half": packed[: len(packed) // 2],
        "not packed": TEXT,
        "followed": packed + b"something else",
        "flipped": packed[:40] + bytes([packed[40] ^ 255]) + packed[41:],
    }


@pytest.mark.parametrize("ending", PACK)
@pytest.mark.parametrize("damage", ["half", "not packed", "followed"])
@pytest.mark.parametrize("reader", [read_table, scan, read_tables])
def test_damaged_compression_is_refused(tmp_path, ending, damage, reader):
    file = tmp_path / f"t.csv{ending}"
    file.write_bytes(damaged(PACK[ending])[damage])
    with pytest.raises(
        DataError, match=r"t\.csv\.\w+ is damaged or incomplete, or not compressed with"
    ) as refusal:
        reader(file)
    assert "\n" not in str(refusal.value)


def test_flipped_bit_fails_the_checksum(tmp_path):
    file = tmp_path / "t.csv.gz"
    file.write_bytes(damaged(gzip.compress)["flipped"])
    with pytest.raises(DataError, match="is damaged"):
        scan(file)


@pytest.mark.parametrize("ending", PACK)
@pytest.mark.parametrize("reader", [read_table, scan, read_tables])
def test_decompression_bomb_is_refused(tmp_path, monkeypatch, ending, reader):
    monkeypatch.setattr(sources, "_ALWAYS_ALLOWED_BYTES", 1 << 16)
    file = tmp_path / f"t.csv{ending}"
    file.write_bytes(PACK[ending](b"a,b\n" + b"1,2\n" * (1 << 22)))
    with pytest.raises(DataError, match="decompresses to more than 200 times its size"):
        reader(file)


def test_double_compression_and_empty_content_are_refused(tmp_path):
    (tmp_path / "twice.csv.gz").write_bytes(gzip.compress(gzip.compress(TEXT)))
    (tmp_path / "nothing.csv.gz").write_bytes(gzip.compress(b""))
    for reader in (read_table, scan, read_tables):
        with pytest.raises(DataError, match="is compressed with gzip: decompress it"):
            reader(tmp_path / "twice.csv.gz")
        with pytest.raises(DataError, match=r"nothing\.csv\.gz (is empty|holds only blank lines)"):
            reader(tmp_path / "nothing.csv.gz")


def test_zstd_file_named_csv_is_recognised(tmp_path):
    (tmp_path / "t.csv").write_bytes(zstd(TEXT))
    with pytest.raises(
        DataError, match=r"is compressed with zstd: decompress it, or rename it to end in .zst"
    ):
        read_table(tmp_path / "t.csv")


def test_compressed_parquet_is_refused():
    with pytest.raises(DataError, match=r"t.parquet.gz ends in '.parquet.gz': a table ends in .csv"):
        expand_paths(Path("t.parquet.gz"))
