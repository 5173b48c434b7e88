"""Processes that the launcher forks, where it would start programs: to import takes three seconds of each.

JAX may have been imported before a fork, but may not have worked. The launcher's own tests start programs.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, NoReturn
from unittest.mock import patch

from batchprop.distributed import launcher
from batchprop.files import ENDING_SIGNALS


class Fork:
    """The part of `subprocess.Popen` that the launcher uses; a function of the command is the program."""

    def __init__(
        self,
        program: Callable[[Sequence[str]], None],
        command: Sequence[str],
        *,
        env: dict[str, str],
        stdout: int | None,
        **options: Any,
    ) -> None:
        assert options["start_new_session"]
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            _run(program, command, env, stdout)

    def poll(self) -> int | None:
        """Return the exit code, if there is one."""
        return self.wait(os.WNOHANG)

    def wait(self, options: int = 0) -> int | None:
        """Wait for the end, and return the exit code."""
        if self.returncode is None and (ended := os.waitpid(self.pid, options))[0]:
            self.returncode = os.waitstatus_to_exitcode(ended[1])
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the process."""
        self.send_signal(signal.SIGKILL)


def _run(
    program: Callable[[Sequence[str]], None], command: Sequence[str], env: dict[str, str], stdout: int | None
) -> NoReturn:
    """Be the program, to the end of this process."""
    code = 1
    try:
        os.setsid()
        # A new process has none of the launcher's handlers.
        for number in ENDING_SIGNALS:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        os.environ.clear()
        os.environ.update(env)
        if stdout == subprocess.DEVNULL:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        program(command)
        code = 0
    except SystemExit as error:
        code = int(error.code or 0)
    except BaseException:  # noqa: BLE001 whatever it is, the process ends here
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def fork_in_launcher(program: Callable[[Sequence[str]], None]) -> None:
    """Let the launcher fork processes that run a program, for the rest of this process."""
    forking = SimpleNamespace(Popen=partial(Fork, program), DEVNULL=subprocess.DEVNULL)
    patch.object(launcher, "subprocess", forking).start()
