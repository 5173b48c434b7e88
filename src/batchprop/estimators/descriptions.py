"""Functions and objects as plain data, which is the same in every process and differs where results differ.

A function is its bytecode and what it refers to: defaults, closure, attributes, and the global names that it
loads. An object is its class and its state, taken apart as pickle would. No address, no order of a set and no
path of a source file enters. What an installed package offers is its name, and a function's own bytecode.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import itemgetter
from pathlib import Path
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

import numpy as np

from batchprop.errors import ParameterError

MAX_PARTS = 100_000
"""An object of more parts than this is not compared: it would take seconds."""

MAX_SHOWN = 200
"""A text of more characters, and a collection of more parts, are kept as their checksum."""

_PYTHON = f"Python {sys.version_info.major}.{sys.version_info.minor}"
_SCALARS = {type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented)}
_MISSING = object()


def describe(parameter: str, value: Any) -> Any:
    """Return dicts, lists and text that are equal for two values if they hold the same code and state.

    Args:
        parameter: its name, for the error.
        value: a callable, or any object.

    Raises:
        ParameterError: a part of the value has a state that cannot be read, and so not be compared.

    Example:
        >>> from functools import partial
        >>> describe("scoring", partial(max, 1))["args"]
        ['1']
        >>> describe("scoring", lambda x: x + 1) == describe("scoring", lambda x: x + 1)
        True
        >>> describe("scoring", lambda x: x + 1) == describe("scoring", lambda x: x + 2)
        False
    """
    describer = _Describer(parameter)
    try:
        return describer.describe(value)
    except RecursionError:
        raise describer.refusal(value, "is nested too deeply") from None


def checksum(plain: Any) -> str:
    """Return a short checksum of plain data."""
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


class _Describer:
    """Describes one value; remembers the objects that it has seen, so that cycles end."""

    def __init__(self, parameter: str) -> None:
        self._path = [parameter]
        # The objects are kept as well: the id of one that is gone may be given to another.
        self._seen: dict[int, tuple[int, Any]] = {}
        self._open: dict[int, int] = {}
        self._n_parts = 0

    def describe(self, value: Any) -> Any:
        self._n_parts += 1
        if self._n_parts > MAX_PARTS:
            raise self.refusal(value, f"has more than {MAX_PARTS:,} parts")
        if (text := self._scalar(value)) is not None:
            return _shorten(text)
        if type(value) in (tuple, list, dict, MappingProxyType):
            # Not remembered: whether two equal lists are one object is no part of what they are.
            return self._collection(value)
        if id(value) in self._seen:
            return f"object {self._seen[id(value)][0]}"
        self._seen[id(value)] = len(self._seen), value
        describers = (describer for kind, describer in _DESCRIBERS.items() if isinstance(value, kind))
        return _shorten(next(describers, _Describer._state)(self, value))

    def _scalar(self, value: Any) -> Any:
        """A value without parts as text; a set as the sorted texts of its parts, as its order changes."""
        if type(value) in _SCALARS:
            return hex(value) if type(value) is int and abs(value) >= 2**64 else repr(value)
        if isinstance(value, np.generic) and not value.dtype.hasobject:
            return f"{value.dtype.str} {value.item()!r}"
        if type(value) in (set, frozenset):
            return sorted(json.dumps(_Describer(self._path[0]).describe(part)) for part in value)
        if type(value) is np.ndarray and not value.dtype.hasobject:
            data = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()[:16]
            return f"array {value.shape} of {value.dtype}, sha256 {data}"
        return None

    def _collection(self, value: Any) -> Any:
        if id(value) in self._open:
            return f"collection {self._open[id(value)]} around it"
        self._open[id(value)] = len(self._open)
        named = not isinstance(value, tuple | list)
        result = self._describe_items(value) if named else self._describe_parts(value)
        del self._open[id(value)]
        return _shorten(result)

    def _tuple(self, value: Any) -> Any:
        if hasattr(value, "_asdict"):
            # No field can have the name of a keyword.
            return self._describe_items({"class": type(value), **value._asdict()})
        return self._state(value)

    def _method(self, value: Any) -> Any:
        return self._describe_items({"self": value.__self__, "function": value.__func__})

    def _builtin(self, value: Any) -> Any:
        if isinstance(value.__self__, ModuleType | None):
            return self._state(value)
        return self._describe_items({"self": value.__self__, "method": value.__name__})

    def _partial(self, value: Any) -> Any:
        return self._describe_items({"function": value.func, "args": value.args, "keywords": value.keywords})

    def _property(self, value: Any) -> Any:
        return self._describe_parts((value.fget, value.fset, value.fdel))

    def _function(self, function: FunctionType) -> dict[str, Any]:
        name = _library_name(function)
        if name is not None:
            # What a library's function refers to is the library's own: its version is not compared.
            own = getattr(inspect.unwrap(function), "__code__", function.__code__)
            return {"function": name, "code": _code(own, function.__doc__)}
        code = function.__code__
        cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
        parts = {
            "defaults": function.__defaults__ or (),
            "keyword_defaults": function.__kwdefaults__ or {},
            "closure": {name: _content(cell) for name, cell in cells},
            "attributes": {name: part for name, part in vars(function).items() if name != "__wrapped__"},
            # Not by __module__, which functools.wraps takes over from another function.
            "globals": {}
            if _is_library(function.__globals__.get("__name__", ""))
            else dict(_globals(function)),
        }
        filled = {name: self._part(name, values) for name, values in parts.items() if values}
        return {"function": function.__qualname__, "code": _code(code, function.__doc__), **filled}

    def _class(self, cls: type) -> Any:
        if _is_library(cls.__module__):
            return f"{cls.__module__}.{cls.__qualname__}"
        bases = [base for base in cls.__bases__ if base is not object]
        own = {name: part for name, part in vars(cls).items() if _is_own(name, part)}
        return {"class": cls.__qualname__, **self._describe_items({"__bases__": bases, **own})}

    def _state(self, value: Any) -> Any:
        """Take an object apart as pickle does."""
        if (name := _library_name(value)) is not None:
            return name
        if _is_library(type(value).__module__):
            # A decorator of a library, as functools.lru_cache, jax.jit or numba.njit, changes no result.
            for name in ("__wrapped__", "py_func"):
                if callable(function := getattr(value, name, None)):
                    return self._describe_items({"type": type(value), "function": function})
        try:
            reduced = value.__reduce_ex__(4)
        except Exception as error:
            raise self.refusal(value, f"has a state that cannot be read ({error})") from error
        if isinstance(reduced, str):
            return self._global(value, reduced)
        rebuild, args, state, items, entries = (*reduced, None, None, None)[:5]
        parts = {
            "type": type(value),
            "function": None if getattr(rebuild, "__module__", "") == "copyreg" else rebuild,
            "args": tuple(part for part in args if part is not type(value)),
            "state": state,
            "items": None if items is None else list(items),
            "entries": None if entries is None else dict(entries),
        }
        return self._describe_items(
            {name: part for name, part in parts.items() if part is not None and part != ()}
        )

    def _global(self, value: Any, name: str) -> str:
        """An object that pickle keeps as the name of a global."""
        module = getattr(value, "__module__", None) or type(value).__module__
        if not _is_library(module):
            raise self.refusal(value, "is known by its name alone")
        return f"{module}.{name}"

    def _describe_items(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        items = list(values.items())
        if all(isinstance(key, str) for key in values):
            # As keyword arguments, which may come in any order.
            items.sort(key=itemgetter(0))
        return {
            key if isinstance(key, str) else json.dumps(self.describe(key)): self._part(str(key), value)
            for key, value in items
        }

    def _describe_parts(self, values: Iterable[Any]) -> list[Any]:
        return [self._part(str(number), value) for number, value in enumerate(values)]

    def _part(self, name: str, value: Any) -> Any:
        self._path.append(name)
        result = self.describe(value)
        self._path.pop()
        return result

    def refusal(self, value: Any, reason: str) -> ParameterError:
        """Return the error for a part that cannot be compared."""
        return ParameterError(
            f"checkpoint does not go with this {self._path[0]}: its part {'.'.join(self._path)}, of the type "
            f"{type(value).__module__}.{type(value).__qualname__}, {reason}, so a resumed fit could not tell "
            "whether it is the same: give a function, a functools.partial or an object that depends on "
            "numbers, text, arrays and functions alone, or leave out checkpoint"
        )


_DESCRIBERS: dict[type, Callable[[_Describer, Any], Any]] = {
    tuple: _Describer._tuple,
    type: _Describer._class,
    FunctionType: _Describer._function,
    MethodType: _Describer._method,
    BuiltinFunctionType: _Describer._builtin,
    functools.partial: _Describer._partial,
    property: _Describer._property,
    functools.cached_property: lambda describer, cached: describer.describe(cached.func),
    ModuleType: lambda _, module: f"module {module.__name__}",
    CodeType: lambda _, code: _code(code),
}
"""How each type is described; every other object by its state."""


def _code(code: CodeType, doc: str | None = None) -> str:
    return f"sha256 {checksum(_code_parts(code, doc))} of {_PYTHON}"


def _code_parts(code: CodeType, doc: str | None = None) -> list[Any]:
    """What a code object computes: without names of files, numbers of lines and the docstring."""
    constants = [
        _code_parts(part) if isinstance(part, CodeType) else _constant(part)
        for number, part in enumerate(code.co_consts)
        if number or doc is None or part != doc
    ]
    n_arguments = code.co_argcount + code.co_kwonlyargcount
    counts = [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & 0x3FF]
    handlers = getattr(code, "co_exceptiontable", b"").hex()
    names = [code.co_names, code.co_varnames[:n_arguments], code.co_freevars, code.co_cellvars]
    return [code.co_code.hex(), handlers, counts, [list(some) for some in names], constants]


def _constant(value: Any) -> Any:
    if isinstance(value, frozenset):
        return sorted(json.dumps(_constant(part)) for part in value)
    return [_constant(part) for part in value] if isinstance(value, tuple) else f"{type(value)} {value!r}"


def _globals(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """The global values that a function loads, those of modules of the user's own by their attributes."""
    for name, *attributes in _iter_loaded_names(function.__code__):
        value = function.__globals__.get(name, _MISSING)
        path = name
        for attribute in attributes:
            if not isinstance(value, ModuleType) or _is_library(value.__name__):
                break
            value, path = getattr(value, attribute, _MISSING), f"{path}.{attribute}"
        if value is not _MISSING:
            yield path, value


def _iter_loaded_names(code: CodeType) -> Iterator[list[str]]:
    """The global names in a code object, each with the attributes that are read from it at once."""
    names: list[str] = []
    for instruction in dis.get_instructions(code):
        if names and instruction.opname in {"LOAD_ATTR", "LOAD_METHOD"}:
            names.append(instruction.argval)
            continue
        if names:
            yield names
        names = [instruction.argval] if instruction.opname in {"LOAD_GLOBAL", "LOAD_NAME"} else []
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _iter_loaded_names(part)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None


def _is_own(name: str, part: Any) -> bool:
    """Whether an attribute of a class was written by its author, and is not Python's own bookkeeping."""
    if isinstance(part, MemberDescriptorType | GetSetDescriptorType) or name == "_abc_impl":
        return False
    dunder = name.startswith("__") and name.endswith("__")
    return not dunder or isinstance(part, FunctionType | staticmethod | classmethod | property)


def _library_name(value: Any) -> str | None:
    """The name under which an installed package offers a value, if it does."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or not _is_library(module):
        return None
    place: Any = sys.modules.get(module)
    for attribute in name.split("."):
        place = getattr(place, attribute, None)
    return f"{module}.{name}" if place is value else None


@functools.cache
def _is_library(module: str) -> bool:
    """Whether a module is of the standard library, of an installed package, or ours."""
    top = module.partition(".")[0]
    if top == "batchprop" or (top in sys.stdlib_module_names and top != "__main__"):
        return True
    package = sys.modules.get(top)
    paths = [getattr(package, "__file__", None), *getattr(package, "__path__", ())]
    return any({"site-packages", "dist-packages"} & set(Path(path).parts) for path in paths if path)


def _shorten(plain: Any) -> Any:
    if len(plain) <= MAX_SHOWN:
        return plain
    what = "characters" if isinstance(plain, str) else "parts"
    return f"{len(plain)} {what}, sha256 {checksum(plain)}"
