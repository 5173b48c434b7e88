"""The server: settings and commands come in as requests, and the training's state goes out as events."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from batchprop.data.temporary import TemporaryDirectory
from batchprop.errors import BatchpropError
from batchprop.files import create_file
from batchprop.playground.auth import HEADERS, AuthMiddleware
from batchprop.playground.events import MAX_FILE_BYTES, Cursor
from batchprop.playground.page import MICROSCOPE_POLICY, PAGE, POLICY, message_page
from batchprop.playground.session import File, Session
from batchprop.playground.worker import EndedError, Worker
from batchprop.webdata import read_asset

T = TypeVar("T")

MIN_EVENT_SECONDS = 1 / 12
"""Between two events: more than twelve a second would only cost time."""

MAX_PAGES = 4

_TYPES = {"playground.js": "text/javascript", "playground.css": "text/css"}
MAX_NAME_LENGTH = 100


class Server:
    """The ASGI application of one playground: its page, events, and the requests of its controls."""

    def __init__(
        self, worker: Worker, *, port: int, token: str, invitation: str, end: Callable[[], None]
    ) -> None:
        self._worker = worker
        self._end = end
        self._pages = 0
        routes = [
            Route("/", self._page),
            *(Route(f"/{name}", self._static) for name in _TYPES),
            Route("/events", self._events),
            Route("/microscope", self._microscope),
            Route("/command", self._command, methods=["POST"]),
            Route("/settings", self._settings, methods=["POST"]),
            Route("/file", self._file, methods=["POST"]),
            Route("/end", self._end_session, methods=["POST"]),
        ]
        limits = {"file": MAX_FILE_BYTES}
        guard = Middleware(AuthMiddleware, port=port, token=token, invitation=invitation, max_bytes=limits)
        self.app = Starlette(
            routes=[Mount(f"/{token}", routes=routes)],
            middleware=[guard],
            exception_handlers={
                BatchpropError: _library_error,
                HTTPException: _http_error,
                EndedError: _ended_error,
            },
        )

    async def _page(self, _: Request) -> Response:
        return HTMLResponse(PAGE, headers=HEADERS | {"Content-Security-Policy": POLICY})

    async def _static(self, request: Request) -> Response:
        name = request.url.path.rpartition("/")[2]
        return Response(read_asset("playground", name), media_type=_TYPES[name], headers=HEADERS)

    async def _events(self, _: Request) -> Response:
        return StreamingResponse(self._event_stream(), media_type="text/event-stream", headers=HEADERS)

    async def _event_stream(self) -> AsyncGenerator[str, None]:
        """Yield events while a page listens; pause the training when the last page leaves."""
        if self._pages >= MAX_PAGES:
            # A browser keeps six connections per server: more pages would leave none for requests.
            yield _event("full", {"error": f"{MAX_PAGES} pages of the playground are open: close one"})
            return
        cursor = Cursor()
        self._pages += 1
        try:
            while True:
                events, cursor = await asyncio.wrap_future(self._worker.next_events(cursor))
                for name, data in events:
                    yield _event(name, data)
                await asyncio.sleep(MIN_EVENT_SECONDS)
        except EndedError:
            yield _event("ended", {})
        finally:
            self._pages -= 1
            if not self._pages:
                self._worker.submit(Session.pause)

    async def _microscope(self, _: Request) -> Response:
        try:
            html = await self._submit(Session.microscope)
        except BatchpropError as error:
            html = message_page(str(error))
        return HTMLResponse(html, headers=HEADERS | {"Content-Security-Policy": MICROSCOPE_POLICY})

    async def _command(self, request: Request) -> Response:
        command = str((await _read_json(request)).get("command"))
        await self._submit(lambda session: session.execute(command))
        return Response(status_code=204, headers=HEADERS)

    async def _settings(self, request: Request) -> Response:
        changes = await _read_json(request)
        await self._submit(lambda session: session.change(changes))
        return Response(status_code=204, headers=HEADERS)

    async def _file(self, request: Request) -> Response:
        name = _clean_name(request.query_params.get("name", ""))
        content = await request.body()
        file = await self._submit(lambda session: _load(session, name, content))
        loaded = {"columns": file.columns, "rows": file.rows, "suggested_target": file.suggested_target}
        return JSONResponse(loaded, headers=HEADERS)

    async def _end_session(self, _: Request) -> Response:
        self._end()
        return Response(status_code=204, headers=HEADERS)

    async def _submit(self, function: Callable[[Session], T]) -> T:
        return await asyncio.wrap_future(self._worker.submit(function))


def _load(session: Session, name: str, content: bytes) -> File:
    with closing(TemporaryDirectory()) as folder:
        # Only the suffix of the user's name enters the path: it tells the format.
        path = folder.path / f"table{Path(name).suffix}"
        with create_file(path) as file:
            file.write(content)
        return session.load_file(path, name)


def _clean_name(name: str) -> str:
    """Return a file's name without folders and unprintable characters."""
    printable = "".join(letter for letter in name.replace("\\", "/") if letter.isprintable())
    return Path(printable).name[-MAX_NAME_LENGTH:]


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data, allow_nan=False)}\n\n"


async def _read_json(request: Request) -> dict[str, Any]:
    """Return the JSON object in the body."""
    # A form on another site cannot send this content type without a CORS preflight, which fails.
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "send JSON, as application/json")
    try:
        body = await request.json()
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "the body is not valid JSON") from error
    if not isinstance(body, dict):
        raise HTTPException(400, "send a JSON object")
    return body


async def _library_error(_: Request, error: Exception) -> Response:
    """Answer an error of the library with status 200: browsers log every other status in their console."""
    return JSONResponse({"error": str(error)}, headers=HEADERS)


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 it is registered for this type only
    return JSONResponse({"error": error.detail}, error.status_code, HEADERS)


async def _ended_error(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 410, HEADERS)
