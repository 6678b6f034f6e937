"""SNS topics, by an SQS queue of our own that is subscribed beside the others.

A queue of somebody else is never read: what is received from one is kept from those it is meant
for. The cursor holds which notifications the last commit had, as the queue may give them again,
and what our queue is subscribed to.

Topics in order (.fifo) need a queue in order. It gives no more of a message group while some of it
is not settled, so the order within each group is kept through crashes, too. A group is a lane.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Any, ClassVar
from urllib.parse import urlsplit

import msgspec

from apps.ingest.connector import (
    BadSettings,
    Batch,
    Checked,
    Cursor,
    Gap,
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
from apps.ingest.connectors.sqs_records import ASKED, FIFO, name_of, record
from apps.ingest.connectors.sqs_wire import Access, Missing, Wire
from apps.ingest.problems import shown

ARN = re.compile(r"arn:(aws[a-z-]*):sns:([a-z0-9-]+):([0-9]+):([A-Za-z0-9_.-]+)")
BYTES = 8 * 1024 * 1024
TOGETHER = 10  # messages in one call, as SQS has it
BATCH = 500  # records in one commit: each ten of them are two calls
HIDDEN_S = 120  # from the others that read our queue: nobody. What is not settled comes then
KEPT_DAYS = 14  # the longest SQS keeps a message
STORED, TOPICS = "stored", "topics"  # lanes of the cursor
SIZE = 8  # bytes of a digest: only compared with the few thousand of one batch
NAME_MAX = 80


class Sqs:
    """Topics of one region."""

    bus: ClassVar[str] = "sqs"
    title: ClassVar[str] = "SNS and SQS"
    observes: ClassVar[bool] = False
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("topics", "Topics", kind="list", required=True,
                help="ARNs of SNS topics of one region: arn:aws:sns:eu-west-1:123456789012:orders"),
        Setting("key", "Access key id", required=True, help="of a user made for evdebug"),
        Setting("secret", "Secret access key", required=True, secret=True,
                help="that belongs to the key id"),
        Setting("token", "Session token", secret=True, help="of temporary credentials"),
        Setting("endpoint", "Address", kind="url",
                help="of another server that speaks SNS and SQS; AWS itself when empty"),
    )  # fmt: skip

    def __init__(self, settings: Mapping[str, Any], around: Surroundings) -> None:
        self._topics: list[str] = settings["topics"]
        self._around = around
        self._access = _access(settings)
        self._in_order = self._topics[0].endswith(FIFO)
        self._queue = queue_name(around.name, in_order=self._in_order)
        self._wire: Wire | None = None
        self._held: list[str] = []  # of the batch that is not settled
        self._forget()

    def _forget(self) -> None:
        self._url = ""
        self._subscribed: dict[str, str] = {}
        self._known: set[bytes] = set()
        self._gaps: list[Gap] = []
        self._taken: list[str] = []
        self._untold = True

    def guarantee(self) -> Guarantee:
        order = "Their order is not that of publishing."
        if self._in_order:
            order = "The order within a message group is that of publishing."
        return Guarantee(
            "exactly_once",
            "Every notification since the tap was made exactly once: SNS numbers them, so what "
            f"the queue gives twice is known. While evdebug is away its own queue keeps them for "
            f"{KEPT_DAYS} days. {order} Who else subscribes is seen, what they receive is not.",
        )

    def place(self) -> str:
        where = urlsplit(self._access.url("sns")).netloc
        return f"{where} · {', '.join(name_of(topic) for topic in self._topics)}"

    def check(self) -> Checked:
        wire = Wire(self._access, self._around)
        try:
            lines = [self._looked_at(wire, topic) for topic in self._topics]
        except TapError as error:
            return Checked([Line("problem", str(error))])
        finally:
            wire.close()
        made = f"A queue {self._queue} is made and subscribed when the tap starts."
        return Checked([*lines, Line("note", made)])

    def _looked_at(self, wire: Wire, topic: str) -> Line:
        wire.sns("GetTopicAttributes", TopicArn=topic)
        said = wire.sns("ListSubscriptionsByTopic", TopicArn=topic)
        others = [e for e in said.get("Endpoint", []) if not e.endswith(f":{self._queue}")]
        more = " or more" if any(said.get("NextToken", [])) else ""
        return Line("ok", f"{name_of(topic)}: {len(others)}{more} others subscribe to it.")

    def open(self, cursor: Cursor) -> None:
        self.close()
        self._known = set(_digests(cursor.get(STORED, "")))
        self._untold = TOPICS not in cursor
        before = msgspec.json.decode(cursor.get(TOPICS, "{}"), type=dict[str, str])
        self._wire = Wire(self._access, self._around)
        self._url = self._made(self._wire, before)
        arn = self._arn(self._wire)
        policy = msgspec.json.encode(_policy(arn, self._topics)).decode()
        self._wire.sqs("SetQueueAttributes", QueueUrl=self._url, Attributes={"Policy": policy})
        for topic in self._topics:
            self._subscribed[topic] = _subscribe(self._wire, topic, arn)
        for topic, subscription in before.items():
            if topic not in self._subscribed:
                _unsubscribe(self._wire, subscription)
                self._untold = True

    def _made(self, wire: Wire, before: Mapping[str, str]) -> str:
        """Return the address of our queue, which is there then."""
        with suppress(Missing):
            return str(wire.sqs("GetQueueUrl", QueueName=self._queue)["QueueUrl"])
        self._gaps = [
            Gap(channel=name_of(topic), cause="disconnected", at=time.time_ns() // 1000,
                words="evdebug's queue was deleted; what was published meanwhile is lost.")
            for topic in before
        ]  # fmt: skip
        attributes = {
            "VisibilityTimeout": str(HIDDEN_S), "MessageRetentionPeriod": str(KEPT_DAYS * 86_400),
        }  # fmt: skip
        attributes |= {"FifoQueue": "true"} if self._in_order else {}
        made = wire.sqs("CreateQueue", QueueName=self._queue, Attributes=attributes)
        return str(made["QueueUrl"])

    def _arn(self, wire: Wire) -> str:
        return str(self._figures(wire, "QueueArn")["QueueArn"])

    def _figures(self, wire: Wire, *names: str) -> dict[str, str]:
        said = wire.sqs("GetQueueAttributes", QueueUrl=self._url, AttributeNames=list(names))
        return dict(said.get("Attributes") or {})

    def leave(self) -> None:
        """Delete our queue and its subscriptions."""
        wire = Wire(self._access, self._around)
        try:
            self._url = str(wire.sqs("GetQueueUrl", QueueName=self._queue)["QueueUrl"])
            arn = self._arn(wire)
            for topic in self._topics:
                with suppress(Missing):  # to one that is there already it makes no second
                    _unsubscribe(wire, _subscribe(wire, topic, arn))
            wire.sqs("DeleteQueue", QueueUrl=self._url)
        except Missing:
            pass
        finally:
            wire.close()

    def read(self, *, limit: int, wait: float) -> Batch:
        assert self._wire is not None, "read before open"
        records: list[Record] = []
        size, began = 0, time.monotonic()
        while len(records) < min(limit, BATCH) and size < BYTES:
            room = min(limit - len(records), TOGETHER)
            patience = 0 if records or self._gaps else wait - (time.monotonic() - began)
            came = self._received(self._wire, room, patience)
            if not came and (records or self._gaps or time.monotonic() - began >= wait):
                break
            for message in came:
                records.append(self._record(message))
                self._taken.append(message["ReceiptHandle"])
                size += len(records[-1].body or b"")
        return self._batch(records)

    def _received(self, wire: Wire, room: int, patience: float) -> Sequence[dict[str, Any]]:
        try:
            said = wire.sqs(
                "ReceiveMessage", QueueUrl=self._url, MaxNumberOfMessages=room,
                WaitTimeSeconds=1 if patience > 0 else 0, AttributeNames=ASKED,
            )  # fmt: skip
        except Missing:
            raise Unreachable("The queue evdebug reads was deleted; it is made again.") from None
        return said.get("Messages") or ()

    def _record(self, message: Mapping[str, Any]) -> Record:
        found = record(message, self._queue)
        mark = _digest(found)
        if mark not in self._known:
            return found
        self._known.discard(mark)
        return msgspec.structs.replace(found, again=True)

    def _batch(self, records: list[Record]) -> Batch:
        gaps, self._gaps = self._gaps, []
        if not records and not gaps and not self._untold:
            return Batch()
        self._untold = False
        marks = [*{_digest(r) for r in records}, *self._known]
        cursor = {
            STORED: b"".join(marks[: 4 * BATCH]).hex(),
            TOPICS: msgspec.json.encode(self._subscribed).decode(),
        }
        self._held, self._taken = self._taken, []
        return Batch(records, gaps=gaps, cursor=cursor, token=self._held or None)

    def settle(self, batch: Batch) -> None:
        assert self._wire is not None, "settle before open"
        for handles in _tens(batch.token or ()):
            entries = [{"Id": str(n), "ReceiptHandle": h} for n, h in enumerate(handles)]
            with suppress(Missing):
                self._wire.sqs("DeleteMessageBatch", QueueUrl=self._url, Entries=entries)
        self._held = []

    def lag(self) -> Lag:
        if self._wire is None:
            return Lag()
        try:
            figures = self._figures(self._wire, "ApproximateNumberOfMessages")
        except Missing:
            return Lag()
        return Lag(int(figures.get("ApproximateNumberOfMessages", 0)))

    def close(self) -> None:
        """Let go of the queue, and give back what was not settled."""
        wire, self._wire = self._wire, None
        held = [*self._held, *self._taken]
        if wire is not None:
            with suppress(TapError):
                for handles in _tens(held):
                    entries = [
                        {"Id": str(n), "ReceiptHandle": h, "VisibilityTimeout": 0}
                        for n, h in enumerate(handles)
                    ]
                    wire.sqs("ChangeMessageVisibilityBatch", QueueUrl=self._url, Entries=entries)
            wire.close()
        self._held = []
        self._forget()


def _access(settings: Mapping[str, Any]) -> Access:
    places = set()
    for topic in settings["topics"]:
        if not (found := ARN.fullmatch(topic)):
            raise BadSettings(
                f"setting topics holds {shown(topic)}; expected an ARN such as "
                "arn:aws:sns:eu-west-1:123456789012:orders"
            )
        places.add((found[1], found[2]))
    if len({topic.endswith(FIFO) for topic in settings["topics"]}) > 1:
        raise BadSettings("setting topics holds topics in order (.fifo) and others; make two taps")
    if len(places) > 1:
        raise BadSettings("setting topics holds topics of several regions; make a tap for each")
    ((partition, region),) = places
    endpoint = settings["endpoint"]
    parts = urlsplit(endpoint)
    if endpoint and (parts.scheme not in ("http", "https") or not parts.hostname or parts.username):
        raise BadSettings("setting endpoint has another form; expected https://host:port")
    domain = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
    for name in ("key", "secret", "token"):
        if not settings[name].isascii() or not settings[name].isprintable():
            raise BadSettings(f"setting {name} holds what a header cannot")
    return Access(region, settings["key"], settings["secret"], settings["token"], endpoint, domain)


def queue_name(tap: str, *, in_order: bool = False) -> str:
    """Return the name of a tap's queue: unique as the tap's is, and as SQS allows it."""
    end = FIFO if in_order else ""
    name = re.sub(r"[^A-Za-z0-9_-]", "-", f"evdebug-{tap}")
    if name == f"evdebug-{tap}" and len(name) <= NAME_MAX - len(end):
        return name + end
    mark = blake2b(tap.encode(), digest_size=8).hexdigest()
    return f"{name[: NAME_MAX - 17 - len(end)]}-{mark}{end}"


def _policy(queue: str, topics: Sequence[str]) -> dict[str, Any]:
    """Return who may send to our queue: the topics, and nobody else."""
    return {
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage", "Resource": queue,
            "Condition": {"ArnEquals": {"aws:SourceArn": list(topics)}},
        }],
    }  # fmt: skip


def _subscribe(wire: Wire, topic: str, queue: str) -> str:
    """Return the ARN of our queue's subscription to a topic, which is there then."""
    said = wire.sns(
        "Subscribe", TopicArn=topic, Protocol="sqs", Endpoint=queue, ReturnSubscriptionArn="true"
    )
    found = said.get("SubscriptionArn", [""])[0]
    if not found.startswith("arn:"):
        raise Refused(
            f"{name_of(topic)} does not take evdebug's queue; its owner has to confirm it."
        )
    return found


def _unsubscribe(wire: Wire, subscription: str) -> None:
    with suppress(Missing):
        wire.sns("Unsubscribe", SubscriptionArn=subscription)


def _digest(found: Record) -> bytes:
    return blake2b(f"{found.channel}/{found.offset}".encode(), digest_size=SIZE).digest()


def _digests(text: str) -> Iterator[bytes]:
    held = bytes.fromhex(text)
    return (held[i : i + SIZE] for i in range(0, len(held), SIZE))


def _tens(handles: Sequence[str]) -> Iterator[Sequence[str]]:
    return (handles[i : i + TOGETHER] for i in range(0, len(handles), TOGETHER))
