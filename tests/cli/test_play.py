"""`batchprop play` as a process: its address, its events, and its shutdown."""

import base64
import json
import re
import signal
import socket
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest

from tests.cli.commands import START, flowers, process, run

SECONDS = 60  # until a test is given up
BLOCKED = f"import sys; sys.modules['uvicorn'] = None; {START}"


@pytest.fixture
def playing(origin, tmp_path):
    """Start a playground in a process of its own; give that, and its address."""

    @contextmanager
    def start(*words, browser=None):
        opening, env = (("--no-open",), {}) if browser is None else ((), {"BROWSER": str(browser)})
        process = origin.start(("play", *opening, *words), tmp_path, env=env)
        try:
            line = process.stdout.readline()
            match = re.match(r"Playground: (http://127\.0\.0\.1:\d+/[\w-]{32}/)\n", line)
            assert match, process.stderr.read()
            yield process, match[1]
        finally:
            process.close()

    return start


def fetch(address, wish=None):
    request = urllib.request.Request(address)  # noqa: S310 an address of our own
    if wish is not None:
        request.data = json.dumps(wish).encode()
        request.add_header("Content-Type", "application/json")
    return urllib.request.urlopen(request, timeout=SECONDS)  # noqa: S310 an address of our own


def events(stream):
    """Yield the events of a stream."""
    name = ""
    for line in stream:
        kind, _, text = line.decode().rstrip("\n").partition(": ")
        if kind == "event":
            name = text
        elif kind == "data":
            yield name, json.loads(text)


@pytest.mark.parametrize("value", ["inf", "-inf", "1e400"])
@pytest.mark.parametrize("target", ["x", "kind"])
def test_a_number_that_is_not_finite_is_named_in_one_line(tmp_path, value, target):
    path = tmp_path / "t.csv"
    path.write_text("x,kind\n" + "".join(f"{value if i == 3 else i},{'ab'[i % 2]}\n" for i in range(20)))
    told = run("play", path, "--target", target, "--no-open", code=1).stderr
    assert "holds -inf" in told if value == "-inf" else "holds inf" in told
    assert "line 5" in told


def test_playground_starts_streams_events_and_pauses(playing):
    with playing("--seed", "3") as (process, address):
        assert b"<title>batchprop playground</title>" in fetch(address).read()
        with fetch(f"{address}events") as stream:
            told = events(stream)
            name, setup = next(told)
            assert (name, setup["settings"]["seed"]) == ("setup", 3)
            assert next(told)[1]["step"] == 0
            fetch(f"{address}settings", {"speed": "fast", "batch_size": 1})
            fetch(f"{address}command", {"command": "start"})
            losses = 0
            for name, state in told:
                if name == "state":
                    assert state["first_step"] == losses
                    losses += len(base64.b64decode(state["losses"]["data"])) // 4
                    assert state["step"] == losses
                if losses >= 100:
                    break
            fetch(f"{address}command", {"command": "pause"})
            paused = next(state for name, state in told if name == "state" and not state["running"])
            assert len(paused["last_batch"]) == 1
            assert b"microscope" in fetch(f"{address}microscope").read()
        fetch(f"{address}end", {})
        assert process.wait() == 0
        assert process.stdout.read().splitlines()[-1] == "The playground has ended."
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 0)]
)
def test_signal_ends_the_server_with_a_page_connected(playing, number, code):
    with playing() as (process, address), fetch(f"{address}events") as stream:
        told = events(stream)
        next(told)
        fetch(f"{address}command", {"command": "start"})
        process.send_signal(number)
        for _ in told:
            pass  # until the stream ends
        assert process.wait() == code
        assert process.stdout.read().splitlines()[-1] == "The playground has ended."
        assert process.stderr.read() == ""


def test_training_pauses_when_no_page_is_connected(playing):
    with playing() as (_, address):
        with fetch(f"{address}events") as stream:
            told = events(stream)
            next(told)
            fetch(f"{address}settings", {"speed": "slow"})
            fetch(f"{address}command", {"command": "start"})
            assert any(name == "state" and state["running"] for name, state in told)
        with fetch(f"{address}events") as stream:
            # The server notices the disconnect shortly after the new page connects.
            assert any(name == "state" and not state["running"] for name, state in events(stream))


def test_browser_opens_a_one_time_url(playing, tmp_path):
    browser = tmp_path / "browser"
    browser.write_text(
        f'#!/bin/sh\nprintf %s "$1" > {tmp_path}/part && mv {tmp_path}/part {tmp_path}/opened\n'
    )
    browser.chmod(0o700)
    with playing(browser=browser) as (process, address):
        assert process.stdout.readline().startswith("It runs until")  # which comes after the browser
        opened = (tmp_path / "opened").read_text()
        token = address.rstrip("/").rpartition("/")[2]
        assert token not in opened
        assert fetch(opened).url == address
        with pytest.raises(urllib.error.HTTPError, match="403"):
            fetch(opened)


def test_playground_starts_with_a_table(playing, tmp_path):
    table = flowers(tmp_path / "flowers.csv")
    with (
        playing(table.name, "--target", "species") as (_, address),
        fetch(f"{address}events") as stream,
    ):
        _, setup = next(events(stream))
    assert setup["settings"]["data"] == "file"
    assert setup["data"]["title"] == "flowers.csv: species"
    assert setup["data"]["outputs"] == ["setosa", "versicolor", "virginica"]


def test_request_without_the_token_is_rejected(playing):
    with playing() as (_, address):
        bare = address.rpartition("/")[0].rpartition("/")[0] + "/"
        for wrong in (bare, f"{bare}events", f"{bare}{'x' * 32}/"):
            with pytest.raises(urllib.error.HTTPError, match="403"):
                fetch(wrong)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["t.csv"], 2, "--target is missing: name the column of t.csv to learn"),
        (["--target", "y"], 2, "--target names a column, but there is no DATA"),
        (["missing.csv", "--target", "y"], 1, "missing.csv"),
        (["t.csv", "--target", "z"], 1, "'z'"),
        (["t.txt", "--target", "y"], 1, "t.txt is not a table that the playground reads"),
        (["--port", "70000"], 2, "70000"),
    ],
)
def test_invalid_input_is_a_one_line_error(tmp_path, monkeypatch, words, code, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("x,y\n" + "".join(f"{i**0.5},{i % 2}\n" for i in range(20)))
    assert said in run("play", "--no-open", *words, code=code).stderr


def test_port_in_use_is_reported(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = run("play", "--no-open", "--port", port, code=1).stderr
    assert f"port {port} cannot be listened at (Address already in use): leave --port out" in said


def test_missing_extra_error_says_how_to_install_it(tmp_path):
    done = process("play", cwd=tmp_path, start=BLOCKED)
    assert done.returncode == 1
    assert done.stderr == (
        'batchprop: this needs uvicorn, which is not installed: pip install "batchprop[play]"\n'
    )
