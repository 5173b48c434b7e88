"""The processes of one training: joined by ``initialize``, parted by ``shutdown``."""

from __future__ import annotations

import atexit
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from batchprop import __version__
from batchprop.distributed.clusters import Cluster, find_cluster
from batchprop.distributed.launcher import hold_lifeline
from batchprop.engines.forking import is_forked_from_jax
from batchprop.errors import BatchpropError, ParameterError, warn
from batchprop.processes import current, set_current

HEARTBEAT_SECONDS = 60
"""A process that gives no sign for so long is lost, and all others end."""

_PATIENCE_MS = 300_000
"""How long to wait at the start for the version of another process."""

_SHUTDOWN_SECONDS = 3600
"""How long the others wait at the end for process 0, which may still write a report."""


def initialize(
    coordinator: str | None = None,
    process_id: int | None = None,
    num_processes: int | None = None,
    *,
    bind: str | None = None,
    device: str | None = None,
    step_timeout: float | None = None,
    heartbeat_timeout: int = HEARTBEAT_SECONDS,
    start_timeout: int = 300,
) -> None:
    """Join this process with others: every fit from now on is a fit of all of them.

    It is called once in each process, before JAX computes anything. Without arguments the processes are those
    of the launcher that started this one: ``torchrun``, Slurm's ``srun``, Open MPI's ``mpirun`` or a TPU pod.
    The pods of a Kubernetes Indexed Job or JobSet do not know how many they are, so they give the arguments.
    What the processes tell each other is not encrypted: they belong in a private network.

    Args:
        coordinator: HOST:PORT, at which process 0 listens; the same for all.
        process_id: the number of this process, from 0.
        num_processes: how many there are; with 1 nothing changes.
        bind: the address at which process 0 listens, if it is not that of ``coordinator``.
        device: ``"cpu"``, ``"gpu"``, ``"tpu"``, or None for JAX's default; one device for each process.
        step_timeout: seconds that a chunk of steps may take before the run ends, and the process that is
            stuck is named; by default 20 times the median, and at least a minute.
        heartbeat_timeout: seconds without a sign of a process after which it is lost, and all others end.
        start_timeout: seconds to wait for all processes at the start.

    Raises:
        ParameterError: an argument is missing or not allowed.
        BatchpropError: JAX is not installed or has computed already, the processes cannot reach each other,
            or they have different versions of batchprop.
    """
    if is_active():
        raise BatchpropError("distributed.initialize was called before: call it once, or shutdown() first")
    cluster = find_cluster(os.environ)
    if coordinator is None and cluster is None:
        raise ParameterError(
            "`coordinator` is missing, and no launcher that started this process is known: give "
            "coordinator='HOST:PORT', process_id and num_processes, or start with torchrun, srun or mpirun"
        )
    if cluster is not None:
        coordinator = coordinator or cluster.coordinator
        process_id = cluster.process_id if process_id is None else process_id
        num_processes = num_processes or cluster.n_processes
    _check_arguments(coordinator, process_id, num_processes, step_timeout)
    if num_processes == 1:
        return
    hold_lifeline(os.environ)
    _connect(
        Cluster("", coordinator, process_id, num_processes)
        if cluster is None
        else cluster._replace(coordinator=coordinator, process_id=process_id, n_processes=num_processes),
        bind,
        heartbeat_timeout_seconds=heartbeat_timeout,
        initialization_timeout=start_timeout,
    )
    try:
        _join(device, step_timeout)
    except BaseException:
        shutdown()
        raise


def _check_arguments(coordinator: Any, process_id: Any, num_processes: Any, step_timeout: Any) -> None:
    if coordinator is not None and not (
        isinstance(coordinator, str) and coordinator.rpartition(":")[2].isdecimal()
    ):
        raise ParameterError(
            f"coordinator={coordinator!r} is not allowed: give HOST:PORT, as '10.0.0.1:29400'"
        )
    for name, value, least in (("process_id", process_id, 0), ("num_processes", num_processes, 1)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise ParameterError(f"{name}={value!r} is not allowed: give an integer of at least {least}")
    if process_id is not None and num_processes is not None and process_id >= num_processes:
        raise ParameterError(
            f"process_id={process_id} is not allowed: with num_processes={num_processes} give 0 to "
            f"{num_processes - 1}"
        )
    if coordinator is not None:
        for name, value in (("process_id", process_id), ("num_processes", num_processes)):
            if value is None:
                raise ParameterError(f"`{name}` is missing: give it with `coordinator`")
    if step_timeout is not None and not step_timeout > 0:
        raise ParameterError(f"step_timeout={step_timeout!r} is not allowed: give seconds above 0, or None")


def _connect(cluster: Cluster, bind: str | None, **settings: Any) -> None:
    try:
        import jax
    except ModuleNotFoundError as error:
        raise BatchpropError(
            "more than one process needs JAX, which is not installed: pip install 'batchprop[jax]'"
        ) from error
    if is_forked_from_jax():
        raise BatchpropError(
            "JAX does not work in a process forked from one that has it: start processes with 'spawn'"
        )
    # JAX's own handler of SIGTERM would replace that of Python, which lets a fit end and save.
    configure: Callable[..., None] = jax.config.update
    configure("jax_enable_preemption_service", False)
    try:
        cluster = _find_coordinator(cluster, settings["initialization_timeout"])
        jax.distributed.initialize(
            cluster.coordinator,
            cluster.n_processes,
            cluster.process_id,
            coordinator_bind_address=bind or _bind_address(cluster.coordinator, cluster.process_id),
            cluster_detection_method=cluster.method,
            local_device_ids=cluster.local_id,
            shutdown_timeout_seconds=_SHUTDOWN_SECONDS,
            **settings,
        )
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        if "before any JAX calls" in reason:
            raise BatchpropError(
                "JAX has computed in this process already, and its devices cannot be joined with others any "
                "more: call distributed.initialize first"
            ) from error
        raise BatchpropError(
            f"the processes could not be joined ({reason}): see that all {cluster.n_processes or ''} are "
            f"started and reach {cluster.coordinator or 'process 0'}; a variable such as http_proxy may be "
            "in the way"
        ) from error
    _leave_well()


def _find_coordinator(cluster: Cluster, timeout: int) -> Cluster:
    """Return the launcher with what it leaves JAX to find out, so that process 0 knows its address."""
    if cluster.coordinator is not None:
        return cluster
    # Without a public name: JAX's own detection, which would let process 0 listen at every address.
    from jax._src.clusters import ClusterEnv

    coordinator, n_processes, process_id, devices = ClusterEnv.auto_detect_unset_distributed_params(
        None, cluster.n_processes, cluster.process_id, None, cluster.method, timeout
    )
    local_id = cluster.local_id if devices is None else devices[0]
    return cluster._replace(
        coordinator=coordinator, process_id=process_id, n_processes=n_processes, local_id=local_id
    )


def _bind_address(coordinator: str | None, process_id: int | None) -> str | None:
    """Return the address at which process 0 listens: that of the coordinator, if others reach it there."""
    if (chosen := os.environ.get("JAX_COORDINATOR_BIND_ADDRESS")) or coordinator is None:
        return chosen
    host, _, port = coordinator.rpartition(":")
    if process_id != 0 or not _is_loopback_name(host):
        return coordinator
    warn(
        f"this machine takes its name {host!r} for {socket.gethostbyname(host)}, which others do not reach, "
        "so process 0 listens at every address: give the coordinator as an address, or mend the name in "
        "/etc/hosts"
    )
    return f"[::]:{port}"


def _is_loopback_name(host: str) -> bool:
    """Whether a name, but for localhost, is that of this machine's loopback interface."""
    if host == "localhost" or host.startswith("127.") or "[" in host:
        return False
    try:
        return socket.gethostbyname(host).startswith("127.")
    except OSError:
        return False


def _join(device: str | None, step_timeout: float | None) -> None:
    """Let fits use the processes, once all have the same version."""
    import jax

    from batchprop.distributed.collectives import ConnectedProcesses
    from batchprop.distributed.watchdog import Watchdog
    from batchprop.engines.sharding import ProcessMesh

    state = _state()
    _check_versions(state)
    devices: dict[int, Any] = {}
    try:
        for each in jax.devices(device):
            devices.setdefault(each.process_index, each)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:120]
        raise BatchpropError(
            f"JAX finds no device for several processes ({reason}): give another `device`; on CPUs the name "
            f"of this machine, {socket.gethostname()}, must lead to its network address"
        ) from error
    if devices[0].platform == "cpu":
        _check_host_names(state)
    mesh = ProcessMesh([devices[process] for process in sorted(devices)])
    with _without_output():
        # The first of a program's collectives prints a line.
        mesh.largest(np.zeros(1, np.int64))
    watchdog = Watchdog(state.client, mesh, step_timeout)
    set_current(ConnectedProcesses(state.client, state.process_id, state.num_processes, mesh, watchdog))


def _check_versions(state: Any) -> None:
    """Refuse other versions, before a device is asked for."""
    import jax

    versions = [text.split() for text in _exchange(state, "version", f"{__version__} {jax.__version__}")]
    for process, version in enumerate(versions):
        if version != versions[0]:
            raise BatchpropError(
                f"process {process} has batchprop {version[0]} with JAX {version[1]}, and process 0 has "
                f"{versions[0][0]} with {versions[0][1]}: install the same versions everywhere"
            )


def _check_host_names(state: Any) -> None:
    """Refuse a machine that others would look for on their own loopback interface, and wait for."""
    name = socket.gethostname()
    interface = "loopback" if _is_loopback_name(name) else "network"
    machines = [text.split() for text in _exchange(state, "name", f"{name} {interface}")]
    if len({name for name, _ in machines}) == 1:
        return  # on one machine its loopback interface leads from each process to the others
    for process, (host, leads_to) in enumerate(machines):
        if leads_to == "loopback":
            raise BatchpropError(
                f"the machine of process {process} takes its own name, {host}, for its loopback interface, "
                "where other machines do not reach its sums: give the name its network address in its "
                "/etc/hosts"
            )


def _exchange(state: Any, what: str, own: str) -> list[str]:
    """Return a text of each process, before there is a device."""
    state.client.key_value_set(f"batchprop-{what}/{state.process_id}", own)
    return [
        state.client.blocking_key_value_get(f"batchprop-{what}/{process}", _PATIENCE_MS)
        for process in range(state.num_processes)
    ]


def _state() -> Any:
    # Without a public name: the client of the coordination service, which stores texts.
    from jax._src.distributed import global_state

    return global_state


@contextmanager
def _without_output() -> Iterator[None]:
    """Let what libraries write to the standard output in the block go nowhere."""
    sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:
        yield  # there is no standard output
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


_HOOKED = [False]


def _leave_well() -> None:
    """Part the processes at the exit, unless this one fails: then its peers must not wait for it."""
    if _HOOKED[0]:
        return
    _HOOKED[0] = True
    failed, hook = list[bool](), sys.excepthook

    def note(*args: Any) -> None:
        failed.append(True)
        hook(*args)

    sys.excepthook = note
    atexit.register(lambda: None if failed else shutdown())


def shutdown() -> None:
    """Part this process from the others, once all have come so far; without others it does nothing."""
    processes = current()
    set_current(None)
    if processes.count > 1:
        processes.close()
    if "jax" in sys.modules:
        import jax

        part: Callable[[], None] = jax.distributed.shutdown
        part()


def is_active() -> bool:
    """Whether this process trains together with others."""
    return current().count > 1


def process_index() -> int:
    """Return the number of this process, from 0; process 0 prints and writes."""
    return current().index


def n_processes() -> int:
    """Return the number of processes that train together; 1 without ``initialize``."""
    return current().count
