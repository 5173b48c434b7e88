"""Damaged Parquet files give a one-line error and never crash the process, as pyarrow might."""

import os

import pandas as pd
import pytest

from batchprop.data.parquet import RowGroups, iter_raw_tables, read_parquet_footer
from batchprop.data.reader import read_table, read_tables
from batchprop.errors import DataError
from tests.hostile.crafted_files import cut, run_bounded, write_file


def table(folder):
    path = folder / "table.parquet"
    frame = pd.DataFrame({"size": [1.5, None, 2.0], "town": ["Ulm", "Bonn", "Ulm"], "rooms": [1, 2, 3]})
    frame.to_parquet(path, index=False)
    return path


EACH_BYTE = """
warnings.simplefilter("ignore")
path = Path(sys.argv[1])
content, odd = path.read_bytes(), 0
footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
for at in range(footer, len(content), 9):
    changed = bytearray(content)
    changed[at] ^= (128, 16, 1)[at % 3]
    path.write_bytes(changed)
    try:
        read_tables(path)
    except BatchpropError as error:
        odd += "\\n" in str(error)
print("ended", odd)
"""


def test_changed_footer_never_crashes_the_process(origin, folder):
    told = run_bounded(
        origin,
        "import warnings\nfrom pathlib import Path\nfrom batchprop.errors import BatchpropError\n"
        "from batchprop.data.reader import read_tables",
        EACH_BYTE,
        table(folder),
        cwd=folder,
    )
    assert told.returncode == 0, told.stderr[-2000:]
    assert told.stdout == "ended 0\n"


def test_another_file_put_in_place_is_not_mixed_with_the_first(folder):
    # Its footer is that of the first one, so that nothing but its age tells.
    pd.DataFrame({"x": [1.0, 2.0]}).to_parquet(folder / "t.parquet")
    group = RowGroups([read_parquet_footer(folder / "t.parquet")]).groups[0]
    assert next(iter_raw_tables(group, ["x"], None)).to_pydict() == {"x": [1.0, 2.0]}
    pd.DataFrame({"x": [3.0, 4.0]}).to_parquet(folder / "t.parquet")
    os.utime(folder / "t.parquet", (1e9, 1e9))
    with pytest.raises(DataError, match=r"t\.parquet has changed since it was opened"):
        next(iter_raw_tables(group, ["x"], None))


def test_column_name_that_is_not_text_is_refused(folder):
    path = table(folder)
    write_file(path, path.read_bytes().replace(b"town", b"tow\xd1"))
    for reading in (read_table, read_tables):
        with pytest.raises(DataError, match="damaged or incomplete Parquet file"):
            reading(path)


def test_a_file_cut_short_is_refused(folder):
    path = table(folder)
    for content in cut(path.read_bytes(), 30):
        write_file(path, content)
        for reading in (read_table, read_tables):
            with pytest.raises(DataError, match=r"table\.parquet"):
                reading(path)


LONG_WORD = """
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
codes = pa.array(np.zeros(8000, dtype=np.int32))
words = pa.DictionaryArray.from_arrays(codes, pa.array(["x" * 300_000]))
pq.write_table(pa.table({"word": words, "kind": pa.array(["a", "b"] * 4000)}), sys.argv[1])
for reader in (read_table, read_tables):
    try:
        reader(sys.argv[1])
    except BatchpropError as error:
        print(error)
    except MemoryError:
        print("memory")
"""


def test_dictionary_word_that_expands_to_gigabytes_is_refused(origin, folder):
    told = run_bounded(
        origin,
        "from batchprop.errors import BatchpropError\n"
        "from batchprop.data.reader import read_table, read_tables",
        LONG_WORD,
        folder / "words.parquet",
        cwd=folder,
    )
    assert told.returncode == 0, told.stderr[-2000:]
    lines = told.stdout.splitlines()
    assert len(lines) == 2, lines
    assert all(line == "memory" or "more than 2 GB of text" in line for line in lines), lines
