"""Memory amounts, free memory, table sizes, and the small memory use of scanning."""

import gzip

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet
import pytest

import batchprop.data.parquet_copy
from batchprop.data import csv_splitter as whole_rows
from batchprop.data import memory
from batchprop.data.memory import default_memory, parse_memory, table_bytes
from batchprop.data.reader import read_table
from batchprop.data.scanner import scan
from batchprop.errors import ParameterError


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("2GB", 2 * 10**9),
        ("2 gb", 2 * 10**9),
        ("1.5GiB", 3 * 2**29),
        ("500MB", 5 * 10**8),
        ("500M", 5 * 10**8),
        (".5g", 5 * 10**8),
        ("3000kb", 3 * 10**6),
        ("1TiB", 2**40),
        ("1048576", 2**20),
        (2_000_000, 2_000_000),
    ],
)
def test_memory_amounts_are_parsed(text, amount):
    assert parse_memory(text) == amount


@pytest.mark.parametrize("text", ["", "much", "-2GB", "2 apples", "GB", "1e9", True, "2,5GB"])
def test_invalid_amount_is_refused(text):
    with pytest.raises(ParameterError, match=r"is not an amount of memory: write 2GB, 500MB, 1.5GiB"):
        parse_memory(text)


@pytest.mark.parametrize("text", ["1kB", "0", "9" * 30])
def test_too_little_and_too_much_is_refused(text):
    with pytest.raises(ParameterError, match="at least 1MiB is needed"):
        parse_memory(text)


def group(root, path, **values):
    folder = root / "sys/fs/cgroup" / path
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (folder / name.replace("__", ".")).write_text(f"{value}\n")


def test_cgroup_limits_are_respected(tmp_path):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/user/job\n")
    assert memory._cgroup_free(tmp_path) == []
    statistics = "anon 5\ninactive_file 100\nactive_file 7"
    group(tmp_path, "user/job", memory__max="max", memory__current=500, memory__stat=statistics)
    group(tmp_path, "user", memory__max=4000, memory__current=1000, memory__stat=statistics)
    assert memory._cgroup_free(tmp_path) == [3100]
    (tmp_path / "proc/self/cgroup").write_text("3:cpu:/elsewhere\n4:memory,hugetlb:/job\n")
    old = "cache 5\ntotal_inactive_file 50"
    names = {"memory__limit_in_bytes": 2000, "memory__usage_in_bytes": 3000, "memory__stat": old}
    group(tmp_path, "memory/job", **names)
    assert memory._cgroup_free(tmp_path) == [0]
    assert memory._cgroup_free(tmp_path / "nowhere") == []


def test_the_default_is_a_quarter_of_the_free_memory(monkeypatch):
    monkeypatch.setattr(memory, "_cgroup_free", lambda _: [8_000_000_000, 4_000_000_000])
    assert default_memory() == min(4_000_000_000, psutil.virtual_memory().available) // 4
    monkeypatch.setattr(memory, "_cgroup_free", lambda _: [0])
    assert default_memory() == 1 << 20


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet"])
def test_memory_estimate_of_a_table_is_within_a_factor(tmp_path, name):
    random, file = np.random.default_rng(0), tmp_path / name
    frame = pd.DataFrame(random.normal(size=(5000, 8))).add_prefix("x")
    frame["word"] = random.choice(["red", "green", "blue"], len(frame))
    if name == "t.parquet":
        frame.to_parquet(file)
    else:
        text = frame.to_csv(index=False).encode()
        file.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    taken = read_table(file).memory_usage(deep=True).sum()
    assert taken / 2 <= table_bytes(file) <= 5 * taken
    assert table_bytes([file]) == table_bytes(file)


def test_converting_csv_of_any_size_takes_bounded_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(whole_rows, "BLOCK_BYTES", 1 << 14)
    monkeypatch.setattr(batchprop.data.parquet_copy, "ROW_GROUP_ROWS", 1 << 9)
    file = tmp_path / "t.csv"
    file.write_bytes(b"a,b,c\n" + b"1.5,2,some text\n" * 200_000)
    taken, before = list[int](), pa.total_allocated_bytes()
    write = batchprop.data.parquet_copy.ParquetCopy.write

    def watched(writer, table):
        taken.append(pa.total_allocated_bytes() - before)
        write(writer, table)

    monkeypatch.setattr(batchprop.data.parquet_copy.ParquetCopy, "write", watched)
    with scan(file) as table:
        assert table.n_rows == 200_000
    assert len(taken) > 100
    assert max(taken) < file.stat().st_size / 4


def test_open_partitions_hold_column_pages_and_not_row_groups(tmp_path):
    rows, random = 1 << 17, np.random.default_rng(0)
    columns = {f"x{i}": random.normal(size=rows) for i in range(8)}
    pa.parquet.write_table(
        pa.table(columns),
        tmp_path / "t.parquet",
        row_group_size=rows,
        use_dictionary=False,
        data_page_size=1 << 14,
    )
    table, before = scan(tmp_path / "t.parquet"), pa.total_allocated_bytes()
    runs = [table.iter_blocks(0, 1024) for _ in range(8)]
    for _ in range(3):
        for run in runs:
            next(run)
    taken = (pa.total_allocated_bytes() - before) / len(runs)
    assert taken < 8 * rows * 8 / 4
    assert taken < table.partition_bytes
