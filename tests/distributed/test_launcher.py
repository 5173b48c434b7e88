"""The launcher: a lost process lets all start again, a stuck one is named, signals come to all."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from batchprop.distributed import launcher
from batchprop.distributed.watchdog import EXIT_CODE
from batchprop.errors import ParameterError
from tests.distributed.conftest import environment


def run(script: str, n_processes: int = 2, **options: Any) -> int:
    """Run a few lines of Python in processes without JAX."""
    return launcher.launch([sys.executable, "-c", script], n_processes, device="cpu", **options)


def test_killed_processes_end_as_the_undisturbed_fit(ended: Path) -> None:
    assert json.loads((ended / "survivor-2.json").read_text()) == {
        "code": 0,
        "told": ["process 0 was lost (killed by SIGKILL): all start again (1 of 3)"],
    }
    ends = [(ended / f"survivor-2-{index}.txt").read_text().split() for index in range(2)]
    assert [restarts for restarts, _, _ in ends] == ["1", "1"]
    assert len({digest for _, *digests in ends for digest in digests}) == 1


def test_processes_whose_link_is_cut_end(ended: Path) -> None:
    if (refused := ended / "cut-refused.txt").exists():
        pytest.skip(refused.read_text())
    how = json.loads((ended / "cut_link-2.json").read_text())
    # Each by itself, after two seconds without a sign of the other: not by the alarm after a minute.
    assert how["code"] == EXIT_CODE
    assert how["told"] in [[f"process {index} gave up on the others"] for index in range(2)]


# A process without JAX, whose peer's signs of life do not change: what a stopped process looks like.
STUCK = """
import json, signal, types
from batchprop.distributed import watchdog
watchdog._SIGN_SECONDS = 0.05
class Client:
    signs = {1: '{"number": 5, "chunks": 2, "waits": true}'}
    def key_value_set(self, key, text, allow_overwrite):
        self.signs[0] = text
    def key_value_dir_get(self, folder):
        return [(f"{folder}{process}", text) for process, text in self.signs.items()]
dog = watchdog.Watchdog(Client(), types.SimpleNamespace(index=0, count=2, waits=1), 0.1)
with dog.watch():
    dog.note()
    signal.pause()
"""


def test_watchdog_names_the_stuck_process() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", STUCK], env=environment(), capture_output=True, text=True, check=False
    )
    assert ended.returncode == EXIT_CODE
    assert ended.stderr.startswith("batchprop: process 0: the steps have not gone on for")
    assert "process 1 gives no sign of life; see that machine, or raise step_timeout" in ended.stderr


def test_error_does_not_start_again(capfd: pytest.CaptureFixture[str]) -> None:
    told = list[str]()
    assert run("print('once'); raise SystemExit(3)", tell=told.append) == 3
    assert capfd.readouterr().out == "once\n"  # of process 0 alone
    assert told == []


def test_restarts_end(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    told = list[str]()
    # First process 1 is lost, then process 0, each once process 0 has printed.
    script = (
        "import os, pathlib, signal\n"
        "restarts, process = os.environ['BATCHPROP_RESTARTS'], os.environ['BATCHPROP_PROCESS_ID']\n"
        f"printed = pathlib.Path({str(tmp_path)!r}, restarts)\n"
        "print(restarts, flush=True)\n"
        "if process == '0': printed.touch()\n"
        "while not printed.exists(): pass\n"
        "if process == '01'[1 - int(restarts)]: os.kill(os.getpid(), 9)\n"
        "signal.pause()"
    )
    assert run(script, max_restarts=1, tell=told.append) == EXIT_CODE
    assert capfd.readouterr().out == "0\n1\n"
    assert told == [
        "process 1 was lost (killed by SIGKILL): all start again (1 of 1)",
        "process 0 was lost (killed by SIGKILL): that was the last restart",
    ]


def test_signal_comes_to_all_processes(tmp_path: Path) -> None:
    # Each process says that it is ready, and ends by the signal with its own code.
    worker = (
        "import os, signal, sys; "
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143)); "
        "open(sys.argv[1] + os.environ['BATCHPROP_PROCESS_ID'], 'w').close(); "
        "signal.pause()"
    )
    code = (
        "import os, signal, sys, threading\n"
        "from batchprop.distributed.launcher import launch\n"
        "def terminate():\n"
        "    while not all(os.path.exists(sys.argv[1] + i) for i in '01'): pass\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "threading.Thread(target=terminate).start()\n"
        f"sys.exit(launch([sys.executable, '-c', {worker!r}, sys.argv[1]], 2, device='cpu'))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, f"{tmp_path}/"], env=environment(), check=False)
    assert ended.returncode == 128 + signal.SIGTERM


def test_every_process_has_its_own_gpu() -> None:
    environ = {"CUDA_VISIBLE_DEVICES": "2,3"}
    assert launcher._devices(2, None, environ) == [
        {"CUDA_VISIBLE_DEVICES": "2"},
        {"CUDA_VISIBLE_DEVICES": "3"},
    ]
    assert launcher._devices(3, "cpu", environ) == [{"JAX_PLATFORMS": "cpu"}] * 3
    with pytest.raises(ParameterError, match="processes=3 need a GPU each, and there are 2"):
        launcher._devices(3, None, environ)
