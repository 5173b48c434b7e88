"""Processes that start with everything imported, so that commands start immediately."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading

from tests.cli.commands import START, environment

SECONDS = 100  # until a command is given up

# Forks a process for each request, before it has a thread of its own. What a fork inherits besides the
# imports is what a new process has: default handlers, and the outputs that came with the request. It leads a
# session, as a command of a terminal does. Pictures take four fifths of a small training.
ORIGIN = """
import gc, io, json, os, socket, sys
import batchprop.cli.app
from batchprop.cli import examine_command, look_command, play_command, predict_command, train_command
server = socket.socket(fileno=int(sys.argv[1]))
# Otherwise each fork looks for garbage among all that is imported, and copies it by that.
gc.freeze()
while True:
    request, outputs, _, _ = socket.recv_fds(server, 65536, 2)
    if not request:
        break
    asked = json.loads(request)
    pid = os.fork()
    if pid == 0:
        server.close()
        for number, output in enumerate(outputs, 1):
            os.dup2(output, number)
            os.close(output)
        # New, unbuffered streams: the existing ones keep the settings of the old outputs.
        sys.stdout, sys.stderr = (
            io.TextIOWrapper(open(number, "wb", 0), encoding=asked["encoding"], write_through=True)
            for number in (1, 2)
        )
        os.setsid()
        os.environ.update(asked["env"])
        if not asked["pictures"]:
            from batchprop.tabular import model_files
            model_files.diagnose = model_files.build_report = lambda *_: None
            model_files.render = lambda _: ""
            model_files.save_learning_curve = lambda *args: args[-1].write_bytes(b"")
        os.chdir(asked["cwd"])
        sys.argv[1:] = asked["words"]
        break
    for output in outputs:
        os.close(output)
    server.send(b"%d\\n" % pid)
    _, status = os.waitpid(pid, 0)
    server.send(b"%d\\n" % os.waitstatus_to_exitcode(status))
if not request:
    sys.exit()
exec(asked["start"])
"""


class Origin:
    """The process that all others are forked from."""

    def __init__(self):
        self.ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", ORIGIN, str(theirs.fileno())],
                # Arrow's own allocator reserves more than it uses, which tests of memory would count.
                env={**environment(), "ARROW_DEFAULT_MEMORY_POOL": "system"},
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
            )  # fmt: skip
        self.replies = self.ours.makefile("r")

    def start(
        self, words, cwd, start=START, *, env=(), encoding="utf-8", pictures=False, stdout=None, stderr=None
    ):
        """Start a command; one at a time. Its outputs are pipes, or the descriptors given."""
        (out, their_out), (err, their_err) = os.pipe(), os.pipe()
        asked = {"words": [str(word) for word in words], "cwd": str(cwd), "start": start}
        asked |= {"env": dict(env), "encoding": encoding, "pictures": pictures}
        outputs = [their_out if stdout is None else stdout, their_err if stderr is None else stderr]
        socket.send_fds(self.ours, [json.dumps(asked).encode()], outputs)
        os.close(their_out)
        os.close(their_err)
        return Fork(int(self.replies.readline()), os.fdopen(out), os.fdopen(err), self.replies)

    def run(self, *words, cwd, **options):
        """Run a command to its end."""
        fork = self.start(words, cwd, **options)
        try:
            stdout, stderr = fork.communicate()
            return subprocess.CompletedProcess(words, fork.returncode, stdout, stderr)
        finally:
            fork.close()

    def close(self):
        """Terminate the process."""
        self.ours.close()
        self.replies.close()
        self.process.wait(60)


class Fork:
    """The part of the `subprocess.Popen` interface that tests use."""

    def __init__(self, pid, stdout, stderr, replies):
        self.pid, self.stdout, self.stderr, self.replies = pid, stdout, stderr, replies
        self.returncode = None

    def send_signal(self, number):
        """Send a signal."""
        os.kill(self.pid, number)

    def wait(self):
        """Wait for the process, and return its exit code."""
        if self.returncode is None:
            self.returncode = int(self.replies.readline())
        return self.returncode

    def communicate(self):
        """Return the rest of both outputs; standard error is too short to fill its pipe."""
        limit = threading.Timer(SECONDS, self.send_signal, [signal.SIGKILL])
        limit.start()
        rest = self.stdout.read(), self.stderr.read()
        self.wait()
        limit.cancel()
        return rest

    def close(self):
        """Kill the process."""
        if self.returncode is None:
            self.send_signal(signal.SIGKILL)
            self.wait()
        self.stdout.close()
        self.stderr.close()
