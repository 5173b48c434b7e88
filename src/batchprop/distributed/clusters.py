"""Launchers that started this process, by the variables that they set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from batchprop.errors import ParameterError

COORDINATOR, PROCESS_ID, N_PROCESSES = (
    "BATCHPROP_COORDINATOR",
    "BATCHPROP_PROCESS_ID",
    "BATCHPROP_NUM_PROCESSES",
)
"""The variables by which a process knows that ``launcher.launch`` started it."""


class Cluster(NamedTuple):
    """What a launcher tells its processes; None leaves it to JAX to find out.

    Attributes:
        name: of the launcher.
        coordinator: HOST:PORT of process 0.
        process_id: the number of this process.
        n_processes: how many there are.
        method: JAX's name of the way to find it out, or None.
        local_id: the number of this process on its machine, and of its GPU; None for JAX to find out.
    """

    name: str
    coordinator: str | None = None
    process_id: int | None = None
    n_processes: int | None = None
    method: str | None = None
    local_id: int | None = None


_TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def find_cluster(environ: Mapping[str, str]) -> Cluster | None:
    """Return the launcher of this process, or None.

    Args:
        environ: the variables of the process.

    Raises:
        ParameterError: a variable holds no number.

    Example:
        >>> variables = {
        ...     "RANK": "1",
        ...     "WORLD_SIZE": "4",
        ...     "MASTER_ADDR": "node0",
        ...     "MASTER_PORT": "29500",
        ... }
        >>> find_cluster(variables)
        Cluster(name='torchrun', coordinator='node0:29500', process_id=1, n_processes=4, ...)
        >>> find_cluster(
        ...     {"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2"}
        ... ).name
        'Slurm'
        >>> find_cluster({}) is None
        True
    """
    if COORDINATOR in environ:
        process_id, n_processes = _number(environ, PROCESS_ID), _number(environ, N_PROCESSES)
        return Cluster("batchprop", environ[COORDINATOR], process_id, n_processes)
    if all(name in environ for name in _TORCHRUN):
        rank, size, port = (_number(environ, name) for name in ("RANK", "WORLD_SIZE", "MASTER_PORT"))
        # The agent of torchrun may listen at this port itself.
        port += environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
        local_id = _number(environ, "LOCAL_RANK")
        return Cluster("torchrun", f"{environ['MASTER_ADDR']}:{port}", rank, size, local_id=local_id)
    # A single task is no cluster, nor is the script of a job that starts no step.
    if "SLURM_JOB_ID" in environ and _number(environ, "SLURM_STEP_NUM_TASKS") > 1:
        return Cluster("Slurm")
    if _number(environ, "OMPI_COMM_WORLD_SIZE") > 1:
        # Open MPI 4 tells where process 0 is; of others JAX asks mpi4py.
        return Cluster("Open MPI", method=None if "OMPI_MCA_orte_hnp_uri" in environ else "mpi4py")
    if "," in environ.get("TPU_WORKER_HOSTNAMES", ""):
        return Cluster("a TPU pod")
    return None


def _number(environ: Mapping[str, str], name: str) -> int:
    text = environ.get(name, "0")
    if not text.isdecimal():
        raise ParameterError(
            f"the variable {name}={text!r} of the launcher is no number: correct it, or unset it"
        )
    return int(text)
