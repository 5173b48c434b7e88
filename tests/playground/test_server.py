"""The server: its responses, and the requests that it rejects."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.testclient import TestClient

from batchprop.cli.playground_tools import PlaygroundTools
from batchprop.playground.events import MAX_FILE_BYTES
from batchprop.playground.server import Server
from batchprop.playground.session import Session
from batchprop.playground.settings import Settings
from batchprop.playground.worker import Worker

PORT, TOKEN, INVITATION = 8123, "the-token", "the-invitation"
HOST = f"127.0.0.1:{PORT}"
OURS = f"http://{HOST}"
CSV = b"x,y\n" + b"".join(b"%.3f,%s\n" % (i**0.5, [b"a", b"b"][i % 2]) for i in range(40))
JSON = {"content-type": "application/json"}
CHUNKED = JSON | {"transfer-encoding": "chunked"}


class Served:
    """A playground behind a server, and its HTTP client."""

    def __init__(self) -> None:
        self.ends = 0
        self.worker = Worker(Session(PlaygroundTools(), Settings(rows=60)))
        self.server = Server(self.worker, port=PORT, token=TOKEN, invitation=INVITATION, end=self._end)
        self.client = TestClient(self.server.app, base_url=OURS, follow_redirects=False)

    def _end(self) -> None:
        self.ends += 1

    def post(self, path: str, wish: Any = None, **extra: Any) -> Any:
        return self.client.post(f"/{TOKEN}/{path}", **({"json": wish} if wish is not None else {}), **extra)

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(f"/{TOKEN}/{path}", headers=headers)

    def steps(self) -> int:
        return self.worker.submit(lambda it: it.trainer.steps).result(30)


@pytest.fixture
def served() -> Iterator[Served]:
    playground = Served()
    yield playground
    playground.worker.close()
    playground.worker.join()


def test_page_and_files_are_served_with_a_strict_policy(served: Served) -> None:
    page = served.get("")
    assert page.status_code == 200
    assert '<main id="playground">' in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    for name, kind in (("playground.js", "text/javascript"), ("playground.css", "text/css")):
        file = served.get(name)
        assert file.status_code == 200
        assert file.headers["content-type"].startswith(kind)
        assert len(file.content) > 1000
    for answer in (page, file, served.get("nothing"), served.post("command", {})):
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


def test_commands_and_settings_are_executed(served: Served) -> None:
    assert served.post("command", {"command": "step"}).status_code == 204
    assert served.steps() == 1
    assert served.post("settings", {"batch_size": 1}).status_code == 204
    assert served.post("command", {"command": "step"}).status_code == 204
    assert served.worker.submit(lambda it: list(it.trainer.batch_sizes)).result(30) == [16, 1]
    page = served.get("microscope")
    assert "Batch 2 of Two moons" in page.text
    assert page.headers["content-security-policy"] == "frame-ancestors 'self'"
    assert served.post("end", {}).status_code == 204
    assert served.ends == 1


def test_file_is_loaded_and_used(served: Served) -> None:
    response = served.post("file?name=..%2f..%2fpets.csv", content=CSV)
    assert response.json() == {"columns": ["x", "y"], "rows": 40, "suggested_target": "y"}
    assert served.post("settings", {"data": "file", "target": "y", "batch_size": 4}).status_code == 204
    assert served.worker.submit(lambda it: it.data.title).result(30) == "pets.csv: y"


@pytest.mark.parametrize(
    ("headers", "status", "message"),
    [
        ({"origin": "http://evil.example"}, 403, "no other origin is accepted"),
        ({"origin": "null"}, 403, "no other origin is accepted"),
        ({"origin": f"http://127.0.0.1:{PORT + 1}"}, 403, "no other origin is accepted"),
        ({"origin": f"https://{HOST}"}, 403, "no other origin is accepted"),
        ({"host": "evil.example"}, 403, f"the host is not {HOST}"),
        ({"host": f"localhost:{PORT}"}, 403, f"the host is not {HOST}"),
        ({"host": "127.0.0.1"}, 403, "the host is not"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_other_origins_and_hosts_are_rejected(
    served: Served, method: str, headers: dict[str, str], status: int, message: str
) -> None:
    path = f"/{TOKEN}/" if method == "GET" else f"/{TOKEN}/command"
    wish = {"command": "step"} if method == "POST" else None
    answer = served.client.request(method, path, headers=headers, json=wish)
    assert answer.status_code == status
    assert message in answer.json()["error"]
    assert "access-control-allow-origin" not in answer.headers
    assert served.steps() == 0


@pytest.mark.parametrize(
    "path",
    ["/", "/command", "/wrong/", "/wrong/run", "/the-toke/", "/the-token2/", "//the-token/", "/t%C3%B6ken/"],
)
def test_nothing_is_served_without_the_token(served: Served, path: str) -> None:
    for answer in (served.client.get(path), served.client.post(path, json={"command": "step"})):
        assert answer.status_code == 403
        assert "the token is missing or wrong" in answer.json()["error"]
    assert served.steps() == 0


def test_own_origin_is_accepted(served: Served) -> None:
    answer = served.post("command", {"command": "step"}, headers={"origin": OURS})
    assert answer.status_code == 204


@pytest.mark.parametrize(
    ("path", "extra", "status", "message"),
    [
        ("command", {"json": {"command": "dance"}}, 200, "'dance' is unknown"),
        ("command", {"json": {}}, 200, "'None' is unknown"),
        ("command", {"json": ["step"]}, 400, "send a JSON object"),
        ("command", {"content": b"action=step"}, 415, "send JSON"),
        ("command", {"content": b"{", "headers": JSON}, 400, "not valid JSON"),
        ("command", {"content": b"[" * 60_000, "headers": JSON}, 400, "not valid JSON"),
        ("command", {"content": b"\xff", "headers": JSON}, 400, "not valid JSON"),
        ("command", {"json": {"command": "x" * 70_000}}, 413, "the limit is 65,536"),
        ("command", {"content": iter([b"{}"])}, 411, "the length of the request is missing"),
        ("settings", {"json": {"hidden": [10**6]}}, 200, "hidden=[1000000] is not allowed"),
        ("settings", {"json": {"rows": 10**12}}, 200, "rows=1000000000000 is not allowed"),
        ("settings", {"content": rb'{"target": "\ud800"}', "headers": JSON}, 204, ""),
        ("settings", {"content": rb'{"\ud800": 1}', "headers": JSON}, 200, "is unknown"),
        ("settings", {"json": {"data": "file"}}, 200, "there is no file yet"),
        ("file?name=t.csv", {"content": b"x" * (MAX_FILE_BYTES + 1)}, 413, "the limit is 20,000,000"),
        ("file?name=t.csv", {"content": b""}, 200, "t.csv"),
        ("file", {"content": CSV}, 200, "is not a table"),
        ("file?name=%00t%2F.csv", {"content": CSV}, 200, "is not a table"),
        ("file?name=t.%00csv", {"content": CSV}, 200, ""),
        ("nothing", {"json": {}}, 404, "Not Found"),
        ("command", {"content": b"{}", "headers": CHUNKED}, 411, "the length of the request is missing"),
    ],
)  # fmt: skip
def test_invalid_requests_get_an_error_message(
    served: Served, path: str, extra: dict[str, Any], status: int, message: str
) -> None:
    answer = served.client.post(f"/{TOKEN}/{path}", **extra)
    assert answer.status_code == status, answer.text
    if message:
        assert message in answer.json()["error"]
    assert served.steps() == 0


def test_microscope_without_a_batch_says_so(served: Served) -> None:
    answer = served.get("microscope")
    assert answer.status_code == 200  # else a browser would note a failure on its console
    assert "<p>there is no batch yet: take a step, then open the microscope</p>" in answer.text


def test_invitation_works_once(served: Served) -> None:
    """Whoever reads the URL in the process list is too late, or is noticed."""
    foreign = served.client.get(f"/{INVITATION}", headers={"origin": "http://evil.example"})
    assert foreign.status_code == 403
    answer = served.client.get(f"/{INVITATION}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/{TOKEN}/")
    assert served.client.get(f"/{INVITATION}").status_code == 403
    assert served.get("").status_code == 200


def test_fifth_page_is_rejected(served: Served) -> None:
    async def first(count: int) -> list[str]:
        streams = [served.server._event_stream() for _ in range(count)]
        first_events = [await anext(stream) for stream in streams]
        for stream in streams:
            await stream.aclose()
        return first_events

    loop = asyncio.new_event_loop()
    with ThreadPoolExecutor(1) as apart:
        events = apart.submit(loop.run_until_complete, first(5)).result(30)
        again = apart.submit(loop.run_until_complete, first(1)).result(30)
    loop.close()
    assert [event.split("\n")[0] for event in events] == ["event: setup"] * 4 + ["event: full"]
    assert "4 pages of the playground are open: close one" in events[-1]
    assert again[0].startswith("event: setup")


def test_other_protocols_are_rejected(served: Served) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "path": f"/{TOKEN}/events", "headers": []}
    # In a separate thread, as Playwright keeps an event loop running in this one.
    talk = threading.Thread(target=lambda: asyncio.run(served.server.app(scope, receive, send)))
    talk.start()
    talk.join()
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_requests_after_the_end_get_410(served: Served) -> None:
    served.worker.close()
    served.worker.join()
    answer = served.post("command", {"command": "step"})
    assert (answer.status_code, answer.json()["error"]) == (410, "the playground has ended")
