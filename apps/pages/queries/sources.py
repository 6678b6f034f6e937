"""What the Sources page shows: taps as they are now, what was turned away, and what was missed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from apps.eventlog.envelope import Recorded
from apps.eventlog.places import Line
from apps.eventlog.queries import search
from apps.ingest import buses, codecs, queries, shaping, vault
from apps.ingest.commands import rejects as rejecting
from apps.ingest.commands import taps as tapping
from apps.ingest.connector import BadSettings, Guarantee, Record, Setting
from apps.pages import words

BEHIND = 2_000_000  # µs of delay that are worth a colour
SHOWN = 50
COUNTED = 10_000
GRAVITY = ("fail", "warn", "ok", "off")
ICONS = {
    "kafka": "events", "rabbitmq": "fork", "nats": "live", "redis": "db", "mqtt": "subs",
    "postgresql": "db", "celery": "replay", "sqs": "state", "http": "share", "webhook": "plug",
    "files": "file",
}  # fmt: skip
ORDER = (*ICONS,)
LEVELS = {"exactly_once": ("=1", "ok"), "at_least_once": ("≥1", "warn"), "lossy": ("≤1", "fail")}


class Bus(NamedTuple):
    """A kind of bus one can tap."""

    name: str
    title: str
    icon: str


class Source(NamedTuple):
    """One tap as the list shows it."""

    tap: Any
    title: str
    place: str
    status: str
    look: str  # ok, warn, fail, off
    note: str
    sum: str  # received = stored + duplicates + rejected
    rate: str
    delay: str
    sign: str  # what it can promise
    sign_look: str
    promise: str  # in words, "" where its settings cannot be read


class Health(NamedTuple):
    """How one tap is, in short."""

    name: str
    status: str
    look: str
    lag: int | None
    error: str  # what it last said of a failure, "" for nothing
    title: str  # of its bus
    delay: int | None  # µs it is behind


class Detail(NamedTuple):
    """All of one tap."""

    source: Source
    settings: Mapping[str, str]  # as they may be shown
    lanes: list[tuple[str, str]]
    can_rewind: bool
    arming: Setting | None  # of its costly recording
    minutes: str  # that it is to be armed for
    armed: str  # whether it is, for how long, and what it costs


class Quarantined(NamedTuple):
    """One record that could not become an event."""

    reject: Any
    where: str
    short: str  # the end of it, which tells one from the next
    start: str
    codec: str  # one that reads it, "" for none known
    can_retry: bool


class Missed(NamedTuple):
    """One gap."""

    event: Recorded
    where: str
    cause: str
    lost: str
    words: str


def available() -> list[Bus]:
    """Return the buses there are connectors for, in the order of the form."""
    names = sorted(
        buses.CONNECTORS, key=lambda n: (ORDER.index(n) if n in ORDER else len(ORDER), n)
    )
    return [Bus(n, buses.connector_class(n).title, ICONS.get(n, "plug")) for n in names]


def sources(line: Line) -> list[Source]:
    """Return a system's taps, by name."""
    return [_source(tap) for tap in queries.taps(line)]


def health(line: Line) -> list[Health]:
    """Return how a system's taps are now, the worst first. Cheap: no bus is asked."""
    found = [
        Health(t.name, *_status(t), t.lag, t.said, _title(t.bus), t.delay)
        for t in queries.taps(line)
    ]
    return sorted(found, key=lambda h: (GRAVITY.index(h.look), h.name))


def _title(bus: str) -> str:
    try:
        return buses.connector_class(bus).title
    except BadSettings:
        return bus


def _source(tap: Any) -> Source:
    title, place, promise = tap.bus, "", None
    try:
        title = buses.connector_class(tap.bus).title
        connector = tapping.connector(tap, tapping.settings_of(tap))
        place, promise = connector.place(), connector.guarantee()
    except BadSettings:
        pass
    status, look = _status(tap)
    delay = "–" if tap.delay is None else words.duration(tap.delay)
    sign, sign_look = signed(promise)
    return Source(
        tap, title, place, status, look, tap.said or _first(queries.armed(tap)), _sum(tap),
        words.grouped(round(tap.rate)) if tap.rate >= 10 else f"{tap.rate:.2g}", delay,
        sign, sign_look, promise.words if promise else "",
    )  # fmt: skip


def _first(text: str) -> str:
    """Return the first sentence."""
    return text.partition(". ")[0].rstrip(".") + "." if text else ""


def signed(promise: Guarantee | None) -> tuple[str, str]:
    """Return the sign of what is promised, and its look."""
    return LEVELS[promise.level] if promise else ("", "off")


def _status(tap: Any) -> tuple[str, str]:
    now = time.time_ns() // 1000
    if not tap.wanted:
        return "paused", "off"
    if tap.state == "failing":
        return "failing", "fail"
    if tap.bus in buses.pushed():
        return ("receiving", "ok") if tap.received else ("listening", "ok")
    if tap.lease_until < now:
        return ("starting", "off") if tap.state == "new" else ("nobody runs it", "warn")
    if tap.state == "new":
        return "starting", "off"
    if tap.lag and tap.delay is not None and tap.delay > BEHIND:
        return f"{words.duration(tap.delay)} behind", "warn"
    return "receiving", "ok"


def _sum(tap: Any) -> str:
    g = words.grouped
    return (
        f"{g(tap.received)} received = {g(tap.stored)} stored + {g(tap.duplicates)} duplicates + "
        f"{g(tap.rejected)} rejected"
    )


def detail(line: Line, name: str) -> Detail | None:
    """Return all of a tap, None where the system has none of that name."""
    tap = next((t for t in queries.taps(line) if t.name == name), None)
    if tap is None:
        return None
    shown: Mapping[str, str] = {}
    can_rewind, arming = False, None
    try:
        settings = tapping.settings_of(tap)
        shown = vault.shown([*buses.connector_class(tap.bus).settings, *shaping.COMMON], settings)
        can_rewind, arming = tapping.rewinds(tap, settings), tapping.arming(tap.bus)
    except BadSettings:
        pass
    lanes = tapping.shown_cursor(tap)[:SHOWN]
    minutes = shown.get(arming.name, "") if arming else ""
    return Detail(
        _source(tap), shown, lanes, can_rewind, arming, minutes, queries.armed(tap)
    )  # fmt: skip


def promised(system: int, name: str, bus: str, settings: Mapping[str, str]) -> Guarantee | None:
    """Return what a tap with these settings could promise, None where there could be none."""
    try:
        return tapping.unsaved(system, name, bus, settings).guarantee()
    except BadSettings:
        return None


def quarantine(line: Line) -> tuple[list[Quarantined], int]:
    """Return the newest records in quarantine, and how many there are (10 000 stands for more)."""
    count = queries.count_rejects(line, most=COUNTED)
    return [_quarantined(r) for r in queries.newest_rejects(line, limit=SHOWN)], count


def _quarantined(reject: Any) -> Quarantined:
    where = short = f"line {reject.line}" if reject.line else ""
    if reject.record:
        record = msgspec.msgpack.decode(bytes(reject.record), type=Record)
        lane = f"{record.channel}/{record.partition}" if record.partition else record.channel
        where = f"{lane}@{record.offset}" if record.offset else lane
        short = record.offset or record.channel
    start = bytes(reject.data)[:40]
    text = "".join(chr(b) if 32 <= b < 127 else f"\\x{b:02x}" for b in start)
    can_retry = rejecting.record_of(reject) is not None
    return Quarantined(reject, where, short, text, codecs.suggestion(reject.detail), can_retry)


def quarantined(line: Line, number: int) -> Quarantined | None:
    """Return one record in quarantine."""
    try:
        return _quarantined(rejecting.one(line, number))
    except BadSettings:
        return None


def gaps(line: Line) -> list[Missed]:
    """Return the newest gaps."""
    found = search.search(line, "kind:progress type:gap", limit=20).events
    return [_missed(event) for event in found]


def _missed(event: Recorded) -> Missed:
    told = event.value() or {}
    lane = f"{event.channel}/{event.partition}" if event.partition else event.channel
    bounds = f"{told.get('after', '')}…{told.get('upto', '')}".strip("…")
    count = told.get("count")
    return Missed(
        event, f"{lane}@{bounds}" if bounds else lane, str(told.get("cause", "")),
        "unknown" if count is None else words.grouped(int(count)), str(told.get("words", "")),
    )  # fmt: skip
