"""Who may talk to the playground: this machine's browser, from the page itself, with the token."""

import secrets
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

HOST = "127.0.0.1"

MAX_JSON_BYTES = 65_536

HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # the address holds the token
    "X-Content-Type-Options": "nosniff",
}
"""Sent with every answer."""


class AuthMiddleware:
    """Turns away whatever does not come from the playground's own page.

    A page of another origin may send requests here, though not read the answers: it does not know the token.
    Nor does one that has its own name point here (DNS rebinding), whose requests name another host besides.

    Args:
        app: what is guarded.
        port: where it listens.
        token: the first part of every path.
        invitation: a path that leads to the page once: an address that is opened by another program can be
            read by every user of the machine, in the list of its processes.
        most_bytes: of a body, for paths that take more than a choice.
    """

    def __init__(
        self, app: ASGIApp, *, port: int, token: str, invitation: str, most_bytes: Mapping[str, int]
    ) -> None:
        self._app = app
        self._host = f"{HOST}:{port}"
        self._token = token
        self._invitation: str | None = invitation
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with why not."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        elif (refused := self._refused(scope)) is not None:
            why, status = refused
            await JSONResponse({"error": why}, status, HEADERS)(scope, receive, send)
        elif self._invites(scope):
            self._invitation = None
            await RedirectResponse(f"/{self._token}/", 303, HEADERS)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refused(self, scope: Scope) -> tuple[str, int] | None:
        headers = Headers(scope=scope)
        if headers.get("host") != self._host:
            return f"this is {self._host}, and no other host", 403
        if headers.get("origin", f"http://{self._host}") != f"http://{self._host}":
            return "no other origin is accepted", 403
        if self._invites(scope):
            return None
        given, _, rest = scope["path"].removeprefix("/").partition("/")
        if not _same(given, self._token):
            return "the token is missing or wrong: open the address that the terminal shows", 403
        return self._too_long(headers, rest) if scope["method"] == "POST" else None

    def _invites(self, scope: Scope) -> bool:
        path = scope["path"].removeprefix("/")
        return self._invitation is not None and _same(path, self._invitation)

    def _too_long(self, headers: Headers, rest: str) -> tuple[str, int] | None:
        most = self._most_bytes.get(rest, MAX_JSON_BYTES)
        length = headers.get("content-length", "")
        if not length.isdecimal() or "transfer-encoding" in headers:
            return "the length of the request is missing", 411
        if int(length) > most:
            return f"that is {int(length) / 1e6:,.1f} MB: {most / 1e6:,.1f} MB are the most", 413
        return None


def _same(given: str, secret: str) -> bool:
    # As bytes: letters beyond ASCII would not do.
    return secrets.compare_digest(given.encode(), secret.encode())
