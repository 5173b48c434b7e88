"""The compiled programs of a process: a bounded number, of which the least recently used is dropped first.

JAX keeps a program for as long as the function that it was compiled for. On a processor each takes about 60
memory maps and several megabytes, and Linux allows a process 65,530 maps: some hundred fits of different
shapes ended the process. Here each shape has a function of its own, and dropping it frees its program. What
JAX has traced of its own functions, as ``jnp.where``, stays in a cache without a bound, until it is cleared.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import jax
import numpy as np

MAX_PROGRAMS = 64
"""The most programs that a process keeps: several times those of a cross-validated search at any moment."""

MAX_TRACED = 2000
"""After how many new programs JAX's caches are cleared, those of the caller's programs too."""

MAX_MAPS_SHARE = 0.5
"""The share of the memory maps that Linux allows a process, above which they are after ``MAX_PROGRAMS``."""

_MAPS, _MAPS_ALLOWED = Path("/proc/self/maps"), Path("/proc/sys/vm/max_map_count")


class ProgramCache:
    """The programs in use, the most recently used last."""

    def __init__(self) -> None:
        self._programs: OrderedDict[Hashable, Callable[..., Any]] = OrderedDict()
        self._lock = Lock()
        self._traced = 0

    def __len__(self) -> int:
        return len(self._programs)

    def get(self, key: Hashable, make: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
        """Return the program of a key; make it, and drop others for it, if it is not there."""
        with self._lock:
            program = self._programs.get(key)
            if program is not None:
                self._programs.move_to_end(key)
                return program
            self._traced += 1
            if self._traced >= (MAX_PROGRAMS if _maps_share() > MAX_MAPS_SHARE else MAX_TRACED):
                # The programs kept would be compiled again in any case.
                self._programs.clear()
                clear_caches: Callable[[], None] = jax.clear_caches
                clear_caches()
                self._traced = 0
            if len(self._programs) >= MAX_PROGRAMS:
                self._programs.popitem(last=False)
            program = self._programs[key] = make()
            return program

    def clear(self) -> None:
        """Drop all programs."""
        with self._lock:
            self._programs.clear()


PROGRAMS = ProgramCache()
"""The programs of this process; another thread's too."""


def compile_by_shape(
    function: Callable[..., Any], *, n_static: int = 1, donate_argnums: Sequence[int] = ()
) -> Callable[..., Any]:
    """Return a function compiled by JAX for each shape of its arguments, of which the first are static."""

    @functools.wraps(function)
    def run(*args: Any) -> Any:
        static, traced = args[:n_static], args[n_static:]
        leaves, structure = jax.tree.flatten(traced)
        return PROGRAMS.get((run, static, structure, *map(_shape, leaves)), jit)(*args)

    def jit() -> Callable[..., Any]:
        # JAX shares programs between all that it compiles of one function: each shape gets another.
        another = functools.update_wrapper(functools.partial(function), function)
        return jax.jit(another, static_argnums=range(n_static), donate_argnums=donate_argnums)

    return run


def _shape(leaf: Any) -> Hashable:
    """Return what a program is compiled for of an argument; a Python number is one of NumPy's."""
    return (leaf.shape, leaf.dtype) if hasattr(leaf, "dtype") else ((), np.dtype(type(leaf)))


def _maps_share() -> float:
    """Return the memory maps of this process as a share of those allowed; 0 where nothing tells."""
    try:
        return _MAPS.read_bytes().count(b"\n") / int(_MAPS_ALLOWED.read_text())
    except (OSError, ValueError, ZeroDivisionError):
        return 0.0
