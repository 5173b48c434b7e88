"""Tables in, numbers out, and a trained pipeline on disk: the extra `tables` installs what this needs."""

from batchprop.data.arrow import get_column
from batchprop.data.memory import default_memory, parse_memory, table_bytes
from batchprop.data.reader import LoadedTable, read_table, read_tables
from batchprop.data.scanner import TableScan, scan
from batchprop.tabular.persistence import atomic_file, atomic_folder, load_model, save_model
from batchprop.tabular.preprocessing import FittedPreprocessing, fit_streaming
from batchprop.tabular.schema import ColumnSchema, infer_schema
from batchprop.tabular.split import stratified_split
from batchprop.tabular.target import Target, read_target
from batchprop.tabular.transformers import make_preprocessor

__all__ = [
    "ColumnSchema",
    "FittedPreprocessing",
    "LoadedTable",
    "TableScan",
    "Target",
    "atomic_file",
    "atomic_folder",
    "default_memory",
    "fit_streaming",
    "get_column",
    "infer_schema",
    "load_model",
    "make_preprocessor",
    "parse_memory",
    "read_table",
    "read_tables",
    "read_target",
    "save_model",
    "scan",
    "stratified_split",
    "table_bytes",
]
