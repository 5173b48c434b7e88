"""More than one process, on one machine or many: data parallelism on JAX's own distributed runtime.

Each process holds its own rows; a batch is of the rows of all, and every process takes the same steps. See
``docs/more-than-one-machine.md``.
"""

from batchprop.distributed.runtime import (
    initialize,
    is_active,
    n_processes,
    process_index,
    shutdown,
)

__all__ = ["initialize", "is_active", "n_processes", "process_index", "shutdown"]
