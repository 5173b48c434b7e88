"""A playground behind its real server, and helpers that read the page and the session."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import uvicorn

import batchprop as bp
from batchprop.batches import gather
from batchprop.cli.playground_tools import PlaygroundTools
from batchprop.playground.server import Server
from batchprop.playground.session import Session
from batchprop.playground.settings import Settings
from batchprop.playground.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Locator, Page

    from batchprop.backprop import Step
    from tests.browsers import OpenPage

TOKEN = "the-token"  # noqa: S105 of a server that lives as long as a test
SECONDS = 30

PETS = "weight,height,age,kind\n" + "".join(
    f"{3 + 5 * (i % 2) + 0.01 * i},{20.5 + i % 11},{i % 7},{'cat' if i % 2 else 'dog'}\n" for i in range(80)
)


class Served(NamedTuple):
    """A playground served to a browser.

    Attributes:
        address: the address of its page.
        worker: the worker that runs it.
        listener: the server, to be stopped at the end.
    """

    address: str
    worker: Worker
    listener: uvicorn.Server

    def ask(self, function: Callable[[Session], Any]) -> Any:
        """Query the session."""
        return self.worker.submit(function).result(SECONDS)


@contextmanager
def serve(**settings: Any) -> Iterator[Served]:
    """Serve on a free port, in a separate thread."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        worker = Worker(Session(PlaygroundTools(), Settings().replace(settings)))

        def end() -> None:
            worker.close()
            listener.should_exit = True

        app = Server(worker, port=port, token=TOKEN, invitation="invitation", end=end).app
        config = uvicorn.Config(app, log_config=None, http="h11", ws="none", lifespan="off", loop="asyncio")
        config.timeout_graceful_shutdown = 2
        listener = uvicorn.Server(config)
        thread = threading.Thread(target=listener.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield Served(f"http://127.0.0.1:{port}/{TOKEN}/", worker, listener)
        finally:
            end()
            thread.join(SECONDS)
            worker.join()


class Playing(NamedTuple):
    """A page and its playground."""

    seen: OpenPage
    served: Served

    @property
    def page(self) -> Page:
        """The page."""
        return self.seen.page

    def at(self, selector: str) -> Locator:
        """Return the elements of the page that match a selector."""
        return self.page.locator(selector)

    def readout(self, name: str) -> Locator:
        """Return one of the numbers in the toolbar."""
        return self.at(f'dd[data-name="{name}"]')

    def steps(self) -> int:
        """Return the number of steps shown on the page."""
        return int(self.readout("step").inner_text().replace(",", ""))

    def type(self, selector: str, value: str) -> None:
        """Type into a field and press Enter."""
        self.at(selector).fill(value)
        self.at(selector).press("Enter")

    def load(self, name: str, content: str) -> None:
        """Upload a file."""
        self.at("#file").set_input_files({"name": name, "mimeType": "text/csv", "buffer": content.encode()})

    def last_step(self) -> Step:
        """Return the library's step on the last batch."""

        def backprop(playground: Session) -> Step:
            training = playground.trainer
            assert training.last_batch is not None
            batch = gather(training.dataset, training.last_batch.rows)
            return bp.backprop(training.last_batch.network, batch.B, batch.Y)

        step: Step = self.served.ask(backprop)
        return step

    def newest(self, panel: str) -> np.ndarray:
        """Return the numbers of the latest step in the table beside a chart."""
        details = self.at(f'section[aria-label="{panel}"] details')
        if details.get_attribute("open") is None:
            details.locator("summary").click()
        row = details.locator("tbody tr").first
        row.wait_for()
        cells = row.locator("td").evaluate_all("all => all.map(one => one.dataset.value ?? 'nan')")
        return np.array(cells, dtype=float)
