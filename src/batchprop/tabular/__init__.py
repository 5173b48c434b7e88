"""Tables in, numbers out, and a trained pipeline on disk: the extra `tables` installs what this needs."""

from batchprop.data.arrow import find
from batchprop.data.memory import default_memory, parse_memory, table_bytes
from batchprop.data.reader import Whole, read, read_all
from batchprop.data.scanner import Scan, scan
from batchprop.tabular.persistence import load_model, new_file, new_folder, save_model
from batchprop.tabular.preprocessing import Learned, learn
from batchprop.tabular.schema import Column, describe
from batchprop.tabular.split import split
from batchprop.tabular.target import Target, read_target
from batchprop.tabular.transformers import encoder

__all__ = [
    "Column",
    "Learned",
    "Scan",
    "Target",
    "Whole",
    "default_memory",
    "describe",
    "encoder",
    "find",
    "learn",
    "load_model",
    "new_file",
    "new_folder",
    "parse_memory",
    "read",
    "read_all",
    "read_target",
    "save_model",
    "scan",
    "split",
    "table_bytes",
]
