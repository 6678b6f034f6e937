"""The HTTP door: POST /v1/events, /v1/deliveries and /v1/traces, a lean ASGI application.

It stands beside Django, whose stack costs some two milliseconds a request; this costs a tenth. The
order of checks is that of their price: address, method, key, rate, what the headers say, and only
then the body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from django.conf import settings
from django.db import DatabaseError, connection

from apps.access.errors import AccessError, BadKey
from apps.access.queries import keys
from apps.eventlog.envelope import Envelope
from apps.eventlog.errors import LogUnavailable
from apps.ingest import answers, bodies, decode, deliveries, figures, marks, media
from apps.ingest.answers import Report
from apps.ingest.commands import hooks, returning
from apps.ingest.decode import Limits
from apps.ingest.failpoints import reached
from apps.ingest.incoming import Gone, Held, Incoming, Receive, too_big
from apps.ingest.otlp import answers as otlp
from apps.ingest.otlp import spans, wire
from apps.ingest.problems import Problem, Refused
from apps.ingest.rates import Rates
from apps.ingest.writer import queue
from apps.ingest.writer.streams import Stream, hand_in
from apps.ingest.writer.waiting import unavailable

BODY_S = 30  # for a whole body that is not a stream of lines
WHOLE = "evdebug.whole"  # the server's word that the body came with the headers
IN_A_THREAD = 512 * 1024  # bytes from which decoding would hold up the other requests
SPANS_IN_A_THREAD = 64 * 1024
AT_ONCE = 5000  # records of spans in one commit
TRACES = "/v1/traces"
HOOKS = "/v1/hooks/"
Send = Callable[[dict[str, Any]], Awaitable[None]]

_asking = ThreadPoolExecutor(2, thread_name_prefix="ingest-keys")
_hooks = ThreadPoolExecutor(2, thread_name_prefix="ingest-hooks")


class Door(NamedTuple):
    """One of the addresses, and how a line sent to it is read."""

    take: decode.Take
    is_report: bool


DOORS = {
    "/v1/events": Door(decode.structured, is_report=False),
    "/v1/deliveries": Door(deliveries.one, is_report=True),
}


class Said:
    """What the headers of a request say, heard in one pass."""

    __slots__ = ("attributes", "encodings", "headers", "keys", "length", "mark", "types")

    def __init__(self, headers: answers.Headers) -> None:
        self.headers = headers
        self.keys: list[bytes] = []
        self.types: list[bytes] = []
        self.encodings: list[bytes] = []
        self.length = 0
        self.attributes = False  # of a CloudEvent in binary mode
        self.mark = b""  # of a sandbox
        for name, value in headers:
            if name == b"authorization":
                self.keys.append(value)
            elif name == b"content-type":
                self.types.append(value)
            elif name == b"content-encoding":
                self.encodings.append(value)
            elif name == b"content-length":
                self.length = int(value) if value.isdigit() else 0
            elif name.startswith(b"ce-"):
                self.attributes = True
            elif name == marks.HEADER:
                self.mark = value


HELD = Held(max(settings.QUEUE_BYTES, settings.MAX_BODY))
RATES = Rates(settings.KEY_RATE)
LIMITS = Limits(event=settings.MAX_EVENT, batch=settings.MAX_BATCH)


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer one request under /v1/. ASGI."""
    try:
        status, headers, body = await _answer(scope, receive)
    except Gone:
        return
    figures.answered(status)
    if not (headers and headers[0][0] == b"content-type"):
        headers = [(b"content-type", b"application/json"), *headers]
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _answer(scope: dict[str, Any], receive: Receive) -> tuple[int, answers.Headers, bytes]:
    if scope["path"] == TRACES:
        form = otlp.form([v for name, v in scope["headers"] if name == b"content-type"])
        good, bad = form.good, form.bad
    else:
        good, bad = answers.good, answers.bad
    try:
        report = await _take(scope, receive)
        figures.taken(report)
        return good(report)
    except Refused as refused:
        return bad(refused)
    except AccessError as error:
        return bad(Refused(error.status, error.code, str(error)))
    except LogUnavailable:
        return bad(unavailable("the database cannot be asked now"))


async def _take(scope: dict[str, Any], receive: Receive) -> Report:
    if scope["path"].startswith(HOOKS):
        return await _take_hook(scope, receive)
    door = DOORS.get(scope["path"])
    if door is None and scope["path"] != TRACES:
        there = ", ".join([*DOORS, TRACES])
        raise Refused(404, "not_found", f"there is no such door; there are {there}")
    if scope["method"] != "POST":
        raise Refused(405, "method_not_allowed", "events are sent with POST", allow="POST")
    said = Said(scope["headers"])
    grant = await _key(said.keys)
    RATES.take(grant.key_id)
    queue.check()
    if door is None:
        return await _take_spans(grant.timeline, said, receive)
    mode = media.mode(door.is_report, tuple(said.types), said.attributes, empty=True)
    decoder = bodies.decoder(said.encodings)
    if mode == "lines":
        if said.mark:
            raise Refused(415, "unsupported_content_type", "a sandbox takes no streams of lines")
        stream = Stream(grant.timeline, door.take, origin=f"POST {scope['path']}", limits=LIMITS)
        return await stream.run(Incoming(receive, decoder))
    if said.length > settings.MAX_BODY:
        raise too_big(settings.MAX_BODY)
    if decoder is bodies.PLAIN and WHOLE in scope.get("extensions", ()):
        message = await receive()  # it is all here: nothing to wait for, nothing to hold
        body = message["body"]
        return await _read(grant.timeline, door, said, mode, body)
    with HELD.hold() as hold:
        body = await Incoming(receive, decoder).whole(settings.MAX_BODY, hold, within=BODY_S)
        return await _read(grant.timeline, door, said, mode, body)


async def _take_hook(scope: dict[str, Any], receive: Receive) -> Report:
    """Store what a webhook brings; its signature is its key."""
    if scope["method"] != "POST":
        raise Refused(405, "method_not_allowed", "webhooks are sent with POST", allow="POST")
    system, _, name = scope["path"].removeprefix(HOOKS).partition("/")
    if not (system.isascii() and name.isascii() and len(system + name) < 200):
        raise hooks.UNKNOWN
    said = Said(scope["headers"])
    queue.check()
    if said.length > settings.MAX_EVENT:
        raise too_big(settings.MAX_EVENT)
    with HELD.hold() as hold:
        incoming = Incoming(receive, bodies.decoder(said.encodings))
        body = await incoming.whole(settings.MAX_EVENT, hold, within=BODY_S)
        reached("received")
        headers = {n.decode("latin-1"): v.decode("latin-1") for n, v in said.headers}
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(_hooks, _hook, system, name, headers, body)
        except (LogUnavailable, DatabaseError):
            raise unavailable("the log cannot be written now") from None


def _hook(system: str, name: str, headers: dict[str, str], body: bytes) -> Report:
    connection.close_if_unusable_or_obsolete()
    return hooks.take(system, name, headers, body)


async def _take_spans(timeline: int, said: Said, receive: Receive) -> Report:
    """Store the spans of a request. Sent again, those that were stored are not stored twice."""
    otlp.check(said.types)
    if said.length > settings.MAX_BODY:
        raise too_big(settings.MAX_BODY)
    with HELD.hold() as hold:
        incoming = Incoming(receive, bodies.decoder(said.encodings))
        body = await incoming.whole(settings.MAX_BODY, hold, within=BODY_S)
        reached("received")
        if said.mark:  # what a copy of a service does for a sandbox is no span of the system
            return Report(positions=None)
        read = partial(_spans, body, otlp.form(said.types).content_type)
        large = len(body) > SPANS_IN_A_THREAD
        made, problems = await asyncio.to_thread(read) if large else read()
        report = Report(rejected=len(problems), problems=problems, positions=None)
        for at in range(0, len(made), AT_ONCE):
            stored = await hand_in(timeline, made[at : at + AT_ONCE])
            report.stored += stored.stored
            report.duplicates += stored.duplicates
            report.rejected += len(stored.problems)
        return report


def _spans(body: bytes, form: str) -> tuple[list[Envelope], list[Problem]]:
    return spans.records(wire.spans(body, form), largest=LIMITS.event)


async def _read(timeline: int, door: Door, said: Said, mode: media.Mode, body: bytes) -> Report:
    reached("received")
    if mode == "binary" and body:
        media.mode(door.is_report, tuple(said.types), said.attributes, empty=False)
    if len(body) > IN_A_THREAD:
        found = await asyncio.to_thread(decoded, body, mode, said.headers, door)
    else:
        found = decoded(body, mode, said.headers, door)
    good = found.good
    if said.mark or any(map(marks.is_marked, good)):
        return await _return(timeline, said.mark, found, good)
    return answers.report_on(found, await hand_in(timeline, found.sound()))


async def _return(
    timeline: int, header: bytes, decoded: decode.Decoded, good: list[Envelope]
) -> Report:
    """Keep for its run what a copy of a service publishes; all of it, or nothing."""
    if bad := [item for item in decoded.items if isinstance(item, Problem)]:
        raise Refused(400, bad[0].code, bad[0].detail)
    mark = marks.read(header.decode("latin-1").strip()) if header else marks.of(good)
    loop = asyncio.get_running_loop()
    try:
        new = await loop.run_in_executor(_hooks, _keep_aside, timeline, mark, good)
    except (LogUnavailable, DatabaseError):
        raise unavailable("the database cannot be written now") from None
    return Report(len(good), new, len(good) - new, 0, [None] * len(good))


def _keep_aside(timeline: int, mark: marks.Mark, good: list[Envelope]) -> int:
    connection.close_if_unusable_or_obsolete()
    return returning.put(timeline, mark, good)


def decoded(body: bytes, mode: media.Mode, headers: answers.Headers, door: Door) -> decode.Decoded:
    """Return what a body holds.  raises  Refused"""
    if door.is_report:
        return decode.reports(body, LIMITS)
    return decode.events(body, mode, headers, LIMITS)


def bearer_of(given: list[bytes]) -> str:
    """Return the key in a request's Authorization headers; BadKey where there is not one."""
    scheme, _, bearer = (given[0] if len(given) == 1 else b"").decode("latin-1").partition(" ")
    if scheme.lower() != "bearer":
        raise BadKey
    return bearer.strip()


async def _key(given: list[bytes]) -> keys.KeyGrant:
    """Return what the request's key opens; raises BadKey, WrongScope, LogUnavailable."""
    bearer = bearer_of(given)
    grant = keys.recall(bearer, scope="ingest")
    if grant is None:
        loop = asyncio.get_running_loop()
        grant = await loop.run_in_executor(_asking, _authenticate, bearer)
    return grant


def _authenticate(bearer: str) -> keys.KeyGrant:
    connection.close_if_unusable_or_obsolete()
    try:
        return keys.authenticate(bearer, scope="ingest")
    except LogUnavailable:
        connection.close()
        raise
