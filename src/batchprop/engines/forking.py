"""Forked processes: one forked from a process in which JAX has worked waits for JAX for ever.

The threads of JAX are not there after a fork. This module is imported with the package, before anybody forks.
"""

import os
import sys

_forked = [False]


def forked_from_jax() -> bool:
    """Return whether this process was forked from one in which JAX had begun to work."""
    return _forked[0]


def _after_fork() -> None:
    bridge = sys.modules.get("jax._src.xla_bridge")
    # What JAX has begun to work on is kept there; a JAX that was only imported does no harm.
    _forked[0] = _forked[0] or bool(getattr(bridge, "_backends", None))


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)
