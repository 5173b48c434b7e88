"""Rows from anywhere: arrays, CSV, Parquet; files and folders, blocks, partitions, shuffling."""
