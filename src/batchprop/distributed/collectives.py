"""What processes tell each other: text through JAX's coordination service, arrays through the devices."""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchprop.distributed.watchdog import EXIT_CODE
from batchprop.engines.sharding import ProcessMesh
from batchprop.errors import BatchpropError
from batchprop.processes import Processes

MAX_TEXT = 1 << 18
"""The longest text for the coordination service; the devices carry longer ones."""

_PATIENCE_MS = 7 * 24 * 3600 * 1000
"""How long to wait for another process: it may read a table for hours, and a lost one ends all."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM))


class PeerError(BatchpropError):
    """Another process failed; its message tells why."""


class LostProcessError(BatchpropError):
    """The connection to another process broke.

    Attributes:
        exit_code: of a command that ends with it.
    """

    exit_code = EXIT_CODE


class ConnectedProcesses(Processes):
    """Several processes, over JAX's distributed runtime.

    Args:
        client: of the coordination service.
        index: the number of this process.
        n_processes: how many there are.
        mesh: of their devices.
        watchdog: watches over the steps, or None.
    """

    def __init__(
        self, client: Any, index: int, n_processes: int, mesh: ProcessMesh, watchdog: Any = None
    ) -> None:
        self.index, self.count, self.mesh = index, n_processes, mesh
        self._client, self._numbers, self._watchdog = client, count(), watchdog
        self.local_count = self.gather(socket.gethostname()).count(socket.gethostname())
        self._signals = list[int]()
        self._handlers = dict[int, Any]()

    def broadcast(self, value: Any) -> Any:
        """Return process 0's plain data: dicts, lists, text, numbers, arrays."""
        arrays = list[NDArray[Any]]()
        text = json.dumps(_pack(value, arrays)) if self.index == 0 else ""
        text, shapes = json.loads(self._share_text(json.dumps([text, [_describe(a) for a in arrays]]), 0))
        received = [
            self._broadcast_array(arrays[i] if arrays else None, *shape) for i, shape in enumerate(shapes)
        ]
        return _unpack(json.loads(text), received)

    def gather(self, value: Any) -> list[Any]:
        """Return the plain data of each process, in their order."""
        return [json.loads(text) for text in self._share_texts(json.dumps(value))]

    def gather_rows(self, rows: NDArray[Any]) -> list[NDArray[Any]]:
        """Return the rows of each process, ``(n_p, ...)`` of one type, in their order."""
        rows = np.ascontiguousarray(rows)
        kinds = self.gather(_describe(rows))
        dtype = np.result_type(*(np.dtype(kind) for kind, _ in kinds))
        lengths = [shape[0] for _, shape in kinds]
        # As bytes: JAX has no text, and no type of 64 bits unless it is told so.
        padded = np.zeros((max(lengths), *rows.shape[1:]), dtype)
        padded[: len(rows)] = rows
        shape = padded.shape
        parts = self._call_collective(self.mesh.gather, padded.reshape(-1).view(np.uint8))
        return [part.view(dtype).reshape(shape)[:n] for part, n in zip(parts, lengths, strict=True)]

    def largest(self, numbers: Sequence[int]) -> list[int]:
        """Return the largest of each number over the processes; it takes the least time."""
        values: list[int] = self._call_collective(self.mesh.largest, np.array(numbers, np.int64)).tolist()
        return values

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Raise an error of one process in the block in all of them: no other waits for it forever."""
        error: BaseException | None = None
        try:
            yield
        except (PeerError, LostProcessError):
            raise  # which all know, or nobody can be told of
        except BaseException as caught:  # noqa: BLE001 it is raised below
            error = caught
        messages = self.gather(None if error is None else _in_words(error))
        if error is not None:
            error.__dict__["is_shared"] = True
            raise error
        for process, message in enumerate(messages):
            if message is not None:
                failure = PeerError(f"process {process}: {message}")
                failure.__dict__["is_shared"] = True
                raise failure

    def agree(self, *, flag: bool, error: BaseException | None = None) -> bool:
        """Return whether the flag of any process is set; raise an error of one in all of them."""
        flags, errors = self.largest([int(flag), int(error is not None)])
        if errors:
            with self.guard():
                if error is not None:
                    raise error
        return bool(flags)

    @contextmanager
    def report_errors(self) -> Iterator[None]:
        """Explain the errors of a lost connection in the block, watch over it, and let signals wait."""
        import jax

        with self._defer_signals(), self._watch():
            try:
                yield
                self._agree_on_signals()
            except jax.errors.JaxRuntimeError as error:
                if not _is_lost(error):
                    raise
                reason = " ".join(str(error).split())[:120]
                raise LostProcessError(
                    f"the connection to another process broke ({reason}): start all processes again, with "
                    "resume=True if there are checkpoints"
                ) from error

    def note_progress(self) -> None:
        """Note that a chunk of the work is done; raise KeyboardInterrupt in all if a signal came to one."""
        if self._watchdog is not None:
            self._watchdog.note()
        self._agree_on_signals()

    def _agree_on_signals(self) -> None:
        received = self._signals[0] if self._signals else 0
        if not self.largest([received])[0]:
            return
        self._signals.clear()
        handler = self._handlers.get(received)
        if callable(handler):
            handler(received, None)  # which notes the signal, for the exit code
        raise KeyboardInterrupt

    def close(self) -> None:
        """End the threads of the watchdog."""
        if self._watchdog is not None:
            self._watchdog.stop()

    # ---- texts

    def _share_texts(self, own: str) -> list[str]:
        key = f"batchprop/{next(self._numbers)}"
        if len(own) <= MAX_TEXT:
            self._client.key_value_set(f"{key}/{self.index}", f"={own}")
        else:
            self._client.key_value_set(f"{key}/{self.index}", f"#{len(own.encode())}")
        texts = [self._wait_for(f"{key}/{process}") for process in range(self.count)]
        return [
            text[1:] if text[0] == "=" else self._share_long(own, process, int(text[1:]))
            for process, text in enumerate(texts)
        ]

    def _share_text(self, own: str, process: int) -> str:
        key = f"batchprop/{next(self._numbers)}"
        if self.index == process:
            long = len(own) > MAX_TEXT
            self._client.key_value_set(key, f"#{len(own.encode())}" if long else f"={own}")
        text = self._wait_for(key)
        return text[1:] if text[0] == "=" else self._share_long(own, process, int(text[1:]))

    def _share_long(self, own: str, process: int, n_bytes: int) -> str:
        content = np.zeros(n_bytes, np.uint8)
        if self.index == process:
            content[:] = np.frombuffer(own.encode(), np.uint8)
        return bytes(self._call_collective(self.mesh.sum, content).astype(np.uint8)).decode()

    def _broadcast_array(self, array: NDArray[Any] | None, dtype: str, shape: list[int]) -> NDArray[Any]:
        content = np.zeros(shape, dtype)
        if self.index == 0 and array is not None:
            content[...] = array
        own = content.reshape(-1).view(np.uint8) if content.size else np.zeros(0, np.uint8)
        received = self._call_collective(self.mesh.sum, own).astype(np.uint8) if content.size else own
        return received.view(dtype).reshape(shape)

    def _wait_for(self, key: str) -> str:
        text: str = self._call_collective(self._client.blocking_key_value_get, key, _PATIENCE_MS)
        return text

    def _call_collective(self, function: Any, *args: Any) -> Any:
        """Call a function that waits for other processes, so that the watchdog knows."""
        with self.mesh.count_wait():
            return function(*args)

    # ---- signals

    @contextmanager
    def _defer_signals(self) -> Iterator[None]:
        """Note signals, which end all processes after the same chunk; a second one ends this process."""
        if threading.current_thread() is not threading.main_thread() or self._handlers:
            yield
            return

        def note(number: int, frame: Any) -> None:
            self._signals.append(number)
            if len(self._signals) > 1:
                self._handlers[number](number, frame)

        handlers = {number: signal.getsignal(number) for number in {*_SIGNALS}}
        self._handlers = {number: handler for number, handler in handlers.items() if callable(handler)}
        try:
            for number in self._handlers:
                signal.signal(number, note)
            yield
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            self._handlers = {}
            late, self._signals = self._signals, []
            for number in late:
                signal.raise_signal(number)

    @contextmanager
    def _watch(self) -> Iterator[None]:
        if self._watchdog is None:
            yield
            return
        with self._watchdog.watch():
            yield


def _describe(array: NDArray[Any]) -> list[Any]:
    return [array.dtype.str, [*array.shape]]


def _pack(value: Any, arrays: list[NDArray[Any]]) -> Any:
    """Return plain data in which arrays, put aside, are numbered; other dicts get a level."""
    if isinstance(value, np.ndarray):
        arrays.append(np.asarray(value, order="C"))
        return {"array": len(arrays) - 1}
    if isinstance(value, dict):
        return {"dict": [[key, _pack(entry, arrays)] for key, entry in value.items()]}
    if isinstance(value, list | tuple):
        return [_pack(entry, arrays) for entry in value]
    return value


def _unpack(value: Any, arrays: list[NDArray[Any]]) -> Any:
    if isinstance(value, list):
        return [_unpack(entry, arrays) for entry in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]]
    return {key: _unpack(entry, arrays) for key, entry in value["dict"]}


def _in_words(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


_LOST = ("gloo", "connection", "socket", "peer", "unavailable", "nccl", "coordination", "heartbeat")


def _is_lost(error: BaseException) -> bool:
    return any(word in str(error).lower() for word in _LOST)
