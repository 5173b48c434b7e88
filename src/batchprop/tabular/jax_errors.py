"""The errors of JAX, without importing it."""

import sys


def jax_errors() -> tuple[type[Exception], ...]:
    """Return what JAX raises where a device fails; nothing where JAX is not imported."""
    return (sys.modules["jax"].errors.JaxRuntimeError,) if sys.modules.get("jax") else ()


def format_jax_error(error: Exception) -> str:
    """Say in one line that JAX failed, and why.

    >>> format_jax_error(RuntimeError("RESOURCE_EXHAUSTED: Out of memory."))
    'JAX gave up (RESOURCE_EXHAUSTED: Out of memory)'
    """
    reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
    return f"JAX gave up ({reason[0].rstrip('.')})"
