"""What the outside answers in a sandbox: what it answered when the history was recorded.

A call is matched by name and request; the nth call gets the nth recorded answer. Where nothing is
recorded, a stub a person typed answers; else it is as they chose: stop and ask, fail, or the
nearest answer there is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from apps.eventlog.envelope import Recorded, Undecodable
from apps.sandbox.recording import Execution, Recording

POLICIES = ("stop", "fail", "nearest")
LENIENT = "lenient"  # of checks: the nearest answer, and failing where there is none at all
Key = tuple[str, bytes]
_canonical = msgspec.json.Encoder(order="deterministic").encode


class Answer(msgspec.Struct):
    """One answer. `position` is that of the recorded one, 0 for a stub.

    failed  there is none: the call fails as if the outside were down
    """

    response: Any
    took: int = 0  # µs
    position: int = 0
    failed: bool = False


class Stub(msgspec.Struct, frozen=True):
    """An answer a person typed for a call; with `request`, only where those fields are so."""

    call: str
    response: Any
    request: dict[str, Any] = {}

    def fits(self, name: str, request: Any) -> bool:
        """Return whether this answers a call."""
        if name != self.call:
            return False
        if not self.request:
            return True
        return isinstance(request, Mapping) and all(
            k in request and request[k] == v for k, v in self.request.items()
        )


def key_of(name: str, request: Any) -> Key:
    """Return what a call is matched by. Fields in another order are the same request."""
    return name, _canonical(request)


def call_of(entry: Recorded) -> tuple[str, Any, Answer]:
    """Return name, request and answer of a recorded `response`.

    Its data is {"call", "request", "response", "duration_ms"}; without them its type is the name
    and all of its data the answer.
    """
    try:
        data = entry.value()
    except Undecodable:
        data = None
    if not isinstance(data, dict) or "response" not in data:
        return entry.type, None, Answer(data, 0, entry.position)
    took = data.get("duration_ms", 0)
    took = round(took * 1000) if isinstance(took, int | float) and took >= 0 else 0
    name = data.get("call")
    return (
        name if isinstance(name, str) and name else entry.type, data.get("request"),
        Answer(data["response"], took, entry.position),
    )  # fmt: skip


class Answers:
    """The recorded answers of a stretch, given out one after the other."""

    def __init__(
        self, recording: Recording, *, policy: str = "stop", stubs: Sequence[Stub] = (),
        changed: Mapping[int, Any] | None = None, skipped: Iterable[int] = (),
    ) -> None:  # fmt: skip
        """changed  answers a person changed, by position; skipped  those taken away."""
        self.policy, self.stubs = policy, list(stubs)
        self.owner: dict[int, int] = {}  # position of an answer: index of its execution
        self.key_at: dict[int, Key] = {}
        self._queues: dict[Key, list[Answer]] = defaultdict(list)
        self._by_name: dict[str, list[int]] = defaultdict(list)
        self._given: dict[Key, Answer] = {}
        self._answers: dict[int, Answer] = {}
        gone = set(skipped)
        for index, execution in enumerate(recording.executions):
            for position in execution.outputs:
                entry = recording.entries[position]
                if entry.kind == "response" and position not in gone:
                    self._learn(index, entry, changed or {})
        for queue in self._queues.values():
            queue.reverse()

    def _learn(self, index: int, entry: Recorded, changed: Mapping[int, Any]) -> None:
        name, request, answer = call_of(entry)
        if entry.position in changed:
            answer.response = changed[entry.position]
        key = key_of(name, request)
        self._queues[key].append(answer)
        self._by_name[name].append(entry.position)
        self.owner[entry.position] = index
        self.key_at[entry.position] = key
        self._answers[entry.position] = answer

    def take(self, name: str, request: Any, own: Execution | None) -> Answer | None:
        """Return the next answer to a call, None where there is none and it is to stop or fail.

        own  the recorded execution that asks, where there is one
        """
        key = key_of(name, request)
        queue = self._queues.get(key) or self._queues.get(key_of(name, None))
        if queue:
            answer = queue.pop()
            self._given[key] = answer
            return answer
        for stub in self.stubs:
            if stub.fits(name, request):
                return Answer(stub.response)
        found = self._nearest(name, key, own) if self.policy in ("nearest", LENIENT) else None
        if found is None and self.policy in ("fail", LENIENT):
            return Answer(None, failed=True)
        return found

    def expected(self, own: Execution) -> list[tuple[str, str, Answer]]:
        """Return (name, request as JSON, answer) for what a recorded execution asked.

        They are what `take` would give now to the same calls in this order.
        """
        found: list[tuple[str, str, Answer]] = []
        given: dict[Key, int] = defaultdict(int)
        for position in own.outputs:
            key = self.key_at.get(position)
            queue = self._queues[key] if key else []
            if key is None or given[key] >= len(queue):
                continue
            given[key] += 1
            found.append((key[0], key[1].decode(), queue[-given[key]]))
        return found

    def _nearest(self, name: str, key: Key, own: Execution | None) -> Answer | None:
        """Return the answer the same attempt got to its call, else what was last answered."""
        for position in own.outputs if own else ():
            other = self.key_at.get(position)
            if other and other[0] == name:
                queue = self._queues[other]
                answer = self._answers[position]
                if answer in queue:
                    queue.remove(answer)
                return Answer(answer.response, answer.took, answer.position)
        again = self._given.get(key)
        if again is None and self._by_name[name]:
            again = self._answers[self._by_name[name][0]]
        return None if again is None else Answer(again.response, again.took, 0)
