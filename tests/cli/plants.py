"""Run commands with links, pipes, folders and files of others planted under every name that they use.

The names are those that a traced run writes, renames or removes. Runs in a process of its own, which cannot
remove the trace again. See test_plants.py.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import signal
import stat
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import pytest

from batchprop import files
from batchprop.cli import train_command
from batchprop.data import memory
from batchprop.errors import BatchpropError
from tests.cli.kills import main

SECONDS = 5
KINDS = ("link to a file", "link to a folder", "link to nothing", "pipe", "folder", "file", "hard link")
REPLACED = {"file", "hard link"}
"""What may be replaced under a final name: a regular file."""

CHANGES = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "shutil.rmtree"}


class Trace:
    """The paths that are written, renamed or removed while it is on."""

    def __init__(self):
        self.paths = None
        sys.addaudithook(self.hear)

    def hear(self, event, args):
        """Note the paths of an event."""
        # Within a folder that is removed, names are relative to it.
        if self.paths is None or (event in {"os.remove", "os.rmdir"} and args[1] != -1):
            return
        writes = event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes or event in CHANGES:
            for path in args[: 2 if event == "os.rename" else 1]:
                if isinstance(path, str | os.PathLike):
                    self.paths.append(Path.cwd() / path)

    @contextlib.contextmanager
    def on(self):
        """Note paths within the block."""
        self.paths = found = list[Path]()
        try:
            yield found
        finally:
            self.paths = None


class Plants:
    """Plants one thing under a name: at once, or as soon as its folder is made."""

    def __init__(self, victims):
        self.victims, self.path, self.kind = victims, Path(), ""
        self.mkdir = os.mkdir
        os.mkdir = self.mkdir_and_plant

    def mkdir_and_plant(self, path, *args, **kwargs):
        """Make a folder, and plant in it."""
        self.mkdir(path, *args, **kwargs)
        if self.kind and Path.cwd() / path == self.path.parent:
            self.plant()

    def set(self, path, kind):
        """Plant, or wait for the folder."""
        self.path, self.kind = path, kind
        if path.parent.is_dir():
            if os.path.lexists(path):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            self.plant()

    def plant(self):
        """Plant what is set."""
        path, kind, self.kind = self.path, self.kind, ""
        if "link to" in kind:
            path.symlink_to(self.victims / kind.rpartition(" ")[2])
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            self.mkdir(path)
            (path / "precious").write_text("of somebody")
        elif kind == "file":
            path.write_text("of somebody")
        else:
            path.hardlink_to(self.victims / "file")


def state(path):
    """What a path is, without following a link, and what is in it."""
    if not os.path.lexists(path):
        return None
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return str(path.readlink())
    if stat.S_ISDIR(status.st_mode):
        return {inner.name: state(inner) for inner in sorted(path.iterdir())}
    return path.read_bytes() if stat.S_ISREG(status.st_mode) else stat.S_IFMT(status.st_mode)


def run(words):
    """Run a command; return its exit code and what it wrote on standard error."""
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            if words[0] == "log":
                log()
            elif words[0] == "interrupt":
                interrupt(words[1:])
            else:
                main(words)
        except SystemExit as error:
            code = int(error.code or 0)
        except BatchpropError as error:
            code = 1
            err.write(f"batchprop: {error}\n")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    return code, err.getvalue()


def log():
    """Fit with a log for TensorBoard."""
    import warnings

    import batchprop as bp

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log = bp.callbacks.TensorBoardLogger("runs")
        bp.MLPClassifier((2,), max_iter=1, callbacks=[log]).fit([[0.0], [1.0]] * 5, [0, 1] * 5)


def interrupt(words):
    """Train, and leave the checkpoints without the model."""
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(SystemExit):
        patch.setattr(train_command, "remove_checkpoints", lambda *_: None)
        main(words)
    shutil.rmtree("m")


def restore(work, before):
    """Put a folder back as it was."""
    for path in work.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    shutil.copytree(before, work, dirs_exist_ok=True, symlinks=True)


def try_name(name, kind, words, work, plants, outputs):
    """Run a command with a plant under a name; return what went wrong."""
    victims = state(plants.victims)
    plants.set(name, kind)
    was_there = not plants.kind
    planted = state(name) if was_there else None
    others = {path.name: state(path) for path in work.iterdir() if path.name not in outputs}
    code, said = run(words)
    plants.kind = ""
    wrong = []
    if state(plants.victims) != victims:
        wrong.append("what it leads to has changed")
    if code not in (0, 1) or (code and len(said.splitlines()) != 1):
        wrong.append(f"it ended with {code}: {said}")
    elif code and not any(word in said for word in (name.name, name.parent.name, *outputs)):
        wrong.append(f"the error does not name it: {said}")
    if was_there and kind not in REPLACED and state(name) != planted:
        wrong.append("the plant has changed")
    if {path.name: state(path) for path in work.iterdir() if path.name not in outputs} != others:
        wrong.append("something else has changed")
    return [f"{' '.join(words)}: {kind} at {name}: {text}" for text in wrong]


def hang(*_):
    """End the process, which no exception could be sure to do."""
    os.write(2, b"it hangs\n")
    os._exit(3)


def drive(request):
    """Trace each command, plant under each name, and print the number of runs and what went wrong."""
    tempfile.tempdir = os.environ["TMPDIR"]
    asked = json.loads(request)
    work = Path.cwd()
    victims = work.parent / "victims"
    patch = pytest.MonkeyPatch()
    # The same temporary names in every run, and a quick picture.
    patch.setattr("secrets.token_hex", lambda _: "00000000")
    patch.setattr("batchprop.callbacks.tensorboard.time", lambda: 0)
    draw = "batchprop.tabular.model_files.save_learning_curve"
    patch.setattr(draw, lambda *args: files.create_file(args[-1]).close())
    signal.signal(signal.SIGALRM, hang)
    trace, plants, chance = Trace(), Plants(victims), random.Random(0)  # noqa: S311 no secret
    names, wrong, runs = defaultdict[str, set[str]](set), list[str](), 0
    for turn, (words, outputs) in enumerate(asked["commands"]):
        if words[0] == "in parts":
            memory.WORKING_FACTOR = 10**9
            continue
        before = work.parent / "before"
        shutil.rmtree(before, ignore_errors=True)
        shutil.copytree(work, before)
        if words[0] == "interrupt":
            run(words)
            continue
        with trace.on() as paths:
            code, said = run(words)
        if code:
            wrong.append(f"undisturbed: {' '.join(words)}: {code}, {said}")
        scratch = Path(tempfile.gettempdir())
        here = [path for path in dict.fromkeys(paths) if work in path.parents or path.parent == scratch]
        if words[0] == "log":
            # A folder that the caller names and that others may use, too.
            here.remove(work / "runs")
        # Of the names that this command was tried with before, only a third again, in turns.
        before_now = names[words[0]].copy() if asked["kinds"] else set[str]()
        names[words[0]] |= {str(path) for path in here}
        for number, name in enumerate(here):
            if str(name) in before_now and (number + turn) % 3:
                continue
            at_top = name.relative_to(work.parent).parts[1]
            for kind in chance.sample(KINDS, asked["kinds"] or len(KINDS)):
                restore(work, before)
                wrong += try_name(name, kind, words, work, plants, {*outputs, at_top})
                restore(scratch, work.parent / "empty")
                runs += 1
        # The next command starts from what this one gives.
        restore(work, before)
        run(words)
    found = {command: sorted(paths) for command, paths in names.items()}
    sys.stdout.write(json.dumps({"runs": runs, "names": found, "wrong": wrong}))
