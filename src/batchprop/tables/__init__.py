"""Tables in, numbers out, and a trained pipeline on disk: the extra `tables` installs what this needs."""

from batchprop.tables.columns import Column, Target, describe, find, read_target
from batchprop.tables.encoding import encoder
from batchprop.tables.reading import read
from batchprop.tables.splitting import split
from batchprop.tables.storing import load_model, new_file, new_folder, save_model

__all__ = [
    "Column",
    "Target",
    "describe",
    "encoder",
    "find",
    "load_model",
    "new_file",
    "new_folder",
    "read",
    "read_target",
    "save_model",
    "split",
]
