"""Detects a process forked from one in which JAX has worked, where JAX would wait forever.

The threads of JAX do not survive a fork. The package imports this module first, so that it sees every fork.
"""

import os
import sys

_forked = [False]


def is_forked_from_jax() -> bool:
    """Return whether this process was forked from one in which JAX had worked."""
    return _forked[0]


def _after_fork() -> None:
    bridge = sys.modules.get("jax._src.xla_bridge")
    # JAX keeps its started backends there; a JAX that was only imported does no harm.
    _forked[0] = _forked[0] or bool(getattr(bridge, "_backends", None))


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)
