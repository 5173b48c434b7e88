"""Access to the playground: from this machine's browser, from the page itself, and with the token."""

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
"""Sent with every response."""


class AuthMiddleware:
    """Rejects every request that does not come from the playground's own page.

    Another site may send requests here, but does not know the token. A site whose own name points here (DNS
    rebinding) also sends another host. The invitation is a path that opens the page once, because every user
    of this machine can read the address that starts the browser in the list of processes.
    """

    def __init__(
        self, app: ASGIApp, *, port: int, token: str, invitation: str, max_bytes: Mapping[str, int]
    ) -> None:
        self._app = app
        self._host = f"{HOST}:{port}"
        self._token = token
        self._invitation: str | None = invitation
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer with why not."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        elif (rejection := self._rejection(scope)) is not None:
            reason, status = rejection
            await JSONResponse({"error": reason}, status, HEADERS)(scope, receive, send)
        elif self._is_invitation(scope):
            self._invitation = None
            await RedirectResponse(f"/{self._token}/", 303, HEADERS)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _rejection(self, scope: Scope) -> tuple[str, int] | None:
        headers = Headers(scope=scope)
        if headers.get("host") != self._host:
            return f"the host is not {self._host}", 403
        if headers.get("origin", f"http://{self._host}") != f"http://{self._host}":
            return "no other origin is accepted", 403
        if self._is_invitation(scope):
            return None
        token, _, rest = scope["path"].removeprefix("/").partition("/")
        if not _equal(token, self._token):
            return "the token is missing or wrong: open the address that the terminal shows", 403
        return self._check_length(headers, rest) if scope["method"] == "POST" else None

    def _is_invitation(self, scope: Scope) -> bool:
        path = scope["path"].removeprefix("/")
        return self._invitation is not None and _equal(path, self._invitation)

    def _check_length(self, headers: Headers, rest: str) -> tuple[str, int] | None:
        limit = self._max_bytes.get(rest, MAX_JSON_BYTES)
        length = headers.get("content-length", "")
        if not length.isdecimal() or "transfer-encoding" in headers:
            return "the length of the request is missing", 411
        if int(length) > limit:
            return f"the request has {int(length):,} bytes: the limit is {limit:,}", 413
        return None


def _equal(value: str, secret: str) -> bool:
    # In constant time, so that nobody guesses the token letter by letter; as bytes, for paths beyond ASCII.
    return secrets.compare_digest(value.encode(), secret.encode())
