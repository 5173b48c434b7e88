"""Kill a command at points where it changes a file, repeat it each time, and print what went wrong.

Runs in a process of its own, which imports and warms up once, and forks for each command. JAX does not
survive a fork, and takes seconds to start and compile: there one process runs all commands, and instead of
ending at a point it keeps what the folders hold there, which is what a process killed there leaves. See
test_kills.py.
"""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

import pandas as pd

from batchprop import files
from batchprop.data import memory
from batchprop.tabular.fit import members_of, network_of
from batchprop.tabular.persistence import load_pipeline

KILLED = 137
CHANGES = ("fsync", "ftruncate", "mkdir", "rename", "replace", "rmdir", "unlink", "write")


class Points:
    """Counts the points before, within and after each change of a file, and acts at each."""

    def __init__(self, act):
        self.act, self.passed, self.acts = act, 0, False
        self.originals = {name: getattr(os, name) for name in (*CHANGES, "fdopen")}

    def __enter__(self):
        for name in CHANGES:
            setattr(os, name, partial(self.call, getattr(os, name)))
        os.fdopen = partial(self.open, os.fdopen)
        return self

    def __exit__(self, *_):
        for name, original in self.originals.items():
            setattr(os, name, original)

    def pass_one(self):
        """Act, unless what changes a file is the act itself."""
        if not self.acts:
            self.acts = True
            self.passed += 1
            self.act(self.passed)
            self.acts = False

    def call(self, function, *args, **kwargs):
        """Call a function of `os`, between two points."""
        self.pass_one()
        result = function(*args, **kwargs)
        self.pass_one()
        return result

    def open(self, fdopen, descriptor, mode="r", *, encoding=None, newline=None):
        """Open a file, whose writes have a point in their middle too."""
        if "r" in mode:
            return fdopen(descriptor, mode)
        raw = HalvedFile(descriptor, mode.replace("b", ""), self)
        file = io.BufferedWriter(raw)
        return file if "b" in mode else io.TextIOWrapper(file, encoding=encoding, newline=newline)


class HalvedFile(io.FileIO):
    """A file that is written in halves, with points around and between."""

    def __init__(self, descriptor, mode, points):
        super().__init__(descriptor, mode)
        self.points = points

    def write(self, data):
        """Write all of the data."""
        view = memoryview(data).cast("B")
        half = len(view) // 2
        for part in (view[:half], view[half:]):
            self.points.pass_one()
            super().write(part)
        self.points.pass_one()
        return len(view)


def run(words, stop=None, said="/dev/null"):
    """Run a command in a forked process, which ends at a point; return its exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1

    def end(passed):
        # As SIGKILL does: without any cleanup.
        if passed == stop:
            os._exit(KILLED)

    try:
        with Points(end) as points, open(said, "w") as output:  # noqa: PTH123
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            main(words)
    except SystemExit as error:
        code = int(error.code or 0)
    finally:
        Path(os.environ["POINTS"]).write_text(str(points.passed))
        os._exit(code)


def run_here(words, said="/dev/null"):
    """Run a command in this process; return its exit code."""
    shown = sys.stdout, sys.stderr
    try:
        with open(said, "w") as output:  # noqa: PTH123
            sys.stdout = sys.stderr = output
            main(words)
    except SystemExit as error:
        return int(error.code or 0)
    finally:
        sys.stdout, sys.stderr = shown
    return 1


def main(words):
    """Run a command in this process."""
    from batchprop.cli.app import main as run_app

    sys.argv[1:] = words
    run_app()


def contents(folder, but=()):
    """The files and folders in a folder and below, with the bytes of files."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if path.relative_to(folder).parts[0] not in but
    }


def result_of(work):
    """What a command gives: of a model, what does not tell the time, and all other files."""
    models = [model_of(work / name) for name in ("m", "u") if (work / name).exists()]
    trials = sorted(path.name for path in work.glob("u.trials/*"))
    return models, trials, contents(work, but={"m", "u", "u.trials"})


def model_of(folder):
    """What a model's folder holds, but for what tells the time."""
    history = pd.read_csv(folder / "history.csv").drop(columns="seconds").to_numpy().tobytes()
    networks = members_of(network_of(load_pipeline(folder)))
    weights = [coef.tobytes() for network in networks for coef in network.coefs_]
    predictions = (folder / "test-predictions.csv").read_bytes()
    return weights, history, predictions, sorted(path.name for path in folder.iterdir())


def restore(folder, kept):
    """Give a folder what was kept of it."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(kept, folder, dirs_exist_ok=True)


def kill_everywhere(words, again, *, count, part, seed, here):
    """Kill a command at some points, or at all of a part, and repeat it; return points and what was wrong."""
    work, scratch = Path.cwd(), Path(tempfile.gettempdir())
    before = shutil.copytree(work, scratch.parent / "before")
    said, kept = scratch.parent / "said", scratch.parent / "kept"

    def keep(passed):
        shutil.copytree(work, kept / f"{passed}/work")
        shutil.copytree(scratch, kept / f"{passed}/scratch")

    if here:
        with Points(keep) as counted:
            code = run_here(words, said=said)
        passed = counted.passed
    else:
        code = run(words, said=said)
        passed = int(Path(os.environ["POINTS"]).read_text())
    if code:
        return [], [f"undisturbed: {code}, {said.read_text()}"]
    whole = result_of(work)
    points = range(1, passed + 1)
    chance = random.Random(seed)  # noqa: S311 no secret
    stops = sorted(chance.sample(points, min(count, len(points)))) if count else list(points)[slice(*part)]
    wrong = []
    for stop in stops:
        if here:
            restore(work, kept / f"{stop}/work")
            restore(scratch, kept / f"{stop}/scratch")
        else:
            restore(work, before)
            if (code := run(words, stop)) != KILLED:
                wrong.append(f"{stop}: it ended with {code}")
        if code := (run_here if here else run)(again, said=said):
            wrong.append(f"{stop}: {code}, {said.read_text()}")
        elif result_of(work) != whole:
            wrong.append(f"{stop}: other results: {sorted(contents(work))}")
        elif left := sorted(contents(scratch)):
            wrong.append(f"{stop}: left in the temporary folder: {left}")
    return stops, wrong


def drive(request):
    """Warm up, kill, and print the result."""
    tempfile.tempdir = os.environ["TMPDIR"]
    asked = json.loads(request)
    if asked.pop("streams"):
        memory.WORKING_FACTOR = 10**9
    # A model predicts on the engine that it was trained on.
    asked["here"] = "jax" in asked["prepare"]
    if asked["here"]:
        # The process that wrote what a command finds is this one.
        files._is_dead = lambda process: True  # noqa: ARG005
    if run_here(asked.pop("prepare")):
        sys.exit("the first training failed")
    if not asked.pop("keep"):
        shutil.rmtree("m")
    stops, wrong = kill_everywhere(**asked)
    sys.stdout.write(json.dumps({"stops": len(stops), "wrong": wrong}))
