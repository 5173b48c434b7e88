"""The stage: the one thread that owns the playground, takes its steps, and grants wishes in between."""

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
    """Something to be done between two steps.

    Attributes:
        function: what.
        answer: what it will have returned.
        known: the version of the playground beyond which it is to be done, or None for at once.
    """

    function: Callable[[Session], Any]
    answer: Future[Any]
    known: int | None = None

    def execute(self, playground: Session) -> None:
        """Do it, and answer."""
        if not self.answer.set_running_or_notify_cancel():
            return
        try:
            self.answer.set_result(self.function(playground))
        except Exception as error:  # noqa: BLE001 whoever asked is told
            self.answer.set_exception(error)

    def reject(self) -> None:
        """Say that it will not be done."""
        if not self.answer.done() and self.answer.set_running_or_notify_cancel():
            self.answer.set_exception(EndedError())


class Worker:
    """Runs a playground in a thread of its own.

    Wishes wait in a queue, which is emptied before every step: nothing else touches the playground, so that
    there is nothing to lock.

    Args:
        playground: which belongs to the stage from now on.

    Example:
        >>> from batchprop.playground.settings import Settings
        >>> stage = Worker(Session(None, Settings(rows=50)))
        >>> stage.submit(Session.step).result()
        >>> events, heard = stage.next_events(Cursor()).result()
        >>> [name for name, _ in events], heard.steps
        (['lesson', 'frame'], 1)
        >>> stage.close()
    """

    def __init__(self, playground: Session) -> None:
        self._playground = playground
        self._wishes: SimpleQueue[_Command] = SimpleQueue()
        self._waiting: list[_Command] = []
        self._open = True
        self._next_step = 0.0
        self._thread = threading.Thread(target=self._run, name="batchprop playground", daemon=True)
        self._thread.start()

    def submit(self, function: Callable[[Session], T]) -> Future[T]:
        """Have something done between two steps.

        Args:
            function: takes the playground.

        Returns:
            What it will have returned or raised; ``EndedError`` once the stage is closed.
        """
        return self._put(_Command(function, Future()))

    def next_events(self, heard: Cursor) -> Future[tuple[list[Event], Cursor]]:
        """Return what is new, as soon as there is something.

        Args:
            heard: what is known already.

        Returns:
            The events and what is known then; ``EndedError`` once the stage is closed.
        """
        return self._put(_Command(partial(next_events, heard=heard), Future(), heard.version))

    def close(self) -> None:
        """End the thread after the step that it is at; whoever waits is told. A signal may call this."""
        self.submit(lambda _: self._end())

    def join(self) -> None:
        """Wait for the end of the thread."""
        self._thread.join()

    def _put(self, wish: _Command) -> Future[Any]:
        self._wishes.put(wish)
        if not self._open:  # it may have looked at its last wish already
            self._refuse_all()
        return wish.answer

    def _run(self) -> None:
        try:
            while self._open:
                self._drain_queue()
                if self._open and self._playground.running and monotonic() >= self._next_step:
                    self._next_step = monotonic() + self._playground.pause_between
                    self._playground.advance()
                self._notify()
        finally:
            self._open = False
            self._refuse_all()

    def _drain_queue(self) -> None:
        """Take all wishes; where nothing is to be done meanwhile, wait for one."""
        pause = max(0.0, self._next_step - monotonic()) if self._playground.running else None
        try:
            wish = self._wishes.get(timeout=pause) if pause != 0 else self._wishes.get_nowait()
            while True:
                if wish.known is None:
                    wish.execute(self._playground)
                else:
                    self._waiting.append(wish)
                wish = self._wishes.get_nowait()
        except Empty:
            pass

    def _notify(self) -> None:
        version = self._playground.version
        due = [wish for wish in self._waiting if wish.known != version]
        self._waiting = [wish for wish in self._waiting if wish.known == version]
        for wish in due:
            wish.execute(self._playground)

    def _refuse_all(self) -> None:
        for wish in self._waiting:
            wish.reject()
        with suppress(Empty):
            while True:
                self._wishes.get_nowait().reject()

    def _end(self) -> None:
        self._open = False
