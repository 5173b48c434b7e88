"""The server: wishes come in as requests, and what happens goes out as events."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from batchprop.errors import BatchpropError
from batchprop.playground.auth import HEADERS, AuthMiddleware
from batchprop.playground.events import MAX_BYTES, Cursor
from batchprop.playground.page import MICROSCOPE_POLICY, PAGE, POLICY, built, sentence
from batchprop.playground.session import File, Session
from batchprop.playground.worker import EndedError, Worker

T = TypeVar("T")

FRAME_SECONDS = 1 / 12
"""From one frame to the next at least: more often nobody sees."""

MAX_PAGES = 4

_TYPES = {"playground.js": "text/javascript", "playground.css": "text/css"}
MAX_NAME = 100


class Server:
    """What is served of a playground.

    Args:
        stage: runs it.
        port: where it is served.
        token: the first part of every address.
        invitation: an address that leads to the page once.
        end: called when the player ends it.

    Attributes:
        app: the ASGI application.
    """

    def __init__(
        self, stage: Worker, *, port: int, token: str, invitation: str, end: Callable[[], None]
    ) -> None:
        self._stage = stage
        self._end = end
        self._pages = 0
        routes = [
            Route("/", self._page),
            *(Route(f"/{name}", self._static) for name in _TYPES),
            Route("/events", self._events),
            Route("/microscope", self._microscope),
            Route("/run", self._run, methods=["POST"]),
            Route("/settings", self._settings, methods=["POST"]),
            Route("/file", self._file, methods=["POST"]),
            Route("/end", self._ended, methods=["POST"]),
        ]
        bounds = {"file": MAX_BYTES}
        guard = Middleware(AuthMiddleware, port=port, token=token, invitation=invitation, most_bytes=bounds)
        self.app = Starlette(
            routes=[Mount(f"/{token}", routes=routes)],
            middleware=[guard],
            exception_handlers={BatchpropError: _refused, HTTPException: _failed, EndedError: _over},
        )

    async def _page(self, _: Request) -> Response:
        return HTMLResponse(PAGE, headers=HEADERS | {"Content-Security-Policy": POLICY})

    async def _static(self, request: Request) -> Response:
        name = request.url.path.rpartition("/")[2]
        return Response(built(name), media_type=_TYPES[name], headers=HEADERS)

    async def _events(self, _: Request) -> Response:
        return StreamingResponse(self._told(), media_type="text/event-stream", headers=HEADERS)

    async def _told(self) -> AsyncGenerator[str, None]:
        """All that happens, as long as the page listens; where none does, the training rests."""
        if self._pages >= MAX_PAGES:
            # A browser keeps six connections to a server: with one more page, no wish would come through.
            yield _event("full", {"error": f"{MAX_PAGES} pages of the playground are open: close one"})
            return
        heard = Cursor()
        self._pages += 1
        try:
            while True:
                events, heard = await asyncio.wrap_future(self._stage.next_events(heard))
                for name, data in events:
                    yield _event(name, data)
                await asyncio.sleep(FRAME_SECONDS)
        except EndedError:
            yield _event("ended", {})
        finally:
            self._pages -= 1
            if not self._pages:
                self._stage.submit(Session.pause)

    async def _microscope(self, _: Request) -> Response:
        try:
            html = await self._granted(Session.microscope)
        except BatchpropError as error:
            html = sentence(str(error))
        return HTMLResponse(html, headers=HEADERS | {"Content-Security-Policy": MICROSCOPE_POLICY})

    async def _run(self, request: Request) -> Response:
        action = str((await _wish(request)).get("action"))
        await self._granted(lambda playground: playground.act(action))
        return Response(status_code=204, headers=HEADERS)

    async def _settings(self, request: Request) -> Response:
        changes = await _wish(request)
        await self._granted(lambda playground: playground.change(changes))
        return Response(status_code=204, headers=HEADERS)

    async def _file(self, request: Request) -> Response:
        name = _name_of(request.query_params.get("name", ""))
        content = await request.body()
        file = await self._granted(lambda playground: _load(playground, name, content))
        found = {"columns": file.columns, "rows": file.rows, "suggested": file.suggested}
        return JSONResponse(found, headers=HEADERS)

    async def _ended(self, _: Request) -> Response:
        self._end()
        return Response(status_code=204, headers=HEADERS)

    async def _granted(self, function: Callable[[Session], T]) -> T:
        return await asyncio.wrap_future(self._stage.submit(function))


def _load(playground: Session, name: str, content: bytes) -> File:
    with TemporaryDirectory(prefix="batchprop-") as folder:
        # Only the ending is the player's: it says what the file is.
        path = Path(folder, f"table{Path(name).suffix}")
        path.write_bytes(content)
        return playground.load(path, name)


def _name_of(given: str) -> str:
    """The name of a file without folders, in letters that can be shown."""
    letters = "".join(letter for letter in given.replace("\\", "/") if letter.isprintable())
    return Path(letters).name[-MAX_NAME:]


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data, allow_nan=False)}\n\n"


async def _wish(request: Request) -> dict[str, Any]:
    """The object in the body."""
    # A form of another page cannot send this type without asking first.
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "send JSON, as application/json")
    try:
        wish = await request.json()
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "that is no JSON") from error
    if not isinstance(wish, dict):
        raise HTTPException(400, "send an object in JSON")
    return wish


async def _refused(_: Request, error: Exception) -> Response:
    """What the library refuses: a clear sentence, and no failure that a browser would note on its console."""
    return JSONResponse({"refused": str(error)}, headers=HEADERS)


async def _failed(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 what it is registered for
    return JSONResponse({"error": error.detail}, error.status_code, HEADERS)


async def _over(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 410, HEADERS)
