"""The shop's past as the log would hold it, without a database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import msgspec

from apps.eventlog.envelope import Envelope, Recorded
from apps.ingest import cloudevents, deliveries
from apps.projections import merge
from apps.projections.exact import MISSING
from apps.sandbox.answers import Answers
from apps.sandbox.emissions import Emission
from apps.sandbox.engine import Engine
from apps.sandbox.local import Local
from apps.sandbox.outcome import Host
from apps.sandbox.plan import Plan
from apps.sandbox.recording import Recording
from evdebug.sdk import Subscription, subscriptions
from examples.shop.feed import batches, past
from examples.shop.services import email, inventory, orders, payments, shipping, web
from examples.shop.shop import Shop
from tests.shop.conftest import EDGE, MINUTE

SERVICES = (web, orders, payments, inventory, shipping, email)
NOW = EDGE * 1000 + 60_000_000


@cache
def shop_log(minutes: int = 45, seed: int = 7, rate: float = 40.0) -> tuple[Recorded, ...]:
    """Return a past of the shop in the order in which its feed sends it."""
    shop = Shop(seed=seed, start=EDGE - minutes * MINUTE, edge=EDGE, rate=rate)
    envelopes: list[Envelope] = []
    for stretch in past(shop, EDGE):
        for door, lines in batches(stretch.entries, exact=stretch.exact):
            read = cloudevents.one if door == "events" else deliveries.one
            envelopes += [read(line.encode()) for line in lines]
    return tuple(recorded(envelopes))


def recorded(envelopes: Iterable[Envelope], *, after: int = 0) -> Iterator[Recorded]:
    """Yield envelopes as the log records them: positions, log times, revisions and causes."""
    envelopes = list(envelopes)
    places: dict[tuple[str, str], int] = {}
    by_id: dict[str, int] = {}
    for position, e in enumerate(envelopes, start=after + 1):
        places[e.source, e.id] = position
        by_id[e.id] = position
    flows: dict[int, str] = {}
    revisions: dict[str, int] = {}
    log_time = 0
    for position, e in enumerate(envelopes, start=after + 1):
        cause = e.cause
        if cause is None and e.causation:
            cause = places.get((e.causation_source, e.causation)) or by_id.get(e.causation)
        revision = None
        if e.stream:
            revision = revisions[e.stream] = revisions.get(e.stream, -1) + 1
        time = NOW if e.time is None else e.time
        log_time = max(log_time, min(time, NOW))
        correlation = e.correlation or (flows.get(cause or 0, "") if e.kind == "delivery" else "")
        flows[position] = correlation
        yield Recorded(
            position=position, kind=e.kind, id=e.id, source=e.source, type=e.type,
            stream=e.stream, revision=revision, time=time, recorded_at=NOW, log_time=log_time,
            correlation=correlation, causation=e.causation, cause=cause, channel=e.channel,
            partition=e.partition, offset=e.offset, key=e.key, tap=e.tap,
            content_type=e.content_type, data=e.data, metadata=e.metadata,
        )  # fmt: skip


def envelopes(entries: Iterable[Recorded]) -> list[Envelope]:
    """Return recorded entries as they are appended to a log of their own."""
    return [
        Envelope(
            type=e.type, id=e.id, source=e.source, kind=e.kind, stream=e.stream, time=e.time,  # type: ignore[arg-type]
            correlation=e.correlation, cause=e.cause, channel=e.channel, partition=e.partition,
            offset=e.offset, key=e.key, data=e.data or b"", metadata=e.metadata,
        )
        for e in entries
    ]  # fmt: skip


@cache
def story_lines() -> tuple[tuple[str, str], ...]:
    """Return what the story of order-1042 needs, as the shop's feed sends it: door and line.

    All flows that touch SKU7, and what is said of it.
    """
    shop = Shop(seed=7, start=EDGE - 21 * MINUTE, edge=EDGE)
    lines: list[tuple[str, str]] = []
    for stretch in past(shop, EDGE):
        for door, some in batches(stretch.entries, exact=stretch.exact):
            lines += [(door, line) for line in some]
    read = [(door, line, msgspec.json.decode(line)) for door, line in lines]
    flows = {
        e["correlationid"] for door, line, e in read
        if door == "events" and '"SKU7"' in line and e.get("correlationid")
    }  # fmt: skip
    kept = {
        e["id"] for door, _, e in read
        if door == "events"
        and (e.get("correlationid") in flows or e.get("subject") == "stock-SKU7")
    }  # fmt: skip
    return tuple(
        (door, line) for door, line, e in read
        if (e["id"] if door == "events" else e["event"]["id"]) in kept
    )  # fmt: skip


def story_log() -> tuple[Recorded, ...]:
    """Return the story of order-1042 as the log would hold it: some 280 entries."""
    return tuple(
        recorded(
            (cloudevents.one if door == "events" else deliveries.one)(line.encode())
            for door, line in story_lines()
        )
    )


def handlers(*modules: Any) -> dict[str, list[Subscription]]:
    """Return the subscriptions of modules, by service."""
    found: dict[str, list[Subscription]] = {}
    for module in modules or SERVICES:
        for each in subscriptions(module):
            found.setdefault(each.service, []).append(each)
    return found


class Bench:
    """A run over a stretch of a log, in this process."""

    def __init__(
        self, log: Iterable[Recorded], *, base: int = 0, until: int | None = None,
        plan: Plan | None = None, services: Mapping[str, list[Subscription]] | None = None,
        policy: str = "stop", journal: Any = (),
    ) -> None:  # fmt: skip
        log = tuple(log)
        until = log[-1].position if until is None else until
        known = handlers() if services is None else services
        self.earlier = {e.position: e for e in log if e.position <= base}
        inside = [e for e in log if base < e.position <= until]
        self.recording = Recording(
            inside, base=base, until=until, earlier=self.earlier,
            handlers={name: {s.type for s in some} for name, some in known.items()},
        )  # fmt: skip
        plan = plan or Plan()
        hosts: dict[str, Host] = {name: Local(some) for name, some in known.items()}
        answers = Answers(
            self.recording, policy=policy, skipped=plan.skips,
            changed={p: msgspec.json.decode(d) for p, d in plan.changes.items()},
        )  # fmt: skip
        self.engine = Engine(self.recording, plan, hosts, answers, self.before, journal=journal)

    def before(self, stream: str) -> Any:
        """Return a stream's state at the fork point."""
        state: Any = MISSING
        for entry in self.earlier.values():
            if entry.stream == stream and entry.kind == "event":
                state = merge.apply(state, msgspec.json.decode(entry.data or b"{}"))
        return state

    def run(self) -> list[Emission]:
        """Return what the run emits."""
        return list(self.engine.run())

    def states(self, *streams: str) -> dict[str, Any]:
        """Return states at the end of the run."""
        return {stream: self.engine.states.state(stream) for stream in streams}
