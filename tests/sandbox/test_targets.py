"""Copies of services outside: over HTTP and a Redis stream, and what they must not be."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from redis import Redis

from apps.access import outbound
from apps.sandbox import outside
from apps.sandbox.commands import control, forks, jobs
from apps.sandbox.errors import BadRecipe, NotNow
from apps.sandbox.models import Fork, Run
from apps.sandbox.queries.comparison import comparison
from tests.conftest import Log
from tests.factories import NOON, delivery, envelope

pytestmark = pytest.mark.django_db
Act = Callable[[dict[str, Any]], Any]


@pytest.fixture
def mails(log: Log) -> Log:
    """Three orders, each delivered to the mailer, which says so."""
    for n in range(3):
        at = NOON + n * 1_000_000
        placed = log.add(type="Placed", source="/web", stream=f"order-{n}", time=at, data={"n": n},
                         correlation=f"c-{n}")  # fmt: skip
        log.append(
            envelope(type="Mailed", source="/mailer", stream=f"mail-{n}", time=at, cause=placed,
                     data={"to": n}, correlation=f"c-{n}"),
            delivery("mailer", cause=placed, time=at, data={"attempt": 1}), now=at,
        )  # fmt: skip
    return log


def mailed(event: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return what the mailer publishes, as a CloudEvent."""
    n = event["data"]["n"]
    return {
        "specversion": "1.0", "id": f"m-{n}", "source": "/copy", "type": "Mailed",
        "subject": f"mail-{n}", "data": {"to": n, **more},
    }  # fmt: skip


class Copy:
    """A real HTTP server; `act` says what it answers to an event: JSON, a status, or bytes."""

    def __init__(self, act: Act) -> None:
        self.got: list[tuple[dict[str, str], dict[str, Any]]] = []
        copy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                event = json.loads(body)
                copy.got.append(({k.lower(): v for k, v in self.headers.items()}, event))
                answer = act(event)
                if isinstance(answer, bytes):
                    self.wfile.write(answer)
                    self.close_connection = True
                    return
                status = answer if isinstance(answer, int) else 200
                raw = b"" if isinstance(answer, int) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/cloudevents+json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a client that hangs up is what some of these tests are about

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/events"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


@pytest.fixture
def serve() -> Iterator[Callable[[Act], Copy]]:
    copies: list[Copy] = []

    def start(act: Act) -> Copy:
        copies.append(Copy(act))
        return copies[-1]

    yield start
    for copy in copies:
        copy.close()


def fork(mails: Log, target: dict[str, Any], *, base: int = 0) -> Fork:
    return forks.create(mails.line, base=base, code={"mailer": target})


def done(mails: Log, made: Fork, check: str = "") -> Run:
    run = forks.start(mails.line, made, check=check)
    claimed = jobs.claim(run.pk)
    assert claimed is not None
    return jobs.work(claimed)


def ran(mails: Log, target: dict[str, Any]) -> Run:
    """Do the dry run, and the run."""
    made = fork(mails, target)
    dry = done(mails, made, "dry")
    assert (dry.status, dry.error) == ("finished", "")
    return done(mails, made)


def test_it_works(mails: Log, serve: Callable[[Act], Copy]) -> None:
    copy = serve(mailed)
    run = ran(mails, {"http": copy.url})

    assert (run.status, run.error) == ("finished", "")
    found = comparison(run)
    assert (found["same"], found["changed"], found["missing"], found["new"]) == (6, 0, 0, 0)
    headers, event = copy.got[0]
    assert headers["content-type"].startswith("application/cloudevents+json")
    assert (event["type"], event["subject"], event["data"]) == ("Placed", "order-0", {"n": 0})
    marks = [headers["evdebug-sandbox"] for headers, _ in copy.got]
    assert [event["evdebugsandbox"] for _, event in copy.got] == marks
    assert len({mark.partition(".")[0] for mark in marks}) == 1
    assert [mark.partition(".")[2] for mark in marks] == ["1", "2", "3"]


def test_a_dry_run_comes_first_and_sends_nothing(
    mails: Log, serve: Callable[[Act], Copy]
) -> None:  # fmt: skip
    copy = serve(mailed)
    made = fork(mails, {"http": copy.url})
    with pytest.raises(NotNow, match="A dry run comes first"):
        forks.start(mails.line, made)
    with pytest.raises(NotNow, match="A dry run comes first"):
        forks.start(mails.line, made, check="twice")

    dry = done(mails, made, "dry")
    assert dry.result is not None
    (row,) = dry.result["sends"]
    assert (row["service"], row["to"], row["type"], row["count"]) == (
        "mailer", copy.url, "Placed", 3,
    )  # fmt: skip
    assert json.loads(row["first"])["data"] == {"n": 0}
    assert copy.got == []
    forks.start(mails.line, made)
    forks.change(mails.line, made, code={"mailer": {"http": copy.url + "/other"}})
    with pytest.raises(NotNow, match="A dry run comes first"):
        forks.start(mails.line, made)


def test_what_a_copy_does_otherwise_is_wanted(mails: Log, serve: Callable[[Act], Copy]) -> None:
    copy = serve(lambda event: mailed(event, cc="x"))
    found = comparison(ran(mails, {"http": copy.url}))
    assert (found["changed"], found["unexpected"]) == (3, 0)
    assert found["events"][0]["changes"] == [{"op": "add", "path": "/cc", "after": "x"}]


def test_a_copy_that_fails_is_tried_as_a_handler_is(
    mails: Log, serve: Callable[[Act], Copy]
) -> None:  # fmt: skip
    copy = serve(lambda event: 503 if event["data"]["n"] == 1 else mailed(event))
    run = ran(mails, {"http": copy.url})
    found = comparison(run)
    assert (run.status, found["missing"], found["same"]) == ("finished", 1, 5)
    tried = [h["evdebug-attempt"] for h, event in copy.got if event["data"]["n"] == 1]
    assert tried == ["1", "2"]  # a third one would come after the end


def answer(head: str, body: bytes = b"") -> bytes:
    return f"HTTP/1.1 {head}\r\n\r\n".encode() + body


def slow(event: dict[str, Any]) -> int:
    time.sleep(1.5)
    return 200


HUGE = answer("200 OK\r\nContent-Length: 9000000", b"x" * 9_000_000)
BAD = {
    "redirects": (lambda _: answer("302 Found\r\nLocation: http://10.0.0.1/"), "never followed"),
    "never answers": (slow, "did not answer within 0.4 s"),
    "answers hugely": (lambda _: HUGE, "more than 4194304 bytes"),
    "hangs up": (lambda _: answer("200 OK\r\nContent-Length: 50", b"{"), "stopped answering"),
    "talks nonsense": (lambda _: b"\x00\xff" * 50 + b"\r\n", "cannot be reached"),
}


@pytest.mark.parametrize("how", BAD)
def test_a_copy_that(
    how: str, mails: Log, serve: Callable[[Act], Copy], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """The run stops there with the reason, and goes on once it is better."""
    act, words = BAD[how]
    well = threading.Event()
    copy = serve(lambda event: mailed(event) if well.is_set() else act(event))
    with monkeypatch.context() as patched:
        if how == "never answers":
            patched.setattr(outside.Http.__init__, "__kwdefaults__", {"within": 0.4})
        run = ran(mails, {"http": copy.url})
    assert run.status == "stopped"
    assert "mailer" in run.error
    assert re.search(words, run.error)
    assert run.repeats == 1

    well.set()
    control.do(run, "resume")
    claimed = jobs.claim(run.pk)
    assert claimed is not None
    again = jobs.work(claimed)
    assert (again.status, comparison(again)["same"]) == ("finished", 6)


class Died(BaseException):
    """A worker is gone before it wrote a checkpoint."""


def test_a_worker_that_dies_sends_nothing_again(
    mails: Log, serve: Callable[[Act], Copy], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    def die(*_: Any) -> None:
        raise Died

    copy = serve(mailed)
    made = fork(mails, {"http": copy.url})
    assert done(mails, made, "dry").status == "finished"
    with monkeypatch.context() as patched:
        patched.setattr(jobs._Writer, "write", die)
        with pytest.raises(Died):
            done(mails, made)
    before = [event["data"]["n"] for _, event in copy.got]
    assert before

    Run.objects.filter(status="running").update(lease=timezone.now() - timedelta(seconds=1))
    claimed = jobs.claim(made.runs.get(status="running").pk)
    assert claimed is not None
    run = jobs.work(claimed)
    assert (run.status, comparison(run)["same"]) == ("finished", 6)
    assert [event["data"]["n"] for _, event in copy.got] == [0, 1, 2]
    assert run.repeats == 1


def test_a_drip_is_cut(mails: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time; all of it together does not."""
    monkeypatch.setattr(outside.Http.__init__, "__kwdefaults__", {"within": 0.5})
    listening = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def drip() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n\r\n")
            while not ended.wait(0.05):
                try:
                    connection.sendall(b".")
                except OSError:
                    return

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    run = ran(mails, {"http": f"http://127.0.0.1:{listening.getsockname()[1]}/"})
    ended.set()
    thread.join(10)
    listening.close()
    assert (run.status, "within 0.5 s" in run.error) == ("stopped", True)


def test_a_copy_that_says_what_is_no_event(mails: Log, serve: Callable[[Act], Copy]) -> None:
    copy = serve(lambda event: {"no": "event"})
    run = ran(mails, {"http": copy.url})
    assert (run.status, comparison(run)["missing"]) == ("finished", 3)


REFUSED = {
    "ftp://127.0.0.1/": "A target is http",
    "http://u:p@127.0.0.1/": "without a password",
    "http://169.254.169.254/latest": "not to be reached",
    "http://10.1.2.3/": "EVDEBUG_REACH",
    "http://[::ffff:169.254.169.254]/": "not to be reached",
    "http://127.0.0.1:99999/": "cannot be read",
    "": "A target is http",
}


@pytest.mark.parametrize("url", REFUSED)
def test_it_refuses(url: str, mails: Log) -> None:
    with pytest.raises(BadRecipe, match=REFUSED[url]):
        fork(mails, {"http": url})


def test_a_name_that_resolves_otherwise_later_is_not_connected_to(
    mails: Log, serve: Callable[[Act], Copy], monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:  # fmt: skip
    copy = serve(mailed)
    settings.REACH = outbound.parse(["copy.example.com"], local=False)
    found = ["93.184.216.34"]
    monkeypatch.setattr(outbound, "_resolve", lambda host, port: list(found))
    made = fork(mails, {"http": copy.url.replace("127.0.0.1", "copy.example.com")})
    assert done(mails, made, "dry").status == "finished"
    found[:] = ["127.0.0.1"]
    run = done(mails, made)
    assert run.status == "failed"
    assert "not to be reached from here" in run.error
    assert copy.got == []


def test_a_service_nothing_was_delivered_to(mails: Log, serve: Callable[[Act], Copy]) -> None:
    copy = serve(lambda event: 204)
    made = forks.create(mails.line, base=0, code={"audit": {"http": copy.url}})
    assert "Nothing was delivered to audit" in done(mails, made, "dry").error
    forks.change(
        mails.line, made, code={"audit": {"http": copy.url, "types": ["Mailed"]}}
    )  # fmt: skip
    assert done(mails, made, "dry").status == "finished"
    assert done(mails, made).status == "finished"
    assert [event["type"] for _, event in copy.got] == ["Mailed"] * 3


# -- Redis ---------------------------------------------------------------------------------------


class Reader:
    """A copy on a Redis stream: reads by a group of its own, publishes, acknowledges."""

    def __init__(self, url: str, stream: str, act: Act) -> None:
        self.redis = Redis.from_url(url)
        self.redis.delete(stream, f"{stream}.out")
        self.redis.xgroup_create(stream, "mailer", "$", mkstream=True)
        self._ended = threading.Event()

        def work() -> None:
            with Redis.from_url(url) as redis:
                while not self._ended.is_set():
                    found: Any = redis.xreadgroup("mailer", "c", {stream: ">"}, block=50)
                    for entry, fields in found[0][1] if found else ():
                        mark = {"evdebug-sandbox": fields[b"evdebug-sandbox"]}
                        for made in act(json.loads(fields[b"event"])):
                            redis.xadd(f"{stream}.out", {"event": json.dumps(made), **mark})
                        redis.xadd(f"{stream}.out", {"event": "{}", "evdebug-sandbox": "other"})
                        redis.xack(stream, "mailer", entry)

        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join(10)
        self.redis.close()


def test_a_copy_on_a_redis_stream(mails: Log, redis_url: str) -> None:
    stream = f"evdebug-sandbox-{mails.line.slug}"
    reader = Reader(redis_url, stream, lambda event: [mailed(event)])
    try:
        run = ran(mails, {"redis": redis_url, "stream": stream})
        assert (run.status, run.error) == ("finished", "")
        assert comparison(run)["same"] == 6
        assert reader.redis.xlen(stream) == 0
        assert reader.redis.xlen(f"{stream}.out") == 3  # those that are not ours
    finally:
        reader.close()


def test_a_stream_nobody_reads(mails: Log, redis_url: str) -> None:
    stream = f"evdebug-sandbox-{mails.line.slug}"
    run = ran(mails, {"redis": redis_url, "stream": stream})
    assert run.status == "stopped"
    assert "needs a consumer group" in run.error
    with Redis.from_url(redis_url) as redis:
        assert redis.xlen(stream) == 0


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"redis": "redis://127.0.0.1/0", "stream": "orders"}, "begins with evdebug-sandbox"),
        ({"redis": "redis://127.0.0.1/0"}, "begins with evdebug-sandbox"),
        ({"redis": "redis://:p@127.0.0.1/0", "stream": "evdebug-sandbox"}, "no password"),
        ({"redis": "redis://10.0.0.9/0", "stream": "evdebug-sandbox"}, "EVDEBUG_REACH"),
        ({"redis": "kafka://x", "stream": "evdebug-sandbox"}, "cannot be used"),
        ({"http": "http://127.0.0.1/", "stream": "x"}, "expected one service"),
        ({"http": "http://127.0.0.1/", "types": [1]}, "types is a list"),
    ],
)
def test_it_refuses_to_be_handed(target: dict[str, Any], words: str, mails: Log) -> None:
    with pytest.raises(BadRecipe, match=words):
        fork(mails, target)


def test_it_refuses_a_stream_that_is_recorded(mails: Log) -> None:
    from apps.access.actor import CONSOLE
    from apps.ingest.commands import taps

    stream = f"evdebug-sandbox-{mails.line.slug}"
    given = {"url": "redis://:secret@127.0.0.1:1/0", "streams": f"a,{stream}.out"}
    taps.add(mails.line, "bus", "redis", given, by=CONSOLE, wanted=False)
    made = fork(mails, {"tap": "bus", "stream": stream})
    assert "is recorded by the tap bus" in done(mails, made, "dry").error
    other = fork(mails, {"tap": "bus", "stream": stream + "-2"})
    assert done(mails, other, "dry").status == "finished"
    assert "secret" not in done(mails, other).error


def test_the_command(
    mails: Log, serve: Callable[[Act], Copy], capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    copy = serve(lambda event: mailed(event, cc="x"))
    words = ["replay", mails.line.slug, "--base", "0", "--target", f"mailer={copy.url}"]
    call_command(*words)
    said = capsys.readouterr()
    assert said.out.startswith(f"{copy.url} Placed: 3 of ")
    assert "Nothing was sent." in said.err
    assert copy.got == []
    with pytest.raises(SystemExit) as ended:
        call_command(*words, "--send")
    assert (ended.value.code, len(copy.got)) == (1, 3)
    assert "≠" in capsys.readouterr().out
    with pytest.raises(CommandError, match="goes without"):
        call_command(*words, "--code", "x")
    with pytest.raises(CommandError, match="SERVICE=URL"):
        call_command(*words[:-1], "mailer")
