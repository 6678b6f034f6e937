"""What a bus is to evdebug: records read in order, and what the bus itself shows of subscribers.

A connector is one class in `connectors/`, named in `buses.py`. It speaks to one kind of bus and is
the only file that imports that bus's client library. It is used by one thread, which calls, over
and over:

    batch = connector.read(limit=…, wait=…)
    …events, rejects, deliveries, gaps and batch.cursor are committed in one transaction…
    connector.settle(batch)

and may be killed between any two steps. After that a new one is made and opened at the cursor of
the last commit. So a connector keeps nothing that matters anywhere but in the cursor and on the
bus, and settles (acknowledges) only what `settle` hands it.

It never interferes: no publishing, no consumer group or queue of anybody else, nothing left behind
that outlives `close` and a crash but what expires by itself, and for `check` nothing at all.

Errors
├── BadSettings   a setting must change; the tap stops until it does
├── Unreachable   the bus cannot be reached or talked to now: the runner waits and tries again
└── Refused       the bus answers that it will not: credentials, rights, a missing topic. Also
                  tried again, more slowly, as somebody may mend it over there
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import msgspec

Cursor = Mapping[str, str]  # lane -> place, opaque to everyone but the connector; {} is the start
Level = Literal["exactly_once", "at_least_once", "lossy"]
Evidence = Literal["acked", "delivered", "passed", "dead_letter", "advisory", "task_event", "job"]


class TapError(Exception):
    """Base of what a connector raises; the text is shown to people and holds no secret."""


class BadSettings(TapError):
    """A setting cannot be used; the text names it, the value seen and what is expected."""


class Unreachable(TapError):
    """The bus cannot be reached or talked to now. Wait and try again."""


class Refused(TapError):
    """The bus refuses: credentials, rights, or something that is not there."""


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message as the bus handed it over, undecoded.

    (channel, partition, offset, epoch) are its coordinates: the same on every reading, different
    for every other record of the tap. Where a bus numbers nothing, offset is "" and `again` has to
    tell what was stored before (`unsettled.py` does that for queues).
    """

    body: bytes | None  # None where the bus says "no value", as a Kafka tombstone
    channel: str = ""  # topic, exchange, subject, stream key, table, path
    partition: str = ""
    offset: str = ""
    epoch: str = ""  # changes when a channel was deleted and made anew, so that offsets began again
    key: str = ""  # partition or routing key; `backslashreplace` what is not UTF-8
    headers: tuple[tuple[str, bytes], ...] = ()  # in order, repeats kept
    content_type: str = ""  # as the bus says, "" where it does not
    time: int | None = None  # the bus's or the producer's, µs since 1970 UTC
    facts: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """What else the bus says, as JSON values under the names this bus uses: `redelivered`,
    `routed_queues`, `retained`, `message_id`, `correlation_id`. Kept in the metadata, and read by
    the dialects."""
    again: bool = False  # known to be stored: counted as a duplicate, not stored


class Delivery(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the bus shows of one record and one subscriber.

    The record is named by its coordinates, or by its event's id (and source) where the bus only
    knows that. It may be one that is not read yet, or never will be. Told twice with everything
    the same, a delivery is stored once.
    """

    subscriber: str  # group, queue, consumer, worker: as people call it
    outcome: str  # received, handled, failed, dead_lettered, skipped
    evidence: Evidence
    channel: str = ""
    partition: str = ""
    offset: str = ""
    epoch: str = ""
    event_id: str = ""
    event_source: str = ""
    attempt: int = 1
    earliest: int | None = None  # µs; between which it came about, equal where known exactly
    latest: int | None = None
    started: int | None = None  # µs, where the bus knows when handling began
    error: str = ""
    facts: Mapping[str, Any] = msgspec.field(default_factory=dict)


class Progress(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How far a subscriber is in a lane, where the bus shows that rather than single deliveries.

    With `since`, the records of the lane at `since` and behind it, but before `offset`, were passed
    between `since_at` and `at`: each that was read becomes a delivery with the evidence "passed".
    Offsets are then numbers, and such a stretch holds a few thousand at most.
    """

    subscriber: str
    channel: str
    partition: str = ""
    offset: str  # the next it will get
    end: str = ""  # the next the lane will give out
    lag: int | None = None  # events, None when the bus cannot say
    at: int  # µs, when it was observed
    epoch: str = ""
    since: str = ""
    since_at: int | None = None  # µs, None when not known
    attempt: int = 1  # one more for each time the subscriber was set back to before it
    facts: Mapping[str, Any] = msgspec.field(default_factory=dict)


class Gap(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Records that are lost to us: retention ate them, or nobody listened."""

    channel: str
    cause: Literal["retention", "recreated", "disconnected", "dropped"]
    partition: str = ""
    after: str = ""  # the last offset read, "" when none was
    upto: str = ""  # the last offset lost, "" when not known
    count: int | None = None  # None when not known
    at: int  # µs, when it was noticed
    words: str = ""  # one sentence for people


@dataclass(slots=True)
class Batch:
    """What one `read` gave, to be committed as one; falsy where there is nothing to commit.

    The first batch after `open({})` has a cursor even where nothing came, unless the bus itself
    keeps where the tap began: that is known from then on, whatever happens before the first record.
    """

    records: Sequence[Record] = ()
    deliveries: Sequence[Delivery] = ()
    progress: Sequence[Progress] = ()
    gaps: Sequence[Gap] = ()
    cursor: Cursor | None = None  # the whole cursor after this batch; None leaves it as it is
    token: Any = None  # what the connector wants back in `settle`

    def __bool__(self) -> bool:
        return bool(
            self.records or self.deliveries or self.progress or self.gaps
            or self.cursor is not None or self.token is not None
        )  # fmt: skip


class Lag(msgspec.Struct, frozen=True):
    """How far the tap is behind its bus; None where the bus cannot say."""

    records: int | None = None
    delay_us: int | None = None  # age of the oldest record not read


class Line(msgspec.Struct, frozen=True):
    """One thing `check` found: fine, worth knowing, or in the way."""

    level: Literal["ok", "note", "problem"]
    words: str


class Checked(msgspec.Struct, frozen=True):
    """What a look at the bus found. `sample` holds the last records, for the mapping's preview."""

    lines: Sequence[Line]
    sample: Sequence[Record] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is in the way of receiving."""
        return all(line.level != "problem" for line in self.lines)


class Guarantee(msgspec.Struct, frozen=True):
    """What a tap with these settings can promise, in words, and why not more."""

    level: Level
    words: str


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a bus; together they are all it takes."""

    name: str
    label: str
    kind: Literal["text", "url", "list", "choice", "minutes", "start", "path"] = "text"
    required: bool = False
    default: str = ""
    help: str = ""
    choices: tuple[str, ...] = ()
    secret: bool = False  # never shown again; a url's password never is either
    cost: str = ""  # what it costs the bus, as measured; said before it is given too


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a connector may use of the process it runs in."""

    name: str  # of the tap: unique and stable, fit for client ids and names of queues
    reach: Callable[[str, int], list[str]]
    """`reach(host, port)` returns the addresses one may connect to, in order; raises Refused.
    Call it for every address before connecting to it, those that a broker advertises included."""
    may_read: Callable[[str], bool] = field(default=lambda path: True)  # for files of this machine
    stopping: Callable[[], bool] = field(default=lambda: False)  # look at it in long waits


class Connector(Protocol):
    """One bus with one set of settings. Making one checks them and does not connect.

    Beside what is below, a connector may have `observes = False` where its bus shows nothing of
    subscribers, so that offsets need not be remembered; `rewinds = False` where what it
    listens to keeps nothing that could be read again; `pushed = True` where records come to a
    door; `armed(cursor)`, words on a costly recording that ends by itself, whose setting is of
    kind minutes and whose beginning, µs, is in the cursor under that setting's name; and
    `leave()`, which takes away what of ours would stay on the bus once the tap is no more (it is
    not open then, and never opened again) and does nothing where nothing is left.
    raises  Unreachable, Refused
    """

    bus: ClassVar[str]  # the word in `--bus`
    title: ClassVar[str]  # for people
    settings: ClassVar[tuple[Setting, ...]]  # an allow-list: nothing else is ever passed on

    def __init__(self, settings: Mapping[str, Any], around: Surroundings) -> None:
        """Take settings that `settings_of` has read.  raises  BadSettings"""

    def guarantee(self) -> Guarantee:
        """Return what can be promised; does not connect."""
        ...

    def place(self) -> str:
        """Return where it listens, in a few words and without secrets: `broker:9092 · orders`."""
        ...

    def check(self) -> Checked:
        """Connect, look and leave; change nothing. What is wrong is a line, not an error."""
        ...

    def open(self, cursor: Cursor) -> None:
        """Connect and stand after `cursor`; {} means where the setting `start` says.

        raises  Unreachable, Refused, BadSettings
        """
        ...

    def read(self, *, limit: int, wait: float) -> Batch:
        """Return what comes next, at most `limit` records and about 8 MiB; empty after `wait` s.

        Records of a lane come in the bus's order. What was read is only read again after a new
        `open`.  raises  Unreachable, Refused
        """
        ...

    def settle(self, batch: Batch) -> None:
        """Tell the bus, if it wants to know, that the batch `read` gave last is durable."""
        ...

    def lag(self) -> Lag:
        """Return how far behind it is; quick, asked every few seconds between reads."""
        ...

    def close(self) -> None:
        """Let go of the bus, unsettled records included. Safe to call twice and before `open`."""
        ...
