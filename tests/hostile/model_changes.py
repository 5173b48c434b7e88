"""Changes of a valid model file, and the registry of those kept as tests."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.hostile.crafted_files import array_of, dicts, parts_of, with_part, with_schema

FOREIGN = "holds types that no model of batchprop has"
DAMAGED = "is truncated or damaged"
NO_MODEL = "is no model as `batchprop train` writes it"

CRAFTED: dict[str, tuple[Callable[[Path, Path], None], str]] = {}


def refused_with(refusal):
    def keep(make):
        CRAFTED[make.__name__] = (make, refusal)
        return make

    return keep


def schema_of(saved):
    return json.loads(parts_of(saved)["schema.json"])


def replace_node(name, new):
    """Return a schema change that replaces the entry `name` by another node."""

    def change(schema):
        for result in dicts(schema):
            if isinstance(result.get(name), dict):
                result[name] = new

    return change


def entry_is(saved, path, name, new):
    return with_schema(saved, path, replace_node(name, new))


def array_is(saved, path, name, content, place=0):
    return with_part(saved, path, array_of(schema_of(saved), name, place), content)


def values_are(saved, path, name, change, place=0):
    """A model with another array, written correctly."""
    file = array_of(schema_of(saved), name, place)
    buffer = io.BytesIO()
    np.save(buffer, change(np.load(io.BytesIO(parts_of(saved)[file]))), allow_pickle=False)
    return with_part(saved, path, file, buffer.getvalue())
