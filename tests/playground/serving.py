"""A playground behind its real server, in a page, and what can be read off both."""

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
    from tests.browsers import Opened

TOKEN = "the-token"  # noqa: S105 of a server that lives as long as a test
SECONDS = 30

PETS = "weight,height,age,kind\n" + "".join(
    f"{3 + 5 * (i % 2) + 0.01 * i},{20.5 + i % 11},{i % 7},{'cat' if i % 2 else 'dog'}\n" for i in range(80)
)


class Served(NamedTuple):
    """A playground that a browser can come to.

    Attributes:
        address: of its page.
        worker: where it runs.
        listener: to be told to end.
    """

    address: str
    worker: Worker
    listener: uvicorn.Server

    def ask(self, function: Callable[[Session], Any]) -> Any:
        """Ask the playground itself."""
        return self.worker.submit(function).result(SECONDS)


@contextmanager
def serving(**settings: Any) -> Iterator[Served]:
    """Serve on a free port, in a thread of its own."""
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
    """A page, and the playground behind it."""

    seen: Opened
    served: Served

    @property
    def page(self) -> Page:
        """The page."""
        return self.seen.page

    def at(self, selector: str) -> Locator:
        """What a selector finds in the page."""
        return self.page.locator(selector)

    def readout(self, name: str) -> Locator:
        """One of the numbers in the bar."""
        return self.at(f'dd[data-name="{name}"]')

    def steps(self) -> int:
        """How many steps the page says there were."""
        return int(self.readout("step").inner_text().replace(",", ""))

    def type(self, selector: str, value: str) -> None:
        """Type into a field, and finish with Enter."""
        self.at(selector).fill(value)
        self.at(selector).press("Enter")

    def load(self, name: str, content: str) -> None:
        """Choose a file."""
        self.at("#file").set_input_files({"name": name, "mimeType": "text/csv", "buffer": content.encode()})

    def last_step(self) -> Step:
        """The library's own step on the batch that was taken last."""

        def backprop(playground: Session) -> Step:
            training = playground.trainer
            assert training.last_batch is not None
            batch = gather(training.dataset, training.last_batch.rows)
            return bp.backprop(training.last_batch.network, batch.B, batch.Y)

        step: Step = self.served.ask(backprop)
        return step

    def newest(self, panel: str) -> np.ndarray:
        """The numbers of the newest step in the table beside a chart."""
        details = self.at(f'section[aria-label="{panel}"] details')
        if details.get_attribute("open") is None:
            details.locator("summary").click()
        row = details.locator("tbody tr").first
        row.wait_for()
        cells = row.locator("td").evaluate_all("all => all.map(one => one.dataset.value ?? 'nan')")
        return np.array(cells, dtype=float)
