"""The worker: the one thread that owns the session, takes its steps, and executes commands in between."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, NamedTuple, TypeVar

from batchprop.errors import BatchpropError
from batchprop.playground.events import Cursor, Event, next_events
from batchprop.playground.session import Session

T = TypeVar("T")


class EndedError(BatchpropError):
    """The playground has ended."""

    def __init__(self) -> None:
        super().__init__("the playground has ended")


class _Command(NamedTuple):
    """A function to call on the session; with a version, only once the session has changed since."""

    function: Callable[[Session], Any]
    future: Future[Any]
    version: int | None = None

    def execute(self, session: Session) -> None:
        """Call the function, and hand its result or error to the caller's future."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self.future.set_result(self.function(session))
        except Exception as error:  # noqa: BLE001 the caller gets it
            self.future.set_exception(error)

    def reject(self) -> None:
        """Tell the caller that the playground has ended."""
        if not self.future.done() and self.future.set_running_or_notify_cancel():
            self.future.set_exception(EndedError())


class Worker:
    """Runs a session in a thread of its own; commands wait in a queue, so the session needs no lock.

    Example:
        >>> from batchprop.playground.settings import Settings
        >>> worker = Worker(Session(None, Settings(rows=50)))
        >>> worker.submit(Session.step).result()
        >>> events, cursor = worker.next_events(Cursor()).result()
        >>> [name for name, _ in events], cursor.steps
        (['setup', 'state'], 1)
        >>> worker.close()
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._commands: SimpleQueue[_Command] = SimpleQueue()
        self._waiting: list[_Command] = []
        self._open = True
        self._next_step = 0.0
        self._thread = threading.Thread(target=self._run, name="batchprop playground", daemon=True)
        self._thread.start()

    def submit(self, function: Callable[[Session], T]) -> Future[T]:
        """Call a function on the session between two steps; after the end, the future has an EndedError."""
        return self._put(_Command(function, Future()))

    def next_events(self, cursor: Cursor) -> Future[tuple[list[Event], Cursor]]:
        """Return the events since a cursor as soon as there are any."""
        return self._put(_Command(partial(next_events, cursor=cursor), Future(), cursor.version))

    def close(self) -> None:
        """End the thread after the current step. A signal handler may call this."""
        self.submit(lambda _: self._end())

    def join(self) -> None:
        """Wait for the end of the thread."""
        self._thread.join()

    def _put(self, command: _Command) -> Future[Any]:
        self._commands.put(command)
        # The thread may have ended between the check of its queue and this command.
        if not self._open:
            self._reject_all()
        return command.future

    def _run(self) -> None:
        try:
            while self._open:
                self._drain_queue()
                if self._open and self._session.running and monotonic() >= self._next_step:
                    self._next_step = monotonic() + self._session.pause_between
                    self._session.advance()
                self._notify()
        finally:
            self._open = False
            self._reject_all()

    def _drain_queue(self) -> None:
        """Execute all queued commands; while the training is paused, wait for one."""
        pause = max(0.0, self._next_step - monotonic()) if self._session.running else None
        try:
            command = self._commands.get(timeout=pause) if pause != 0 else self._commands.get_nowait()
            while True:
                if command.version is None:
                    command.execute(self._session)
                else:
                    self._waiting.append(command)
                command = self._commands.get_nowait()
        except Empty:
            pass

    def _notify(self) -> None:
        version = self._session.version
        due = [command for command in self._waiting if command.version != version]
        self._waiting = [command for command in self._waiting if command.version == version]
        for command in due:
            command.execute(self._session)

    def _reject_all(self) -> None:
        for command in self._waiting:
            command.reject()
        with suppress(Empty):
            while True:
                self._commands.get_nowait().reject()

    def _end(self) -> None:
        self._open = False
