"""A varied history to search and count in, and the plainest way to search it."""

from __future__ import annotations

import random
from collections.abc import Iterator

from apps.eventlog.commands.append import append
from apps.eventlog.commands.systems import create_system, fork
from apps.eventlog.envelope import FAILURES, Envelope, Recorded
from apps.eventlog.match import handling, matcher
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.eventlog.query import parse
from apps.eventlog.terms import Term
from apps.eventlog.values import text_test
from tests.factories import NOON, delivery, envelope

LATER = NOON + 10**12
SERVICES = ["web", "payments", "email", "stock"]
TYPES = ["OrderPlaced", "OrderPaid", "PaymentCaptured", "EmailSent", "Stock*Odd", "a, b"]
OUTCOMES = ["handled", "handled", "handled", "failed", "dead_lettered", "skipped"]


def envelopes(rng: random.Random, count: int, start: int = NOON) -> Iterator[Envelope]:
    """Yield events and deliveries of a few services over some hours, with quiet in between."""
    now, ids = start, ["never-sent"]
    for n in range(count):
        now += rng.choice([0, 0, 1, 1000, 700_000, 5_000_000, 30_000_000])
        if rng.random() < 0.02:
            now += rng.choice([90 * 60, 26 * 3600]) * 1_000_000
        common = {"time": now - rng.choice([0, 0, 0, 10_000_000]), "id": f"{start}-{n}"}
        if rng.random() < 0.4:
            yield delivery(
                rng.choice(SERVICES),
                rng.choice(OUTCOMES),
                causation=rng.choice(ids[-12:]),
                **common,
            )
            continue
        order = rng.randrange(12)
        ids.append(str(common["id"]))
        yield envelope(
            type=rng.choice(TYPES), source=rng.choice(SERVICES),
            kind=rng.choice(["event", "command"]),
            stream=rng.choice(["", f"order-{order}", f"stock-{order}", f"order-{order}-é"]),
            correlation=rng.choice(["", f"c-{order}"]), channel=rng.choice(["", "shop", "other"]),
            causation=rng.choice(["", *ids[-4:]]), partition=str(n % 3), offset=str(n), key="k 1",
            data={"total": rng.randrange(300), "n": n, "tags": ["b", f"T{n % 5}"], "text": "Größe"},
            **common,
        )  # fmt: skip


def history(*, seed: int = 1, count: int = 300, batch: int = 70) -> Line:
    """Write a history and return its line."""
    line = create_system(f"history-{seed}-{random.Random().getrandbits(48):x}")
    write(line, list(envelopes(random.Random(seed), count)), batch=batch)
    return log.line(line.slug)


def forked(line: Line, *, base: int, seed: int = 2, count: int = 80) -> Line:
    """Fork a line and let the fork go its own way; the parent goes on as well."""
    made = fork(line, base=base)
    start = (log.time_at(line, base) or NOON) + 1
    write(made, list(envelopes(random.Random(seed), count, start)), batch=33)
    write(line, list(envelopes(random.Random(seed + 1), 40, start + 5)), batch=33)
    return log.line(line.slug, timeline=made.timeline)


def write(line: Line, events: list[Envelope], *, batch: int) -> None:
    """Append events in batches, all before LATER."""
    for start in range(0, len(events), batch):
        append(line, events[start : start + batch], now=LATER)


def everything(line: Line, *, after: int = 0, upto: int | None = None) -> list[Recorded]:
    """Return the events of a line, oldest first."""
    return log.read(line, after=after, upto=upto, limit=5000)


def matching(line: Line, text: str, *, at: int | None = None) -> list[Recorded]:
    """Return what a query should find as of a position, by asking every event."""
    events = everything(line, upto=at)
    deliveries = [e for e in events if e.kind == "delivery"]

    def handled(position: int, term: Term) -> bool:
        asked = [handling(value) for value in term.values]
        return any(
            d.cause == position
            and any(o in {"", d.type} and text_test(":", (s,))(d.source) for s, o in asked)
            for d in deliveries
        )

    as_of = events[-1].log_time if events else 0
    return list(filter(matcher(parse(text), as_of=as_of, handled=handled), events))


def failures(events: list[Recorded]) -> int:
    """Return how many of the events are failed deliveries."""
    return sum(e.kind == "delivery" and e.type in FAILURES for e in events)


LANE_TERMS = [
    "type:OrderPlaced", "type:Order*,EmailSent", "-type:OrderPaid", 'type:"Stock*Odd"', "type~paid",
    'type:"a, b"', "source:web", "-source:web,email", "kind:event", "-kind:delivery",
    "channel:shop", 'channel:""', "-channel:*", "outcome:failed", "subscriber:email",
    "outcome!=handled", "tap:x",
    "datacontenttype:*json",
]  # fmt: skip
PLACE_TERMS = [
    "position:40..200", "position>150", "position<=90", "at:2026-05-12", "at:12:00..12:01",
    "at>12:00:30", "at:#10..#250", "at<2026-05-12T12:02Z", "position:77", "at:..#99",
]  # fmt: skip
OTHER_TERMS = [
    "stream:order-3", "stream:order-*", "stream:order-1*", "-stream:order-*", 'stream:""',
    "stream:order-1,stock-2", "stream:nope", "stream~é", "correlation:c-3",
    "correlation:c-1,c-2,c-9",
    "-correlation:*", "correlation:nope", "data.total>150", "data.tags.*:T3", "-data.total>=100",
    "data.n:7", "größe", "T4", "nothing-like-it", "partition:1", "offset>120", "key:k*",
    "handled-by:email/failed", "handled-by:email", "handled-by:*/dead_lettered", "-handled-by:*",
    "cause:5", "cause:3..9", "cause:5,6,never-sent", "causation:never-sent", "-cause!=5",
    f"id:{NOON}-7", f"id:{NOON}-7,{NOON}-9,nope", f"id:{NOON}-1*", "revision:0", "seen:1", "seen>1",
    "position:5..9,50..60", "at:#5..#9,#100..#120", "-position:100..200", "-at:2026-05-12",
    "metadata.x:1",
]  # fmt: skip


def queries(rng: random.Random, count: int) -> Iterator[str]:
    """Yield queries over that history: each term alone, then mixtures."""
    terms = LANE_TERMS + PLACE_TERMS + OTHER_TERMS
    yield from ["", *terms]
    for _ in range(count):
        yield " ".join(rng.sample(terms, rng.choice([2, 2, 3, 4])))
