"""The command line: `batchprop train`, `batchprop predict`, `batchprop walk`."""

from batchprop.cli.app import app, main

__all__ = ["app", "main"]
