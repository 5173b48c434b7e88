"""`batchprop play`, from the table to the server and its end."""

import secrets
import signal
import socket
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import uvicorn
from rich.console import Console

from batchprop.cli.console import make_console
from batchprop.cli.playground_tools import PlaygroundTools
from batchprop.cli.signals import exit_code
from batchprop.errors import BatchpropError
from batchprop.playground.auth import HOST
from batchprop.playground.server import Server
from batchprop.playground.session import Session
from batchprop.playground.settings import FILE, Settings
from batchprop.playground.worker import Worker

_TOKEN_BYTES = 24
_PATIENCE = 2  # seconds for responses in progress when it ends


class _Server(uvicorn.Server):
    """A server that ends its worker however it ends, so that no page waits."""

    def __init__(self, config: uvicorn.Config, stage: Worker) -> None:
        super().__init__(config)
        self._stage = stage

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End the worker, then the server."""
        super().handle_exit(sig, frame)
        self._stage.close()

    def end(self) -> None:
        """End the server."""
        self.should_exit = True
        self._stage.close()


def run(path: Path | None, target: str | None, *, seed: int, port: int, opened: bool) -> int:
    """Serve a playground until the user ends it.

    Args:
        path: the initial table, or None.
        target: its column to learn, or None.
        seed: of the points and the first weights.
        port: the port; 0 for a free one.
        opened: whether to open the page in the browser.

    Returns:
        The exit code: 130 or 143 after Ctrl-C or SIGTERM, else 0.

    Raises:
        BatchpropError: the table cannot be learned from, or the port is taken.
    """
    console = make_console()
    tools, settings, file = PlaygroundTools(), Settings(seed=seed), None
    if path is not None:
        file = tools.inspect_file(path, path.name)
        settings = settings.replace({"data": FILE, "target": target})
    playground = Session(tools, settings, file)
    # Bound before the worker starts, so that a port in use is an error at once.
    with _bind(port) as listening:
        stage = Worker(playground)
        try:
            return _serve(console, stage, listening, opened=opened)
        finally:
            stage.close()
            stage.join()


def _serve(console: Console, stage: Worker, listening: socket.socket, *, opened: bool) -> int:
    port = listening.getsockname()[1]
    # Other users of the machine can reach the port, but do not know the token.
    token, invitation = secrets.token_urlsafe(_TOKEN_BYTES), secrets.token_urlsafe(_TOKEN_BYTES)

    def end() -> None:
        listener.end()

    server = Server(stage, port=port, token=token, invitation=invitation, end=end)
    config = uvicorn.Config(
        server.app,
        log_config=None,
        log_level="error",
        access_log=False,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=_PATIENCE,
    )
    listener = _Server(config, stage)
    console.print(f"Playground: http://{HOST}:{port}/{token}/", soft_wrap=True, highlight=False)
    if opened and not webbrowser.open(f"http://{HOST}:{port}/{invitation}"):
        console.print("There is no browser to open it with: open that address in one.", soft_wrap=True)
    console.print("It runs until Ctrl-C here, or End in the page.", soft_wrap=True)
    with _handle_hangup(listener):
        try:
            listener.run(sockets=[listening])
        except KeyboardInterrupt:
            # It ended well; the listener raises the signal again when it is done.
            console.print("The playground has ended.")
            return exit_code()
    console.print("The playground has ended.")
    return 0


@contextmanager
def _bind(port: int) -> Iterator[socket.socket]:
    """Open a socket that only this machine reaches, and that accepts connections at once."""
    with socket.socket() as listening:
        try:
            listening.bind((HOST, port))
        except OSError as error:
            raise BatchpropError(
                f"port {port} cannot be listened at ({error.strerror}): leave --port out to take a free one"
            ) from error
        listening.listen()
        yield listening


@contextmanager
def _handle_hangup(listener: _Server) -> Iterator[None]:
    """End the server when the terminal closes, except under nohup."""
    number = getattr(signal, "SIGHUP", None)
    if number is None or signal.getsignal(number) in (signal.SIG_IGN, None):
        yield
        return
    before = signal.signal(number, lambda *_: listener.end())
    try:
        yield
    finally:
        signal.signal(number, before)
