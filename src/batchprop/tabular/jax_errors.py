"""The errors of JAX, without importing it."""

import sys


def jax_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that JAX raises if a device fails; none if JAX is not imported."""
    return (sys.modules["jax"].errors.JaxRuntimeError,) if sys.modules.get("jax") else ()


def format_jax_error(error: Exception) -> str:
    """Describe a failure of JAX in one line.

    >>> format_jax_error(RuntimeError("RESOURCE_EXHAUSTED: Out of memory."))
    'JAX gave up (RESOURCE_EXHAUSTED: Out of memory)'
    """
    reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
    return f"JAX gave up ({reason[0].rstrip('.')})"
