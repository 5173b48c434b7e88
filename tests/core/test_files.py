"""File locks and temporary files, with real and killed processes."""

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from batchprop import files
from batchprop.errors import DataError
from batchprop.files import LockOwner, cleanup_all, defer_signals, file_lock, temporary_folder

SOURCES = Path(__file__).parents[2] / "src"

HOLD = """
import sys
from batchprop.files import file_lock
with file_lock(sys.argv[1]) as killed:
    print("held", killed, flush=True)
    sys.stdin.readline()
print("free", flush=True)
"""

COUNT = """
import sys
from pathlib import Path
from batchprop import files
from batchprop.errors import DataError
from batchprop.files import file_lock
counter = Path(sys.argv[1] + ".txt")
done = 0
while done < 40:
    try:
        with file_lock(sys.argv[1]):
            counter.write_text(str(int(counter.read_text()) + 1))
            done += 1
    except DataError:
        pass
"""


@contextmanager
def process(code, path):
    """A separate process with the path as its argument."""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        try:
            yield running
        finally:
            running.kill()


def here():
    return socket.gethostname()


def test_second_process_is_refused_with_the_first_process_id(tmp_path):
    path = tmp_path / "model"
    with process(HOLD, path) as first:
        assert first.stdout.readline() == "held None\n"
        message = f"model is being written by process {first.pid}: wait for it, or name another with `path`$"
        with pytest.raises(DataError, match=message), file_lock(path):
            pass
        # The refusal leaves the first lock intact.
        with pytest.raises(DataError, match=f"process {first.pid}"), file_lock(path):
            pass
        first.stdin.write("\n")
        first.stdin.flush()
        assert first.stdout.readline() == "free\n"
    assert list(tmp_path.iterdir()) == []
    with file_lock(path) as killed:
        assert killed is None


def test_lock_of_a_killed_process_does_not_block(tmp_path):
    path = tmp_path / "model"
    with process(HOLD, path) as first:
        first.stdout.readline()
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert [file.name for file in tmp_path.iterdir()] == [".model.lock"]
        with file_lock(path) as killed:
            assert killed == LockOwner(first.pid, here())
            with process(HOLD, path) as third:
                assert third.stdout.readline() == ""
    assert list(tmp_path.iterdir()) == []


def test_racing_processes_never_hold_the_lock_together(tmp_path):
    (tmp_path / "model.txt").write_text("0")
    with process(COUNT, tmp_path / "model") as one, process(COUNT, tmp_path / "model") as two:
        assert (one.wait(timeout=100), two.wait(timeout=100)) == (0, 0)
    assert (tmp_path / "model.txt").read_text() == "80"
    assert [file.name for file in tmp_path.iterdir()] == ["model.txt"]


def test_error_names_the_host_if_it_differs(tmp_path, monkeypatch):
    path = tmp_path / "model"
    with file_lock(path):
        monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
        message = f"by process {os.getpid()} on "
        with pytest.raises(DataError, match=message), file_lock(path, parameter="map"):
            pass


def test_other_thread_and_other_path_of_the_folder_are_refused(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "link").symlink_to("model")
    result = []

    def work():
        try:
            with file_lock(tmp_path / "link"):
                result.append("held")
        except DataError as error:
            result.append(str(error))

    with file_lock(tmp_path / "model"), file_lock(tmp_path / "other"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert "is being written by this process itself" in result[0]


def test_held_lock_without_an_owner_is_refused(tmp_path):
    path = tmp_path / "model"
    with file_lock(path):
        (tmp_path / ".model.lock").write_text("")
        with pytest.raises(DataError, match="by another process: wait"), file_lock(path):
            pass


def test_replaced_lock_file_is_not_deleted(tmp_path):
    file = tmp_path / ".model.lock"
    with file_lock(tmp_path / "model"):
        file.unlink()
        file.write_text("another's")
    assert file.read_text() == "another's"


def test_missing_parents_are_created_and_removed(tmp_path):
    with file_lock(tmp_path / "a" / "b" / "model"):
        assert (tmp_path / "a" / "b" / ".model.lock").exists()
    assert list(tmp_path.iterdir()) == []
    with file_lock(tmp_path / "a" / "model"):
        (tmp_path / "a" / "model").mkdir()
    assert (tmp_path / "a" / "model").exists()


def test_exiting_process_removes_the_lock_file(tmp_path):
    with file_lock(tmp_path / "a" / "model"):
        cleanup_all()
        assert list(tmp_path.iterdir()) == []
    file = tmp_path / ".model.lock"
    with file_lock(tmp_path / "model"):
        pass
    file.write_text("another's")
    cleanup_all()
    assert file.exists()


def test_lock_failure_states_the_reason(tmp_path):
    (tmp_path / "file").write_text("")
    message = "cannot be locked: .*; name another with `path`"
    with pytest.raises(DataError, match=message), file_lock(tmp_path / "file" / "model"):
        pass


def test_file_system_without_locks_gives_a_warning(tmp_path, monkeypatch):
    def refuse(number, *, blocking):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("filelock.lock_descriptor", refuse)
    message = "has no locks: see to it that nothing else writes there"
    with pytest.warns(UserWarning, match=message), file_lock(tmp_path / "model"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_other_failures_to_lock_are_errors(tmp_path, monkeypatch):
    def refuse(number, *, blocking):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("filelock.lock_descriptor", refuse)
    with (
        pytest.raises(DataError, match="cannot be locked: Input/output error"),
        file_lock(tmp_path / "model"),
    ):
        pass


def test_temporary_folder_is_removed_at_the_end(tmp_path):
    with temporary_folder(tmp_path / "new", ".model.") as part:
        (part / "file").write_text("half of a mod")
    assert list(tmp_path.iterdir()) == []


def test_signal_waits_for_the_end_of_the_block():
    done = []
    try:
        with defer_signals():
            signal.raise_signal(signal.SIGINT)
            done.append("renamed")
    except KeyboardInterrupt:
        done.append("interrupted")
    assert done == ["renamed", "interrupted"]


# --- names of others, and what killed processes leave -----------------------------------------------


GONE = 2**22 + 1
"""More than any process number."""


def abandoned(folder, prefix, suffix=".partial", process=GONE):
    """A name as a process would give it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "getpid", lambda: process)
        return folder / files.temporary_name(prefix, suffix)


def plant(kind, path, target):
    """Put something that is no file of ours under a name."""
    {
        "link": lambda: path.symlink_to(target),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "hard link": lambda: path.hardlink_to(target),
        "text": lambda: path.write_text("12 lines of somebody\n"),
    }[kind]()


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "hard link", "text"])
def test_lock_file_of_another_is_refused_unchanged(tmp_path, kind):
    target = tmp_path / "target"
    target.write_text("")
    plant(kind, tmp_path / ".model.lock", target)
    message = r"model cannot be locked: .*\.model\.lock is .*, not a lock of batchprop; move it"
    with pytest.raises(DataError, match=message), file_lock(tmp_path / "model"):
        pytest.fail("the block must not run")
    assert target.read_text() == ""
    assert (tmp_path / ".model.lock").lstat()


@pytest.mark.parametrize("content", [b"", b"\0" * 17, b"\n", b"\n12", b"\n12 host"])
def test_lock_file_that_was_cut_off_does_not_block(tmp_path, content):
    (tmp_path / ".model.lock").write_bytes(content)
    with file_lock(tmp_path / "model"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "said"), [("link", "a link"), ("pipe", "a pipe"), ("folder", "a folder")])
def test_only_a_regular_file_is_written_or_read(tmp_path, kind, said):
    path, target = tmp_path / "net", tmp_path / "target"
    target.write_text("precious")
    plant(kind, path, target)
    with pytest.raises(DataError, match=rf"net exists and is not a file \(it is {said}\): name another"):
        files.atomic_write(b"new", path)
    with pytest.raises(OSError, match=f"it is {said}, not a file|Is a directory"):
        files.open_file(path)
    with pytest.raises(FileExistsError):
        files.create_file(path)
    files.remove_file(path)
    assert files.exists(path)
    assert target.read_text() == "precious"
    assert len(list(tmp_path.iterdir())) == 2


def test_link_to_nothing_is_not_written_through(tmp_path):
    (tmp_path / "net").symlink_to(tmp_path / "nothing")
    with pytest.raises(DataError, match="it is a link"):
        files.atomic_write(b"new", tmp_path / "net")
    assert not (tmp_path / "nothing").exists()


def test_next_write_removes_what_killed_processes_left(tmp_path):
    left = abandoned(tmp_path, ".net.")
    left.write_text("half")
    others = [
        abandoned(tmp_path, ".net.", process=os.getpid()),
        abandoned(tmp_path, ".nets."),
        tmp_path / left.name.replace(files._machine(), "000000"),
        tmp_path / ".net.notes.partial",
    ]
    for path in others:
        path.write_text("of others")
    files.atomic_write(b"new", tmp_path / "net")
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "net", *others])
    link = abandoned(tmp_path, ".net.")
    link.symlink_to(others[0])
    files.atomic_write(b"newer", tmp_path / "net")
    assert link.is_symlink()


def test_folder_that_a_killed_process_was_replacing_is_restored(tmp_path):
    partial = abandoned(tmp_path, ".model.")
    for name, content in (("model", "new"), ("model.old", "old")):
        (partial / name).mkdir(parents=True)
        (partial / name / "file").write_text(content)
    files.remove_abandoned(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model" / "file").read_text() == "old"


def test_private_folders_of_killed_processes_are_removed(tmp_path):
    left = abandoned(tmp_path, "copies-", "")
    left.mkdir()
    (left / "0.parquet").write_text("rows")
    files.remove_abandoned_folders(tmp_path, "copies-")
    ours = files.make_private_folder(tmp_path, "copies-")
    assert list(tmp_path.iterdir()) == [ours]
    assert ours.stat().st_mode & 0o777 == 0o700


def test_temporary_that_somebody_replaced_is_left(tmp_path):
    with temporary_folder(tmp_path, ".model.") as part:
        part.rename(tmp_path / "elsewhere")
        part.mkdir()
        (part / "file").write_text("of somebody")
    assert (part / "file").exists()
