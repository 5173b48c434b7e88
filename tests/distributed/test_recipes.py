"""The recipes of the page: each command line, with the variables of its launcher, joins as it says."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import jax
import pandas as pd
import pytest

from batchprop.distributed import clusters, initialize, runtime
from batchprop.errors import BatchpropError
from batchprop.tabular import train_table
from tests.cli.commands import run
from tests.distributed.conftest import ROOT, environment

PAGE = (ROOT / "docs" / "more-than-one-machine.md").read_text(encoding="utf-8")
SLURM = {
    "SLURM_JOB_ID": "7", "SLURM_STEP_NODELIST": "10.0.0.1,10.0.0.2", "SLURM_NTASKS": "4", "SLURM_PROCID": "2",
    "SLURM_LOCALID": "0", "SLURM_STEP_NUM_TASKS": "4",
}  # fmt: skip
TORCHRUN = {
    "RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500",
    "TORCHELASTIC_USE_AGENT_STORE": "True",
}  # fmt: skip
OPEN_MPI = {
    "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_LOCAL_RANK": "0",
    "OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.0.0.1,10.148.0.1:34911",
}  # fmt: skip


class JoinedError(RuntimeError):
    """Ends a command where it would wait for the others."""


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """With what arguments JAX would join the processes."""
    calls = list[dict[str, Any]]()

    def join(coordinator: str, count: int, index: int, **options: Any) -> None:
        calls.append({"coordinator": coordinator, "count": count, "index": index, **options})
        raise JoinedError

    for name in (*SLURM, *TORCHRUN, *OPEN_MPI, clusters.COORDINATOR):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(jax.distributed, "initialize", join)
    monkeypatch.setattr(jax.config, "update", lambda *_: None)
    return calls


def recipe(start: str) -> list[str]:
    """Return the arguments of the page's command that starts so."""
    text = PAGE[PAGE.index(start) :].replace("\\\n", " ").splitlines()[0]
    words = shlex.split(text)
    return words[words.index("batchprop") + 1 :]


def jobset() -> dict[str, Any]:
    """Return the page's manifest."""
    yaml = pytest.importorskip("yaml")
    block = PAGE[PAGE.index("    apiVersion: jobset") : PAGE.index("**torchrun**")]
    manifest: dict[str, Any] = yaml.safe_load(block)
    return manifest


@pytest.mark.parametrize(
    ("start", "variables", "expected"),
    [
        ("srun batchprop", SLURM, ("10.0.0.1:61447", 4, 2)),
        ("$ torchrun", TORCHRUN, ("10.0.0.1:29501", 2, 1)),
        ("$ mpirun", OPEN_MPI, ("10.0.0.1:62624", 4, 0)),
        ("$ batchprop train data/*.parquet --target sold \\", {}, ("10.0.0.1:29400", 2, 0)),
    ],
)
def test_command_of_a_launcher_joins_its_processes(
    joined: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    start: str,
    variables: dict[str, str],
    expected: tuple[str, int, int],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert "could not be joined" in run(*recipe(start), code=1).stderr
    (call,) = joined
    assert (call["coordinator"], call["count"], call["index"]) == expected
    assert call["coordinator_bind_address"] == call["coordinator"]


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"TPU_WORKER_HOSTNAMES": "10.0.0.1,10.0.0.2"}, "a TPU pod"),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, None),
        ({**SLURM, "SLURM_STEP_NUM_TASKS": "1"}, None),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, "Open MPI"),
    ],
)
def test_launcher_is_known_by_its_variables(variables: dict[str, str], name: str | None) -> None:
    found = clusters.find_cluster(variables)
    assert (found and found.name) == name


def test_pod_of_the_jobset_joins_the_others(joined: list[dict[str, Any]]) -> None:
    manifest = jobset()
    (job,) = manifest["spec"]["replicatedJobs"]
    spec = job["template"]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert [each["name"] for each in container["env"]] == ["JOB_COMPLETION_INDEX"]
    words = [word.replace("$(JOB_COMPLETION_INDEX)", "3") for word in container["args"]]
    assert "could not be joined" in run(*words, code=1).stderr
    (call,) = joined
    host = f"{manifest['metadata']['name']}-{job['name']}-0-0.{manifest['metadata']['name']}"
    assert call["coordinator"] == f"{host}:29400"
    assert (call["count"], call["index"]) == (spec["completions"], 3)
    assert spec["completions"] == spec["parallelism"]


@pytest.mark.parametrize(("address", "listens"), [("127.0.1.1", "[::]:29400"), ("10.0.0.1", "node0:29400")])
def test_name_of_loopback_is_no_address_to_listen_at(
    joined: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, recwarn: Any, address: str, listens: str
) -> None:
    monkeypatch.setattr(socket, "gethostbyname", lambda _: address)
    with pytest.raises(BatchpropError, match="could not be joined"):
        initialize("node0:29400", 0, 2)
    assert joined[0]["coordinator_bind_address"] == listens
    assert ["'node0' for 127.0.1.1" in str(each.message) for each in recwarn] == [True] * (listens[0] == "[")


class Texts(dict[str, str]):
    """JAX's coordination service, with the texts of other processes."""

    key_value_set = dict.__setitem__

    def blocking_key_value_get(self, key: str, _: int) -> str:
        return self[key]


@pytest.mark.parametrize(("other", "refused"), [("node1 network", True), ("node0 loopback", False)])
def test_machine_that_others_do_not_reach_is_refused(
    monkeypatch: pytest.MonkeyPatch, other: str, refused: bool
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "node0")
    monkeypatch.setattr(socket, "gethostbyname", {"node0": "127.0.1.1"}.get)
    state = SimpleNamespace(client=Texts({"batchprop-name/1": other}), process_id=0, num_processes=2)
    message = "machine of process 0 takes its own name, node0, for its loopback"
    with pytest.raises(BatchpropError, match=message) if refused else nullcontext():
        runtime._check_host_names(state)


def test_actors_of_ray_train_as_one(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra ray is not installed")
    rng = pd.Series(range(400)) * 37 % 101
    pd.DataFrame({"x": rng, "z": rng % 7, "sold": (rng % 7 > 3)}).to_parquet(tmp_path / "table.parquet")
    settings: dict[str, Any] = {
        "target": "sold", "members": 1, "bins": 0, "dropout": 0, "epochs": 2, "batch_size": 64,
        "hidden": (8,), "schedule": "constant", "learning_rate": 0.01, "device": "cpu",
    }  # fmt: skip
    code = PAGE[PAGE.index("import ray\n") :].partition("```")[0]
    script = code.replace('target="sold"', f"**{settings!r}").replace("range(4)", "range(2)")
    script = script.replace("/data/*.parquet", f"{tmp_path}/*.parquet").replace("/shared", str(tmp_path))
    path = os.pathsep.join([environment()["PYTHONPATH"], *sys.path])
    # The path of a socket is short, and a test's own folder has a long name.
    with TemporaryDirectory(prefix="ray") as folder:
        ours = {"PYTHONPATH": path, "HOME": folder, "RAY_TMPDIR": folder, "RAY_USAGE_STATS_ENABLED": "0"}
        command, variables = [sys.executable, "-c", script], {**environment(), **ours}
        subprocess.run(command, cwd=tmp_path, env=variables, check=True, capture_output=True)
    alone = train_table(tmp_path / "table.parquet", **settings, engine="jax")
    losses = pd.read_csv(tmp_path / "model" / "history.csv")["loss"]
    assert losses.tolist() == pytest.approx([epoch.loss for epoch in alone.history], rel=1e-4)
