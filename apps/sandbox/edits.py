"""What a person changes in a copy of history: edits as values, and whether they fit together.

An edit never touches the log. Each has a switch, so an experiment is a combination; a run is made
of those that are on. A position may be that of an event or that of a delivery: skipping a delivery
leaves the event and takes it from one subscriber.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from apps.eventlog.envelope import NAME_MAX, Recorded

OPS = ("skip", "change", "insert", "move", "repeat", "delay")
MOST = 500  # edits of one recipe
DELAY_MS = 7 * 86_400_000
ALONE = {"skip"}  # goes with no other edit of the same position
TIMING = {"move", "delay"}
FIELDS = {
    "skip": {"position"}, "change": {"position", "data"}, "insert": {"after", "event"},
    "move": {"position", "after"}, "repeat": {"position"}, "delay": {"position", "ms"},
}  # fmt: skip


class Edit(msgspec.Struct, frozen=True, omit_defaults=True):
    """One edit. Which fields say something depends on `op`; see FIELDS."""

    op: str
    position: int = 0
    after: int = 0
    ms: int = 0
    data: msgspec.Raw = msgspec.Raw(b"")
    event: dict[str, Any] = {}
    on: bool = True


class BadEdit(ValueError):
    """An edit that cannot be meant. `index` is its place in the recipe."""

    def __init__(self, index: int, text: str) -> None:
        super().__init__(f"Edit {index + 1}: {text}")
        self.index = index


def read(values: Iterable[Mapping[str, Any]]) -> list[Edit]:
    """Return edits given as JSON values.

    raises  BadEdit for one that is not made as INTERFACES has it
    """
    values = list(values)
    if len(values) > MOST:
        raise BadEdit(MOST, f"a recipe has at most {MOST} edits.")
    return [_read(index, value) for index, value in enumerate(values)]


def _read(index: int, value: Any) -> Edit:
    if not isinstance(value, Mapping):
        raise BadEdit(index, "expected an object with an `op`.")
    op = value.get("op")
    if op not in OPS:
        raise BadEdit(index, f"op is {str(op)[:40]!r}; expected one of {', '.join(OPS)}.")
    given = {name for name in value if name not in ("op", "on")}
    if missing := sorted(FIELDS[op] - given):
        raise BadEdit(index, f"{op} needs {' and '.join(missing)}.")
    if more := sorted(given - FIELDS[op]):
        raise BadEdit(index, f"{op} knows no {more[0][:40]!r}; it takes {_listed(FIELDS[op])}.")
    if not isinstance(value.get("on", True), bool):
        raise BadEdit(index, "on is true or false.")
    fields: dict[str, Any] = {"op": op, "on": value.get("on", True)}
    for name in ("position", "after"):
        if name in value:
            fields[name] = _whole(index, name, value[name], low=0 if name == "after" else 1)
    if "ms" in value:
        fields["ms"] = _whole(index, "ms", value["ms"], low=1, high=DELAY_MS)
    if op == "change":
        fields["data"] = msgspec.Raw(msgspec.json.encode(value["data"]))
    if op == "insert":
        fields["event"] = _event(index, value["event"])
    return Edit(**fields)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _whole(index: int, name: str, value: Any, *, low: int, high: int = 1 << 40) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise BadEdit(index, f"{name} is a whole number from {low} to {high}.")
    return value


def _event(index: int, value: Any) -> dict[str, Any]:
    """Return a plain event that may be inserted: a type is needed, all else optional."""
    if (
        not isinstance(value, Mapping)
        or not isinstance(value.get("type"), str)
        or not value["type"]
    ):
        raise BadEdit(index, "event is an object with a `type`.")
    texts = ("type", "id", "source", "stream", "correlation", "causation", "channel", "kind")
    for name in set(value) - {*texts, "data"}:
        raise BadEdit(index, f"event knows no {name[:40]!r}; it takes {', '.join(texts)}, data.")
    for name in texts:
        text = value.get(name, "")
        if (
            not isinstance(text, str)
            or "\0" in text
            or len(text.encode("utf-8", "replace")) > NAME_MAX
        ):
            raise BadEdit(index, f"event.{name} is a text of at most {NAME_MAX} bytes.")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise BadEdit(index, f"event.{name} holds half a character.") from None
    if value.get("kind", "event") not in ("event", "command"):
        raise BadEdit(index, "event.kind is event or command.")
    return dict(value)


def plain(edit: Edit) -> dict[str, Any]:
    """Return an edit as the JSON value it was read from."""
    shape: dict[str, Any] = {"op": edit.op}
    for name in ("position", "after", "ms", "event", "data"):
        if name in FIELDS[edit.op]:
            value = getattr(edit, name)
            shape[name] = msgspec.json.decode(value) if name == "data" else value
    return shape if edit.on else shape | {"on": False}


def check(
    edits: Iterable[Edit], *, base: int, until: int, at: Callable[[int], Recorded | None]
) -> None:
    """Refuse edits that are on and contradict each other, or name what is not in the range.

    at      returns what the log has at a position
    raises  BadEdit
    """
    seen: dict[int, tuple[int, str]] = {}
    for index, edit in enumerate(edits):
        if not edit.on:
            continue
        if "after" in FIELDS[edit.op] and not base <= edit.after <= until:
            raise BadEdit(
                index, f"#{edit.after} is not between the fork point #{base} and #{until}."
            )
        if "position" not in FIELDS[edit.op]:
            continue
        _there(index, edit, base, until, at)
        for other, op in ((i, op) for p, (i, op) in seen.items() if p == edit.position):
            if edit.op == op or ALONE & {edit.op, op} or {edit.op, op} <= TIMING:
                raise BadEdit(
                    index, f"{edit.op} #{edit.position} contradicts edit {other + 1}, {op}."
                )
        seen[edit.position] = index, edit.op


def _there(
    index: int, edit: Edit, base: int, until: int, at: Callable[[int], Recorded | None]
) -> None:
    if not base < edit.position <= until:
        raise BadEdit(
            index, f"#{edit.position} is not after the fork point #{base} and up to #{until}."
        )
    found = at(edit.position)
    if found is None:
        raise BadEdit(index, f"there is nothing at #{edit.position}.")
    if edit.op == "move" and edit.after == edit.position:
        raise BadEdit(index, f"#{edit.position} cannot be moved after itself.")
    if edit.op == "change" and found.kind == "delivery":
        raise BadEdit(index, f"#{edit.position} is a delivery; change the event it delivers.")
    if edit.op in ("repeat", "move", "delay") and found.kind == "response":
        raise BadEdit(index, f"#{edit.position} is an answer from outside; change it, or skip it.")
