"""Malicious files: archives, arrays and JSON with one defect, and valid checksums."""

import io
import json
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np

from batchprop.errors import BatchpropError

ROOM = 1 << 30
"""Bytes a bounded process may take beside what its imports took."""


def parts_of(path):
    """Return the parts of an archive by name."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive(parts, path, compression=zipfile.ZIP_STORED):
    """Write pairs of name and bytes as an archive; names may repeat."""
    pairs = parts.items() if isinstance(parts, dict) else parts
    with zipfile.ZipFile(path, "w", compression) as made:
        for name, content in pairs:
            # Not writestr by name, which warns about duplicate names.
            made.NameToInfo.clear()
            made.writestr(zipfile.ZipInfo(name), content, compress_type=compression)
    return path


def with_schema(saved, path, change):
    """Write a model's archive with its schema changed by `change`, in place or by its return value."""
    parts = parts_of(saved)
    schema = json.loads(parts["schema.json"])
    changed = change(schema)
    parts["schema.json"] = json.dumps(schema if changed is None else changed).encode()
    return archive(parts, path)


def with_part(saved, path, name, content):
    """Write a model's archive with one part added or replaced."""
    return archive({**parts_of(saved), name: content}, path)


def dicts(value):
    """Yield every dict in a JSON tree, outer ones first."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from dicts(inner)


def entry(schema, name):
    """Return the first node of a schema under a name, such as `coefs_`."""
    return next(result[name] for result in dicts(schema) if isinstance(result.get(name), dict))


def array_of(schema, name, place=0):
    """Return the file name of the array under a name in the schema, or in a list of that name."""
    files = [result["file"] for result in dicts(entry(schema, name)) if "file" in result]
    return files[place]


def node(value, number=1):
    """Make the node of a plain value."""
    return {
        "__class__": "str", "__module__": "builtins", "__loader__": "JsonNode",
        "content": json.dumps(value), "is_json": True, "__id__": number,
    }  # fmt: skip


def built_by(loader, module, name, number=2, **more):
    """Make a node that a loader turns into an object."""
    return {"__class__": name, "__module__": module, "__loader__": loader, "__id__": number, **more}


def npy(descr, shape, data=b"", version=b"\x01\x00"):
    """An array in NumPy's format with an arbitrary header."""
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header + data


def doubling_list(levels, number=10):
    """Nested lists of two, each second one only a reference: 2 ** levels in total."""
    inner = node(0, number)
    for level in range(levels):
        again = {"__id__": inner["__id__"], "__loader__": "ListNode", "__class__": "list",
                 "__module__": "builtins", "content": []}  # fmt: skip
        inner = built_by("ListNode", "builtins", "list", number + 1 + level, content=[inner, again])
    return inner


def overlapping(saved, path, copies):
    """An archive whose directory lists one part many times: copies times its bytes."""
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
    """Zeros in nested archives, a thousand times smaller with each level."""
    content = bytes(10_000_000)
    for level in range(depth):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
            made.writestr(f"{level}.npy", content)
        content = buffer.getvalue()
    return content


def cut(content, count, seed=0):
    """Return the content truncated at random positions and at both ends."""
    places = np.random.default_rng(seed).integers(2, len(content) - 1, count)
    return [content[:place] for place in (0, 1, len(content) - 1, *places)]


def flip_bits(content, count, seed=0):
    """Yield the content with one random bit flipped."""
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


def run_bounded(origin, imports, code, *words, cwd, room=ROOM):
    """Run code in a process with limited memory and time.

    The limit excludes the memory of the imports.
    """
    return origin.run(*words, cwd=cwd, start=_BOUNDED.format(imports=imports, room=room, code=code))


def count_calls(function, *arguments):
    """Count the calls that a function makes until it returns or fails, as a measure of time."""
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


def write_file(path, content):
    """Write bytes to a file, creating its folder if needed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
