"""Arrays over several processes, one device of each: everyone has its own part, or the same whole."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from numpy.typing import NDArray

AXIS = "rows"
"""The name of the mesh's one axis: every process has its own rows."""

_make_array: Callable[..., Any] = jax.make_array_from_process_local_data
_specs: Callable[..., Any] = PartitionSpec


class ProcessMesh:
    """One device of each process, and the arrays that lie on them.

    Args:
        devices: one of each process, in their order.

    Attributes:
        mesh: of the devices.
        count: the number of processes.
        index: the number of this process.
        device: of this process.
        waits: how many calls of this process wait for others, or compute with them.
    """

    def __init__(self, devices: Sequence[Any]) -> None:
        self.mesh = Mesh(np.array(devices), (AXIS,))
        self.count, self.index = len(devices), jax.process_index()
        self.device = devices[self.index]
        self.waits = 0
        self._own, self._same = NamedSharding(self.mesh, _specs(AXIS)), NamedSharding(self.mesh, _specs())
        self._gather = jax.jit(lambda x: x, out_shardings=self._same)
        self._sum = jax.jit(partial(jnp.sum, axis=0), out_shardings=self._same)
        self._largest = jax.jit(partial(jnp.max, axis=0), out_shardings=self._same)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProcessMesh) and self.mesh == other.mesh

    def __hash__(self) -> int:
        return hash(self.mesh)

    @contextmanager
    def count_wait(self) -> Iterator[None]:
        """Count the block as one that waits for other processes, or computes with them."""
        self.waits += 1
        try:
            yield
        finally:
            self.waits -= 1

    def stack(self, own: Any) -> Any:
        """Return a global array whose first axis joins the arrays of the processes, all of one shape."""
        return _make_array(self._own, own)

    def same(self, value: Any) -> Any:
        """Return a global array that every process holds as a whole."""
        return _make_array(self._same, np.asarray(value))

    def gather(self, own: NDArray[Any]) -> NDArray[Any]:
        """Return the arrays of all processes, of one shape, with a first axis of the processes."""
        return self._collect(self._gather, own)

    def sum(self, own: NDArray[Any]) -> NDArray[Any]:
        """Return the sum over the processes of arrays of one shape."""
        return self._collect(self._sum, own)

    def largest(self, own: NDArray[Any]) -> NDArray[Any]:
        """Return the largest of each number over the processes."""
        return self._collect(self._largest, own)

    def _collect(self, program: Any, own: NDArray[Any]) -> NDArray[Any]:
        # Without x64, 64 bits would become 32.
        with self.count_wait(), jax.enable_x64(True), jax.transfer_guard("allow"):
            return np.asarray(program(self.stack(np.asarray(own)[None])))
