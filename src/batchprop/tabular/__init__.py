"""Tables in, trained models out: the extra `tables` installs the requirements.

Each name is imported on first use: the command line reads its options from this package, and must start
without pandas.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchprop.data.arrow import get_column
    from batchprop.data.memory import default_memory, parse_memory, table_bytes
    from batchprop.data.reader import LoadedTable, read_table, read_tables
    from batchprop.data.scanner import TableScan, scan
    from batchprop.tabular.estimators import TabularClassifier, TabularRegressor
    from batchprop.tabular.evaluation import Evaluation
    from batchprop.tabular.history import EpochSummary
    from batchprop.tabular.model import TrainedModel, load_model
    from batchprop.tabular.observer import Observer
    from batchprop.tabular.options import TrainOptions
    from batchprop.tabular.persistence import atomic_file, atomic_folder, load_pipeline, save_pipeline
    from batchprop.tabular.preprocessing import FittedPreprocessing, fit_streaming
    from batchprop.tabular.schema import ColumnSchema, infer_schema
    from batchprop.tabular.split import stratified_split
    from batchprop.tabular.target import Target
    from batchprop.tabular.target_statistics import read_target
    from batchprop.tabular.train import train_table
    from batchprop.tabular.transformers import make_preprocessor
    from batchprop.tabular.tuning import TuningResult, tune

_HOMES = {
    "data.arrow": ("get_column",),
    "data.memory": ("default_memory", "parse_memory", "table_bytes"),
    "data.reader": ("LoadedTable", "read_table", "read_tables"),
    "data.scanner": ("TableScan", "scan"),
    "tabular.estimators": ("TabularClassifier", "TabularRegressor"),
    "tabular.evaluation": ("Evaluation",),
    "tabular.history": ("EpochSummary",),
    "tabular.model": ("TrainedModel", "load_model"),
    "tabular.observer": ("Observer",),
    "tabular.options": ("TrainOptions",),
    "tabular.persistence": ("atomic_file", "atomic_folder", "load_pipeline", "save_pipeline"),
    "tabular.preprocessing": ("FittedPreprocessing", "fit_streaming"),
    "tabular.schema": ("ColumnSchema", "infer_schema"),
    "tabular.split": ("stratified_split",),
    "tabular.target": ("Target",),
    "tabular.target_statistics": ("read_target",),
    "tabular.train": ("train_table",),
    "tabular.transformers": ("make_preprocessor",),
    "tabular.tuning": ("TuningResult", "tune"),
}

__all__ = [
    "ColumnSchema",
    "EpochSummary",
    "Evaluation",
    "FittedPreprocessing",
    "LoadedTable",
    "Observer",
    "TableScan",
    "TabularClassifier",
    "TabularRegressor",
    "Target",
    "TrainOptions",
    "TrainedModel",
    "TuningResult",
    "atomic_file",
    "atomic_folder",
    "default_memory",
    "fit_streaming",
    "get_column",
    "infer_schema",
    "load_model",
    "load_pipeline",
    "make_preprocessor",
    "parse_memory",
    "read_table",
    "read_tables",
    "read_target",
    "save_pipeline",
    "scan",
    "stratified_split",
    "table_bytes",
    "train_table",
    "tune",
]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"batchprop.{home}"), name)
    raise AttributeError(f"module 'batchprop.tabular' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
