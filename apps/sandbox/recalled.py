"""What copies outside did in a run, kept so that the run can be done again without them.

A copy is asked the same only if it is handed the same event, in the same attempt; what it would do
with another one is not known, so the run stops there.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, Literal

import msgspec

from apps.ingest.redact import Redactor, Withheld
from apps.sandbox import cloudevent
from apps.sandbox.emissions import Stopped
from apps.sandbox.errors import BadRecipe
from apps.sandbox.outcome import Outcome, Said, Task, World

KEPT = "kept"  # the code choice of a service whose outcomes are kept
WITHHELD = '"***"'


class KeptSaid(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One event or command. `data` is its JSON as a text, as a line may hold no line break."""

    type: str
    stream: str
    data: str
    kind: Literal["event", "command"] = "event"
    key: str = ""
    correlation: str = ""


class Kept(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What a copy did with an event. `handed` stands for all of the event as it was handed out."""

    service: str
    id: str
    type: str
    attempt: int
    handed: str
    outcome: Literal["handled", "failed", "skipped"] = "handled"
    error: str = ""
    said: list[KeptSaid] = []


def kept(task: Task, outcome: Outcome) -> Kept:
    """Return an outcome as it is kept."""
    said = [
        KeptSaid(s.type, s.stream, bytes(s.data).decode(), s.kind, s.key, s.correlation)  # type: ignore[arg-type]
        for s in outcome.said
    ]
    return Kept(
        task.service, task.event["id"], task.event["type"], task.attempt, _handed(task),
        outcome.outcome, outcome.error, said,  # type: ignore[arg-type]
    )  # fmt: skip


def is_kept(choice: Any) -> bool:
    """Return whether a code choice is what a copy did."""
    return isinstance(choice, dict) and KEPT in choice


def parted(code: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, set[str]]]:
    """Return the code choices, and the services whose outcomes are kept, with their types.

    raises  BadRecipe
    """
    kept = {}
    for service, choice in code.items():
        if is_kept(choice):
            types = choice[KEPT]
            if set(choice) != {KEPT} or not isinstance(types, list):
                raise BadRecipe(f'code of {service[:80]!r} is {{"{KEPT}": [TYPE, …]}}.')
            kept[service] = {str(type) for type in types}
    return {s: c for s, c in code.items() if s not in kept}, kept


def _handed(task: Task) -> str:
    return blake2b(cloudevent.written(task, None), digest_size=12).hexdigest()


def fault(each: Kept) -> str:
    """Return what is wrong with an outcome that was read, "" for nothing."""
    try:
        for said in each.said:
            msgspec.json.decode(said.data)
    except (msgspec.DecodeError, RecursionError) as error:
        return f"data of {said.type[:80]} is not JSON: {error}"
    return ""


def redacted(each: Kept, redactor: Redactor) -> Kept:
    """Return an outcome without what the rules take out of it."""
    text = redactor.text
    said = [
        KeptSaid(
            text(s.type), text(s.stream), _data(s.data, redactor), s.kind,
            redactor.facts({"key": s.key})["key"] if s.key else "", text(s.correlation),
        )
        for s in each.said
    ]  # fmt: skip
    return msgspec.structs.replace(
        each, id=text(each.id), type=text(each.type), error=text(each.error), said=said
    )


def _data(data: str, redactor: Redactor) -> str:
    try:
        return redactor.body(data.encode(), is_json=True).decode()
    except Withheld:
        return WITHHELD


class Recalled:
    """Hosts that do again what copies did. May be closed, as what reaches copies is.

    by_id  an event is the same if its id is: what it holds was redacted
    done   what was asked for so far, for the events as they were handed out
    """

    def __init__(self, outcomes: Iterable[Kept] = (), *, by_id: bool = False) -> None:
        self.by_id, self.done = by_id, list[Kept]()
        self._known: dict[tuple[str, str, int], deque[Kept]] = defaultdict(deque)
        for each in outcomes:
            self._known[each.service, self._name(each), each.attempt].append(each)

    def _name(self, each: Kept) -> str:
        return each.id if self.by_id else each.handed

    def host(self, choice: Mapping[str, Any]) -> Recalled:
        """Return what does the tasks of a service: this."""
        return self

    def run(self, task: Task, world: World) -> Outcome:
        """Return what came of a task. The nth time is the nth that was kept. raises  Stopped"""
        name = task.event["id"] if self.by_id else _handed(task)
        found = self._known.get((task.service, name, task.attempt))
        if not found:
            raise Stopped(
                f"{task.service} ran in a copy outside, which was not handed this"
                f" {task.event['type']} ({task.event['id']}) then: what it does with it is not"
                " known. Give it code here, or run it with the copy.",
            )
        each = found.popleft()
        said = [
            Said(s.type, s.stream, msgspec.Raw(s.data.encode()), s.kind, s.key, s.correlation)
            for s in each.said
        ]
        outcome = Outcome(each.outcome, each.error, said)
        self.done.append(kept(task, outcome))
        return outcome

    def close(self) -> None:
        """Do nothing: there is nobody to let go of."""
