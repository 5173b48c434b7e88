"""Files made to hurt: archives, arrays and JSON with one thing wrong, and every checksum right."""

import io
import json
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np

from batchprop.errors import BatchpropError
from tests.cli.commands import environment

ROOM = 1 << 30
"""Bytes a bounded process may take beside what its imports took."""


def parts_of(path):
    """Every part of an archive by its name."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive(parts, path, compression=zipfile.ZIP_STORED):
    """Write pairs of a name and bytes, twice the same name if need be, as an archive."""
    pairs = parts.items() if isinstance(parts, dict) else parts
    with zipfile.ZipFile(path, "w", compression) as made:
        for name, content in pairs:
            # Not writestr by name: that warns of a name that is there twice.
            made.NameToInfo.clear()
            made.writestr(zipfile.ZipInfo(name), content, compress_type=compression)
    return path


def with_schema(saved, path, change):
    """A model's archive whose schema `change` has changed, in place or by returning another."""
    parts = parts_of(saved)
    schema = json.loads(parts["schema.json"])
    changed = change(schema)
    parts["schema.json"] = json.dumps(schema if changed is None else changed).encode()
    return archive(parts, path)


def with_part(saved, path, name, content):
    """A model's archive with one part more, or another one."""
    return archive({**parts_of(saved), name: content}, path)


def dicts(value):
    """Every dict in a tree of JSON, the outer ones first."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from dicts(inner)


def entry(schema, name):
    """The first node that a model's schema keeps under a name, as `coefs_`."""
    return next(found[name] for found in dicts(schema) if isinstance(found.get(name), dict))


def array_of(schema, name, place=0):
    """The archive's name of an array that the schema keeps under a name, or in a list of that name."""
    files = [found["file"] for found in dicts(entry(schema, name)) if "file" in found]
    return files[place]


def node(value, number=1):
    """The node of a plain value."""
    return {
        "__class__": "str", "__module__": "builtins", "__loader__": "JsonNode",
        "content": json.dumps(value), "is_json": True, "__id__": number,
    }  # fmt: skip


def built_by(loader, module, name, number=2, **more):
    """A node that has a loader build something."""
    return {"__class__": name, "__module__": module, "__loader__": loader, "__id__": number, **more}


def npy(descr, shape, data=b"", version=b"\x01\x00"):
    """An array as NumPy writes it, whatever it declares."""
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header + data


def doubling(levels, number=10):
    """A list of two lists of two lists ..., of which each second one is only named: 2 ** levels in all."""
    inner = node(0, number)
    for level in range(levels):
        again = {"__id__": inner["__id__"], "__loader__": "ListNode", "__class__": "list",
                 "__module__": "builtins", "content": []}  # fmt: skip
        inner = built_by("ListNode", "builtins", "list", number + 1 + level, content=[inner, again])
    return inner


def overlapping(saved, path, copies):
    """An archive whose directory names one part many times: copies times the bytes that are there."""
    content = archive([("schema.json", b"0" * 100_000)], path).read_bytes()
    begins = content.index(b"PK\x01\x02")
    ends = content.index(b"PK\x05\x06")
    record = content[begins:ends]
    end = bytearray(content[ends:])
    struct.pack_into("<HH", end, 8, copies, copies)
    struct.pack_into("<I", end, 12, copies * len(record))
    path.write_bytes(content[:begins] + record * copies + end)
    return path


def nested_zip(depth=4):
    """Zeros in an archive in an archive, a thousand times smaller with each."""
    content = bytes(10_000_000)
    for level in range(depth):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
            made.writestr(f"{level}.npy", content)
        content = buffer.getvalue()
    return content


def cut(content, count, seed=0):
    """The content cut short at places all over it, the ends among them."""
    places = np.random.default_rng(seed).integers(2, len(content) - 1, count)
    return [content[:place] for place in (0, 1, len(content) - 1, *places)]


def flipped(content, count, seed=0):
    """The content with one bit changed, at places all over it."""
    rng = np.random.default_rng(seed)
    for place, bit in zip(rng.integers(len(content), size=count), rng.integers(8, size=count), strict=True):
        changed = bytearray(content)
        changed[place] ^= 1 << int(bit)
        yield bytes(changed)


_BOUNDED = """
import resource, sys
{imports}
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + {room}, taken + {room}))
resource.setrlimit(resource.RLIMIT_CPU, (100, 100))
{code}
"""


def bounded(imports, code, *words, cwd, room=ROOM):
    """Run code in a process that cannot take more than some memory, nor run for ever.

    The limit begins after the imports, which take what they take.
    """
    # Arrow's own allocator reserves more than it takes.
    plain = {"OPENBLAS_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
    return subprocess.run(
        [sys.executable, "-c", _BOUNDED.format(imports=imports, room=room, code=code), *map(str, words)],
        cwd=cwd, env={**environment(), **plain},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def calls_of(function, *arguments):
    """How many calls a function makes before it ends, however it ends: its time, told by the work."""
    count = 0

    def seen(_frame, event, _argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(seen)
    try:
        function(*arguments)
    except BatchpropError:
        return count
    finally:
        sys.setprofile(None)
    return count


def named(path, content):
    """Write bytes to a file in a folder, which is made as needed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
