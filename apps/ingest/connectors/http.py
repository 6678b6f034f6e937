"""A feed of events over HTTP, polled, or a stream of server-sent events.

Feeds are asked as httpfeeds.org has it: GET with `lastEventId`, answered with a batch of
CloudEvents. A server that does not know that and answers with all it has is read too: what comes
up to and including the last event known is passed over. What answers text/event-stream is a stream;
it goes on with `Last-Event-ID`. The cursor's one lane, `last`, is the id of the last event.
"""

from __future__ import annotations

import http.client
import queue
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec

from apps.ingest.connector import (
    BadSettings,
    Batch,
    Checked,
    Cursor,
    Guarantee,
    Lag,
    Line,
    Record,
    Refused,
    Setting,
    Surroundings,
    TapError,
    Unreachable,
)
from apps.ingest.problems import Invalid
from apps.ingest.split import elements_of, members_of
from apps.ingest.sse import Parser
from apps.ingest.vault import without_password
from apps.ingest.web import asked

TIMEOUT_S = 30
ANSWER_MAX = 16 * 1024 * 1024
PAUSE_S = 2.0  # between two looks at a feed that had nothing new
HELD = 1000  # events of a stream in memory
ACCEPT = "application/cloudevents-batch+json, text/event-stream, application/json;q=0.8"


class Http:
    """The events behind one address."""

    bus: ClassVar[str] = "http"
    title: ClassVar[str] = "HTTP feed, SSE"
    observes: ClassVar[bool] = False
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("url", "Address", kind="url", required=True,
                help="of a CloudEvents feed or a stream of server-sent events"),
        Setting("authorization", "Authorization", secret=True, help="the header, Bearer …"),
    )  # fmt: skip

    def __init__(self, settings: Mapping[str, Any], around: Surroundings) -> None:
        self._url: str = settings["url"]
        self._authorization: str = settings["authorization"]
        self._around = around
        parts = urlsplit(self._url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadSettings("setting url has another form; expected https://host/path")
        if not self._authorization.isprintable():
            raise BadSettings("setting authorization holds what a header cannot")
        self._last = ""
        self._stream: Stream | None = None
        self._next = 0.0

    def guarantee(self) -> Guarantee:
        return Guarantee(
            "at_least_once",
            "Every event the server still has after the last one read, and each id once. What the "
            "server drops while nobody asks, and events without an id on a stream that breaks, are "
            "lost without a trace. Who else reads is not seen.",
        )

    def place(self) -> str:
        parts = urlsplit(without_password(self._url))
        return f"{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"

    def check(self) -> Checked:
        try:
            with ExitStack() as stack:
                answer = self._ask(stack, "")
                if _is_stream(answer):
                    return Checked([Line("ok", "It answers with a stream of server-sent events.")])
                records = self._records(self._body(answer))
        except TapError as error:
            return Checked([Line("problem", str(error))])
        words = f"It answers with {len(records)} events."
        return Checked([Line("ok" if records else "note", words)], records[-3:])

    def open(self, cursor: Cursor) -> None:
        self.close()
        self._last = cursor.get("last", "")
        self._next = 0.0

    def read(self, *, limit: int, wait: float) -> Batch:
        if self._stream is not None:
            return self._streamed(limit, wait)
        if (pause := self._next - time.monotonic()) > 0:
            time.sleep(min(pause, wait))
            if pause > wait:
                return Batch()
        stack = ExitStack()
        try:
            answer = self._ask(stack, self._last)
            if _is_stream(answer):
                self._stream = Stream(answer, stack.pop_all())
                return self._streamed(limit, wait)
            records = self._after(self._records(self._body(answer)))[:limit]
        finally:
            stack.close()
        if not records:
            self._next = time.monotonic() + PAUSE_S
            return Batch()
        return self._batch(records)

    def _batch(self, records: list[Record]) -> Batch:
        self._last = next((r.offset for r in reversed(records) if r.offset), self._last)
        return Batch(records, cursor={"last": self._last})

    def _ask(self, stack: ExitStack, last: str) -> http.client.HTTPResponse:
        parts = urlsplit(self._url)
        query = parse_qsl(parts.query, keep_blank_values=True)
        if last:
            query.append(("lastEventId", last))
        url = urlunsplit(parts._replace(query=urlencode(query)))
        headers = {"Accept": ACCEPT} | ({"Last-Event-ID": _header(last)} if last else {})
        if self._authorization:
            headers["Authorization"] = self._authorization
        answer = stack.enter_context(asked(url, self._around, timeout=TIMEOUT_S, headers=headers))
        if answer.status in (401, 403, 404, 410):
            raise Refused(f"{self.place()} answers {answer.status}")
        if answer.status not in (200, 204):
            raise Unreachable(f"{self.place()} answers {answer.status}")
        return answer

    def _body(self, answer: http.client.HTTPResponse) -> bytes:
        try:
            body = answer.read(ANSWER_MAX + 1)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{self.place()} stopped answering: {error}") from None
        if len(body) > ANSWER_MAX:
            raise Unreachable(f"{self.place()} answers with more than {ANSWER_MAX} bytes")
        return body

    def _records(self, body: bytes) -> list[Record]:
        if not body.strip():
            return []
        try:
            return [self._record(bytes(raw)) for raw in elements_of(body)]
        except Invalid as error:
            raise Unreachable(f"{self.place()} answers with no array: {error.detail}") from None

    def _record(self, raw: bytes) -> Record:
        try:
            written = members_of(raw).get("id", b'""')
            offset = str(msgspec.json.decode(written))
        except (Invalid, msgspec.DecodeError):
            offset = ""
        return Record(
            body=raw, channel=urlsplit(self._url).path or "/", offset=offset[:255],
            content_type="application/json",
        )  # fmt: skip

    def _after(self, records: list[Record]) -> list[Record]:
        """Return what follows the last event known, all where it is not among them."""
        known = [n for n, r in enumerate(records) if r.offset and r.offset == self._last]
        return records[known[-1] + 1 :] if known else records

    def _streamed(self, limit: int, wait: float) -> Batch:
        assert self._stream is not None
        events = self._stream.take(limit, wait)
        if not events and self._stream.ended:
            self._stream.close()
            self._stream = None
            self._next = time.monotonic() + PAUSE_S
        records = [
            Record(
                body=e.data, channel=urlsplit(self._url).path or "/", offset=e.id[:255],
                facts={"type": e.event} if e.event else {},
            )
            for e in events
        ]  # fmt: skip
        return self._batch(records) if records else Batch()

    def settle(self, batch: Batch) -> None:
        """Nobody waits for it."""

    def lag(self) -> Lag:
        return Lag()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


class Stream:
    """A stream of server-sent events, read by a thread of its own."""

    def __init__(self, answer: http.client.HTTPResponse, stack: ExitStack) -> None:
        self._answer, self._stack = answer, stack
        self._events: queue.Queue[Any] = queue.Queue(HELD)
        self._closing = threading.Event()
        self.ended = False
        self._thread = threading.Thread(target=self._run, name="sse", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        parser = Parser()
        try:
            while not self._closing.is_set() and (piece := self._answer.read1(65_536)):
                for event in parser.feed(piece):
                    while not self._closing.is_set():
                        try:
                            self._events.put(event, timeout=0.5)
                            break
                        except queue.Full:
                            continue
        except (OSError, ValueError, http.client.HTTPException, AttributeError):
            pass  # broken, silent for too long, or closed by us: either way it has ended
        finally:
            self.ended = True

    def take(self, limit: int, wait: float) -> list[Any]:
        """Return what came, waiting for the first."""
        found: list[Any] = []
        try:
            found.append(self._events.get(timeout=wait))
            while len(found) < limit:
                found.append(self._events.get_nowait())
        except queue.Empty:
            pass
        return found

    def close(self) -> None:
        """Break the connection off."""
        self._closing.set()
        self._stack.close()


def _is_stream(answer: http.client.HTTPResponse) -> bool:
    return (answer.headers.get("Content-Type") or "").lower().startswith("text/event-stream")


def _header(text: str) -> str:
    """Return an id as a header can carry it."""
    return "".join(c for c in text if c.isprintable()).encode("latin-1", "ignore").decode("latin-1")
