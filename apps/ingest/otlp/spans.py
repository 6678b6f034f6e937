"""What a span is to the log: an event published, deliveries of events, or a detail of the work.

Every span that is kept has the id `TRACE-SPAN`, and names its cause by such an id: the message it
is about, or else its parent. So the log finds who caused what by itself, across traces, whichever
span arrives first.

* create and send: the event. Its type is CloudEvents', or the task's, or the destination.
* receive, process and settle: a delivery for each message, found by its links, or else the parent.
* anything else: kind `span`, which hangs below what it was part of.

A span with several causes (a batch taken in hand, links of a producer) gets a record for each
further one, and all of them say `joined`: what one of them caused, all of them caused.

Tried and left: the conversation id as the correlation. Celery gives every task one of its own, so
it took apart what belongs together; it stays in the data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from time import gmtime, strftime
from typing import Any

import msgspec

from apps.eventlog.envelope import NAME_MAX, Envelope
from apps.eventlog.envelope import OTLP as TAP
from apps.ingest.otlp import semconv
from apps.ingest.otlp.wire import Link, Span
from apps.ingest.problems import Invalid, Problem, Refused

MOST = 200_000  # records made of one request
LINKS = 1000  # of one span that are followed
NO_TRACE, NO_SPAN = "0" * 32, "0" * 16
ERROR = 2  # status code
SECOND = 1_000_000_000  # ns
LATEST = 253_402_300_799 * SECOND  # the end of the year 9999
_HEX = frozenset("0123456789abcdef")
_encode = msgspec.json.encode


def records(spans: Iterable[Span], *, largest: int) -> tuple[list[Envelope], list[Problem]]:
    """Return what to store of some spans, causes before effects by their clocks, and what not.

    largest  bytes one record may have
    raises   Refused (413) where their links make too many records
    """
    made: list[Envelope] = []
    problems: list[Problem] = []
    for index, span in sorted(enumerate(spans), key=lambda each: each[1].start):
        try:
            found = of_span(span)
            if any(len(e.data) > largest or len(e.metadata) > largest for e in found):
                raise Invalid("event_too_big", f"a span has more than {largest} bytes")
            made += found
            if len(made) > MOST:
                raise Refused(
                    413, "too_many_events", f"the spans of a request have more than {MOST} links"
                    " to messages; send fewer at once",
                )  # fmt: skip
        except Invalid as error:
            problems.append(error.at(index))
    return made, sorted(problems, key=lambda p: p.index)


def of_span(span: Span) -> list[Envelope]:
    """Return the records of one span.

    raises  Invalid
    """
    _check(span)
    said = semconv.normal(span.attributes)
    operation = semconv.operation(said, span.kind)
    if operation == semconv.SEND and span.kind == semconv.CLIENT and span.links:
        operation = ""  # it sends what `create` spans made: they are the events
    if operation in (semconv.CREATE, semconv.SEND):
        return _event(span, said)
    if operation:
        return _deliveries(span, said, operation) or _detail(span)
    return _detail(span)


def _check(span: Span) -> None:
    for name, text, length, nothing in (
        ("trace id", span.trace, 32, NO_TRACE), ("span id", span.span, 16, NO_SPAN),
    ):  # fmt: skip
        if len(text) != length or text == nothing or not _HEX.issuperset(text):
            raise Invalid(
                "bad_span_id", f"{name} {text[:40]!r}: expected {length} hexadecimal digits,"
                " not all of them 0"
            )  # fmt: skip
    if not 0 <= span.start <= LATEST or not 0 <= span.end <= LATEST:
        raise Invalid("bad_time", "a span begins or ends at no time between 1970 and 9999")


# --- the three things a span can be -----------------------------------------------------------


def _event(span: Span, said: Mapping[str, Any]) -> list[Envelope]:
    destination = _text(said, semconv.DESTINATION)
    type_ = (
        _text(said, semconv.EVENT_TYPE) or _text(said, semconv.TASK)
        or _text(said, semconv.TEMPLATE) or destination or _name(span.name) or "message"
    )  # fmt: skip
    key = _text(said, semconv.KEY) or _text(said, semconv.ROUTING_KEY)
    made, cause = _causes(span)
    made.append(Envelope(
        type=type_, id=f"{span.trace}-{span.span}", source=_name(span.origin.service),
        time=_us(span.start), causation=cause, channel=destination, key=key,
        partition=_text(said, semconv.PARTITION), offset=_text(said, semconv.OFFSET), tap=TAP,
        data=_encode(_shape(span)), metadata=span.origin.metadata,
    ))  # fmt: skip
    return made


def _deliveries(span: Span, said: Mapping[str, Any], operation: str) -> list[Envelope]:
    """Return a delivery for each message; none where the span does not say which they are."""
    messages = _messages(span, said)
    if not messages:
        return []
    error = _error(span, said)
    outcome = _outcome(span, said, operation, error)
    told: dict[str, Any] = {
        "attempt": _attempt(said), "started_at": stamp(span.start), "finished_at": stamp(span.end),
        "evidence": "acked" if operation == semconv.SETTLE else "span",
    }  # fmt: skip
    if error:
        told["error"] = error
    if semconv.GROUP in said:
        told["group"] = _text(said, semconv.GROUP)
    if len(messages) > 1:
        told["joined"] = f"{span.trace}-{span.span}"
    service = span.origin.service
    group = _text(said, semconv.GROUP)
    by = _name(service) if service != "unknown_service" else group or _name(service)
    made = []
    for n, (causation, source, attributes) in enumerate(messages):
        each = semconv.normal(attributes) if attributes else said
        shape = told | {"span": _shape(span) if not n else {"name": span.name}}
        if attributes and n:
            shape["message"] = attributes
        made.append(Envelope(
            kind="delivery", type=outcome, source=by, time=_us(max(span.start, span.end)),
            id=f"{span.trace}-{span.span}" + (f"#{n + 1}" if n else ""), tap=TAP,
            causation=causation, causation_source=source,
            channel=_text(each, semconv.DESTINATION) or _text(said, semconv.DESTINATION),
            partition=_text(each, semconv.PARTITION) or _text(said, semconv.PARTITION),
            offset=_text(each, semconv.OFFSET), data=_encode(shape),
            metadata=span.origin.metadata,
        ))  # fmt: skip
    return made


def _detail(span: Span) -> list[Envelope]:
    made, cause = _causes(span)
    made.append(Envelope(
        kind="span", type=_name(span.name) or "span", id=f"{span.trace}-{span.span}",
        source=_name(span.origin.service), time=_us(span.start), causation=cause, tap=TAP,
        data=_encode(_shape(span)), metadata=span.origin.metadata,
    ))  # fmt: skip
    return made


# --- causes -----------------------------------------------------------------------------------


def _causes(span: Span) -> tuple[list[Envelope], str]:
    """Return the records that stand between a span and its causes, and the id of its first cause.

    One cause needs none. Of several, each gets a record, and the span is caused by the first.
    """
    causes = dict.fromkeys(f"{k.trace}-{k.span}" for k in span.links[:LINKS] if _is_whole(k))
    if span.parent and span.parent != NO_SPAN:
        causes = {f"{span.trace}-{span.parent}": None} | causes
    causes.pop(f"{span.trace}-{span.span}", None)
    if len(causes) < 2:
        return [], next(iter(causes), "")
    name = f"{span.trace}-{span.span}"
    data = _encode({"joined": name})
    made = [
        Envelope(
            kind="span", type="link", id=f"{name}@{n + 1}", causation=cause, tap=TAP,
            source=_name(span.origin.service), time=_us(span.start), data=data,
        )
        for n, cause in enumerate(causes)
    ]  # fmt: skip
    return made, made[0].id


def _messages(span: Span, said: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Return (id, source, attributes) of the messages a span is about.

    Links first, as the conventions want it; else the parent, as Celery's and pika's
    instrumentations have it; else what identifies the event itself.
    """
    linked = {f"{k.trace}-{k.span}": k.attributes for k in span.links[:LINKS] if _is_whole(k)}
    if linked:
        return [(each, "", attributes) for each, attributes in linked.items()]
    if span.parent and span.parent != NO_SPAN:
        return [(f"{span.trace}-{span.parent}", "", {})]
    if event_id := _text(said, semconv.EVENT_ID):
        return [(event_id, _text(said, semconv.EVENT_SOURCE), {})]
    if message := _text(said, semconv.MESSAGE):
        return [(message, "", {})]
    return []


def _is_whole(link: Link) -> bool:
    return (
        len(link.trace) == 32 and len(link.span) == 16 and link.span != NO_SPAN
        and _HEX.issuperset(link.trace) and _HEX.issuperset(link.span)
    )  # fmt: skip


# --- what came of it --------------------------------------------------------------------------


def _outcome(span: Span, said: Mapping[str, Any], operation: str, error: str) -> str:
    if operation == semconv.SETTLE:
        told = said.get(semconv.DISPOSITION) or said.get(semconv.OPERATION_NAME) or ""
        return semconv.SETTLED.get(str(told).lower(), "failed" if error else "handled")
    if error or said.get(semconv.TASK_STATE) in ("FAILURE", "RETRY"):
        return "failed"
    return "received" if operation == semconv.RECEIVE else "handled"


def _error(span: Span, said: Mapping[str, Any]) -> str:
    kind = _text(said, semconv.ERROR)
    if span.status != ERROR and not kind:
        return ""
    for happened in reversed(span.happenings):
        if happened.name.endswith("exception"):
            kind = str(happened.attributes.get("exception.type") or kind)
            what = str(happened.attributes.get("exception.message") or span.message)
            return f"{kind}: {what}".strip(": ")
    return span.message or kind or "error"


def _attempt(said: Mapping[str, Any]) -> int:
    deliveries, retries = said.get(semconv.DELIVERIES), said.get(semconv.RETRIES)
    if isinstance(deliveries, int) and 0 < deliveries < 1 << 31:
        return deliveries
    return retries + 1 if isinstance(retries, int) and 0 <= retries < 1 << 30 else 1


# --- values -----------------------------------------------------------------------------------


def _shape(span: Span) -> dict[str, Any]:
    """Return a span as data. Its ids are that of the record and of its cause."""
    shape: dict[str, Any] = {
        "name": span.name, "kind": span.kind, "start": stamp(span.start), "end": stamp(span.end),
        "attributes": span.attributes,
    }  # fmt: skip
    if span.parent:
        shape["parent"] = span.parent
    if span.status or span.message:
        shape["status"] = {"code": span.status, "message": span.message}
    if span.happenings:
        shape["events"] = [
            {"name": e.name, "time": stamp(e.time), "attributes": e.attributes}
            for e in span.happenings
        ]
    if span.links:
        shape["links"] = span.links
    return shape


def _us(ns: int) -> int | None:
    return ns // 1000 or None


def stamp(ns: int) -> str:
    """Return a time as RFC 3339 with microseconds."""
    seconds, rest = divmod(ns, SECOND)
    return f"{_second(seconds)}.{rest // 1000:06d}Z" if 0 <= ns <= LATEST else ""


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(seconds))


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    if value is None:
        return ""
    return _name(value if isinstance(value, str) else str(value))


def _name(text: str) -> str:
    """Return a text as a name of the log: without NUL, and cut to what a name may have."""
    if len(text) <= NAME_MAX // 4 and "\0" not in text:
        return text
    cut = text[:NAME_MAX].replace("\0", "\N{REPLACEMENT CHARACTER}").encode()[:NAME_MAX]
    return cut.decode(errors="ignore")
