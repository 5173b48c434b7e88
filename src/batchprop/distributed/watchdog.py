"""A watchdog over the steps: a process that is alive but stuck would let all others wait forever."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchprop.engines.sharding import ProcessMesh

EXIT_CODE = 75
"""The exit code of a process that the watchdog ends, or that lost another: start again (EX_TEMPFAIL)."""

SLOW_FACTOR = 20
"""How many times the median a chunk of steps may take."""

MIN_SECONDS = 60.0
"""The least that this is, in seconds: a saved checkpoint or a busy machine is no reason to end a run."""

COMPILING_FACTOR = 10
"""How many times ``step_timeout`` the first chunk of a fit may take, which compiles."""

MAX_TIMES = 101
"""The number of chunks of which the median is taken."""

_SIGN_SECONDS = 1.0
_ANSWER_SECONDS = 5.0


class Watchdog:
    """Ends this process, with a line that names the process that is stuck, if a chunk takes too long.

    Each process gives a sign every second through the coordination service: how many it gave so far, how many
    chunks it has done, and whether it waits for others.

    Args:
        client: of the coordination service.
        mesh: of the processes.
        step_timeout: seconds that a chunk may take; None for 20 times the median, and at least a minute.
    """

    def __init__(self, client: Any, mesh: ProcessMesh, step_timeout: float | None) -> None:
        self._client, self._mesh, self._timeout = client, mesh, step_timeout
        self._times = list[float]()
        self._chunks, self._started = 0, time.monotonic()
        self._watches = 0
        self._threads = list[threading.Thread]()
        self._ended = threading.Event()

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Watch over the block, a fit."""
        self._times, self._started = [], time.monotonic()
        self._watches += 1
        if not self._threads:
            self._threads = [
                threading.Thread(target=target, name="batchprop-watchdog", daemon=True)
                for target in (self._give_signs, self._look_for_stuck)
            ]
            for thread in self._threads:
                thread.start()
        try:
            yield
        finally:
            self._watches -= 1

    def stop(self) -> None:
        """End the threads: one that calls JAX while Python ends would abort the process."""
        self._ended.set()
        for thread in self._threads:
            thread.join(_ANSWER_SECONDS)

    def note(self) -> None:
        """Note the end of a chunk."""
        now = time.monotonic()
        self._times = [*self._times, now - self._started][-MAX_TIMES:]
        self._started = now
        self._chunks += 1

    def limit(self) -> float | None:
        """Return how many seconds the current chunk may take; None for no limit yet."""
        if self._timeout is not None:
            return self._timeout if self._times else COMPILING_FACTOR * self._timeout
        return max(SLOW_FACTOR * median(self._times), MIN_SECONDS) if self._times else None

    def _give_signs(self) -> None:
        number = 0
        while not self._ended.is_set():
            number += 1
            sign = {"number": number, "chunks": self._chunks, "waits": self._mesh.waits > 0}
            try:
                self._client.key_value_set(
                    f"batchprop-sign/{self._mesh.index}", json.dumps(sign), allow_overwrite=True
                )
            except Exception:  # noqa: BLE001 after shutdown nobody asks for signs
                return
            self._ended.wait(_SIGN_SECONDS)

    def _look_for_stuck(self) -> None:
        while not self._ended.wait(min(_SIGN_SECONDS, (self._timeout or _SIGN_SECONDS) / 4)):
            limit, seconds = self.limit(), time.monotonic() - self._started
            if self._watches and limit is not None and seconds > limit and self._mesh.waits:
                self._end(seconds)

    def _end(self, seconds: float) -> None:
        chunks = self._chunks
        before = self._signs()
        time.sleep(3 * _SIGN_SECONDS)
        if self._chunks != chunks:
            return  # it went on meanwhile
        stuck = describe_stuck(before, self._signs(), self._mesh.count)
        sys.stderr.write(
            f"batchprop: process {self._mesh.index}: the steps have not gone on for {seconds:.0f} seconds: "
            f"{stuck}; see that machine, or raise step_timeout\n"
        )
        sys.stderr.flush()
        os._exit(EXIT_CODE)

    def _signs(self) -> list[dict[str, Any]] | None:
        """Return the last sign of each process; None if the coordination service, of process 0, is silent."""
        answer = list[list[dict[str, Any]]]()

        def ask() -> None:
            entries = self._client.key_value_dir_get("batchprop-sign/")
            signs = {int(key.rpartition("/")[2]): json.loads(text) for key, text in entries}
            answer.append([signs.get(process, {}) for process in range(self._mesh.count)])

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(_ANSWER_SECONDS)
        return answer[0] if answer else None


def describe_stuck(
    before: list[dict[str, Any]] | None, after: list[dict[str, Any]] | None, n_processes: int
) -> str:
    """Say which process is stuck, by the signs of all at two moments.

    Args:
        before: the last sign of each process; None if process 0, which keeps them, is silent.
        after: the same some seconds later.
        n_processes: how many there are.

    Example:
        >>> signs = [
        ...     {"number": 9, "chunks": 4, "waits": True},
        ...     {"number": 7, "chunks": 4, "waits": False},
        ... ]
        >>> describe_stuck(signs, [{**signs[0], "number": 12}, signs[1]], 2)
        'process 1 gives no sign of life'
        >>> describe_stuck(signs, [{**sign, "number": 12} for sign in signs], 2)
        'process 1 does not come to the next step'
    """
    if before is None or after is None:
        return "process 0 gives no sign of life"
    silent = [p for p in range(n_processes) if before[p].get("number") == after[p].get("number")]
    if silent:
        return _name_processes(silent, "gives no sign of life", "give no sign of life")
    late = [p for p in range(n_processes) if not after[p]["waits"]]
    if not late:
        least = min(sign["chunks"] for sign in after)
        late = [p for p in range(n_processes) if after[p]["chunks"] == least]
    if len(late) == n_processes:
        return "all processes wait for each other, as the network between them is cut or slow"
    return _name_processes(late, "does not come to the next step", "do not come to the next step")


def _name_processes(processes: list[int], one: str, several: str) -> str:
    numbers = ", ".join(map(str, processes))
    return f"process {numbers} {one}" if len(processes) == 1 else f"processes {numbers} {several}"
