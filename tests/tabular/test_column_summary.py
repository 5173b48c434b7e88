"""A table in parts whose columns two processes learn, which threads stand for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from batchprop import processes
from batchprop.data.scanner import TableScan
from batchprop.data.sketches import QuantileSketch
from batchprop.errors import DataError
from batchprop.tabular import Observer, TrainOptions
from batchprop.tabular.streaming import fit_preprocessing, scan_table

N = 2


class Thread(processes.Processes):
    """One of the threads, which exchange arrays and errors."""

    def __init__(self, index: int, barrier: threading.Barrier, given: list[Any]) -> None:
        self.index, self.count = index, N
        self._barrier, self._given = barrier, given

    def _exchange(self, value: Any) -> list[Any]:
        self._given[self.index] = value
        self._barrier.wait()
        values = [*self._given]
        self._barrier.wait()
        return values

    def gather_rows(self, rows: Any) -> list[Any]:
        return self._exchange(rows)

    @contextmanager
    def guard(self) -> Any:
        error: BaseException | None = None
        try:
            yield
        except DataError as caught:
            error = caught
        for each in self._exchange(error):
            if each is not None:
                raise each


class OwnOfThread(threading.local):
    """The processes of each thread: by default one."""

    value = processes.Processes()

    def __getitem__(self, index: int) -> processes.Processes:
        return self.value


def run_in_threads(monkeypatch: pytest.MonkeyPatch, function: Callable[[], Any]) -> list[Any]:
    """Run a function in each of several processes."""
    own, barrier, given = OwnOfThread(), threading.Barrier(N, timeout=60), [None] * N
    monkeypatch.setattr(processes, "_current", own)

    def run(index: int) -> Any:
        own.value = Thread(index, barrier, given)
        return function()

    with ThreadPoolExecutor(N) as pool:
        return [*pool.map(run, range(N))]


def write(path: Path) -> pd.DataFrame:
    """Write a column of each kind, in several row groups; the numbers do not fit in a sketch."""
    n, rng = 2_000, np.random.default_rng(0)
    hours = pd.to_timedelta(rng.integers(0, 9000, n), unit="h")
    frame = pd.DataFrame(
        {
            "size": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
            "word": rng.choice(np.array(["red", "green", None], dtype=object), n),
            "day": pd.Timestamp("2020-01-01") + hours,
            "zoned": pd.Timestamp("2020-01-01", tz="Europe/Berlin") + hours,
            "spelled": rng.integers(1, 999, n).astype(str) + " kg",
            "flag": rng.random(n) < 0.5,
            "same": 1,
            "price": rng.normal(size=n),
        }
    )
    frame.to_parquet(path, row_group_size=900)
    return frame


def test_two_processes_learn_the_columns_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = write(tmp_path / "table.parquet").iloc[:100]
    options, read = TrainOptions(target="price", bins=4), list[set[str]]()
    iter_frames = TableScan.iter_frames

    def note_columns(self: TableScan, columns: list[str], rows: int) -> Any:
        read.extend([{*columns}] if len(columns) > 1 else [])
        return iter_frames(self, columns=columns, rows=rows)

    def learn() -> Any:
        with scan_table((tmp_path / "table.parquet",), options, 1 << 30, Observer()) as (scan, splitter):
            return fit_preprocessing(scan, splitter, options, Observer())

    monkeypatch.setattr(QuantileSketch, "SIZE", 256)
    monkeypatch.setattr(TableScan, "iter_frames", note_columns)
    (expected, _, alone), read_alone = learn(), read.pop()
    for held_out, _, fitted in run_in_threads(monkeypatch, learn):
        pd.testing.assert_frame_equal(held_out.frame, expected.frame)
        assert fitted.columns == alone.columns
        assert_array_equal(fitted.encoder.transform(frame), alone.encoder.transform(frame))
    first, second = read
    assert first | second == read_alone
    assert first & second == {"price"}


def test_error_in_a_column_of_one_process_comes_to_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pd.DataFrame({"a": ["x", "y"] * 100, "infinite": [0, np.inf] * 100, "price": np.arange(200.0)})
    table.to_parquet(tmp_path / "table.parquet")
    options = TrainOptions(target="price")

    def learn() -> str:
        with (
            scan_table((tmp_path / "table.parquet",), options, 1 << 30, Observer()) as (scan, splitter),
            pytest.raises(DataError) as caught,
        ):
            fit_preprocessing(scan, splitter, options, Observer())
        return str(caught.value)

    assert all("'infinite'" in message for message in run_in_threads(monkeypatch, learn))
