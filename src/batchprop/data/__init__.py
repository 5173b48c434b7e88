"""Rows from anywhere: arrays, CSV, Parquet; files and folders, blocks, partitions, shuffling."""

from batchprop.data.sources import ArraySource, DataSource, IterableSource, RowBlock

__all__ = ["ArraySource", "DataSource", "IterableSource", "RowBlock"]
