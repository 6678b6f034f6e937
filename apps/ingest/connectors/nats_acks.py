"""What consumers of a JetStream stream tell the server, heard in passing.

An acknowledgement is an ordinary message to a subject that names stream, consumer, delivery and
sequence (ADR-15), so whoever may subscribe to it sees each one. What was acknowledged while nobody
listened shows later, as the consumer's floor has passed it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from apps.ingest.connector import Delivery, Evidence

NOT_IN_TIME = "Not acknowledged in time, and given again."
REFUSED = "Refused by its consumer."
ENDED = "Ended by its consumer."
GIVEN_UP = "Given up after the last attempt."
FOLLOWED = 20_000  # events of a consumer that failed and are not settled yet; the oldest go first


class Ack(NamedTuple):
    """The parts of an acknowledgement's subject."""

    stream: str
    consumer: str
    attempt: int
    sequence: int
    stored: int  # µs, when the stream took the message
    pending: int


def parsed(subject: str) -> Ack | None:
    """Return what `$JS.ACK.…` says, None for what is no such subject.

    Nine tokens, or eleven and more where the domain and a hash of the account come first.
    """
    tokens = subject.split(".")
    if len(tokens) >= 11:
        del tokens[2:4]
    if len(tokens) < 9 or tokens[:2] != ["$JS", "ACK"]:
        return None
    stream, consumer, *numbers = tokens[2:9]
    if not all(n.isdecimal() for n in numbers):
        return None
    attempt, sequence, _, stored, pending = map(int, numbers)
    return Ack(stream, consumer, attempt, sequence, stored // 1000, pending)


class Told(msgspec.Struct):
    """What was told of one consumer. It goes into the cursor, so nothing is told twice."""

    floor: int  # everything up to here is settled, and was told
    above: list[tuple[int, int]] = []  # ranges above it that were told as settled
    failed: dict[str, int] = {}  # sequence to the last attempt told, of what is not settled

    def encode(self) -> str:
        """Return it as text for the cursor."""
        return msgspec.json.encode(self).decode()

    def add(self, sequence: int) -> None:
        """Note a sequence as settled."""
        self.failed.pop(str(sequence), None)
        if sequence <= self.floor:
            return
        if sequence == self.floor + 1:
            self.floor = sequence
        else:
            self._insert(sequence)
        while self.above and self.above[0][0] <= self.floor + 1:
            self.floor = max(self.floor, self.above.pop(0)[1])

    def _insert(self, sequence: int) -> None:
        for index in range(len(self.above) - 1, -1, -1):
            first, last = self.above[index]
            if first <= sequence <= last:
                return
            if sequence == last + 1:
                self.above[index] = (first, sequence)
                following = self.above[index + 1 : index + 2]
                if following and following[0][0] == sequence + 1:
                    self.above[index : index + 2] = [(first, following[0][1])]
                return
            if sequence == first - 1:
                self.above[index] = (sequence, last)
                return
            if sequence > last:
                self.above.insert(index + 1, (sequence, sequence))
                return
        self.above.insert(0, (sequence, sequence))

    def knows(self, sequence: int) -> bool:
        """Return whether a sequence was told as settled."""
        return sequence <= self.floor or any(a <= sequence <= b for a, b in self.above)

    def untold(self, upto: int) -> Iterator[int]:
        """Yield what was not told as settled, up to a sequence."""
        at = self.floor + 1
        for first, last in [*self.above, (upto + 1, upto + 1)]:
            yield from range(at, min(first, upto + 1))
            at = max(at, last + 1)


class Acks:
    """The deliveries of one stream."""

    def __init__(self, stream: str, epoch: str, told: dict[str, Told]) -> None:
        self._stream, self._epoch = stream, epoch
        self.told = told

    def heard(self, ack: Ack, body: bytes, now: int, *, covers: bool = False) -> list[Delivery]:
        """Return what an acknowledgement says.

        covers  it settles all that its consumer was given before, too
        """
        told = self.told.get(ack.consumer)
        if told is None:
            return []
        word, _, rest = body.partition(b" ")
        found = self._missed(told, ack, now)
        reason = rest.decode("utf-8", "replace").strip()[:1000]
        if word == b"-NAK":
            self._fail(told, ack.sequence, ack.attempt)
            found.append(
                self._delivery(
                    ack, "failed", ack.attempt, now, error=reason or "Refused by its consumer."
                )
            )
        elif word == b"+TERM":
            told.add(ack.sequence)
            found.append(
                self._delivery(
                    ack, "dead_lettered", ack.attempt, now, error=reason or "Ended by its consumer."
                )
            )
        elif word in (b"", b"+ACK", b"+NXT"):
            if covers:
                found += [
                    self._delivery(ack._replace(sequence=s), "handled", 1, now)
                    for s in list(told.untold(ack.sequence - 1))
                ]
                for sequence in list(told.untold(ack.sequence - 1)):
                    told.add(sequence)
            told.add(ack.sequence)
            found.append(self._delivery(ack, "handled", ack.attempt, now))
        return found

    def _missed(self, told: Told, ack: Ack, now: int) -> list[Delivery]:
        """Return the attempts before this one that nobody settled."""
        before = told.failed.get(str(ack.sequence), 0)
        return [
            self._delivery(ack, "failed", attempt, now, earliest=ack.stored, error=NOT_IN_TIME)
            for attempt in range(before + 1, ack.attempt)
        ]

    def _fail(self, told: Told, sequence: int, attempt: int) -> None:
        told.failed[str(sequence)] = attempt
        while len(told.failed) > FOLLOWED:
            del told.failed[next(iter(told.failed))]

    def given_up(self, advisory: dict[str, Any], now: int) -> list[Delivery]:
        """Return what the server says of an event it gives out no more."""
        consumer, told = advisory["consumer"], self.told.get(advisory["consumer"])
        if told is None:
            return []
        sequence, attempt = int(advisory["stream_seq"]), int(advisory["deliveries"])
        ack = Ack(self._stream, consumer, attempt, sequence, now, 0)
        # Its last attempt ended either with a refusal, which was told, or with silence.
        found = self._missed(told, ack._replace(attempt=attempt + 1), now)
        told.add(sequence)
        found.append(
            self._delivery(ack, "dead_lettered", attempt, now, error=GIVEN_UP, evidence="advisory")
        )
        return found

    def passed(self, consumer: str, floor: int, since: int, now: int) -> list[Delivery]:
        """Return what was settled while nobody listened: below the floor, and not told.

        since  when we listened last (µs), 0 where that is not known
        """
        told = self.told[consumer]
        ack = Ack(self._stream, consumer, 1, 0, since, 0)
        missing = list(told.untold(floor))
        for sequence in missing:
            told.add(sequence)
        told.floor = max(told.floor, floor)
        return [
            self._delivery(
                ack._replace(sequence=s), "handled", 1, now, earliest=since or None, exact=False,
                facts={"seen": "by the consumer's floor"},
            )
            for s in missing
        ]  # fmt: skip

    def _delivery(
        self, ack: Ack, outcome: str, attempt: int, now: int, *, earliest: int | None = None,
        exact: bool = True, error: str = "", evidence: Evidence = "acked",
        facts: dict[str, Any] | None = None,
    ) -> Delivery:  # fmt: skip
        return Delivery(
            subscriber=ack.consumer, channel=self._stream, epoch=self._epoch,
            offset=str(ack.sequence), outcome=outcome, attempt=attempt, evidence=evidence,
            earliest=now if exact and earliest is None else earliest, latest=now, error=error,
            facts=facts or {},
        )  # fmt: skip
