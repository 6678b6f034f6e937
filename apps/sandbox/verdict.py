"""A comparison in at most three figures and one sentence made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec


class Figure(msgspec.Struct, frozen=True):
    """One figure: a name, and what it was and is; `tone` is ok, bad or "" for neither."""

    name: str
    before: str
    after: str = ""
    tone: str = ""
    was_tone: str = ""


class Facts(msgspec.Struct, frozen=True):
    """What a verdict is made of.

    gone, new     number of events by type
    telling       the type of the missing event most others missed for, "" for none
    states        [stream, changes] of the entities that differ
    edited        whether anything was to differ
    by            what made it differ, where something did
    """

    same: int
    changed: int
    missing: int
    new: int
    unexpected: int
    gone: Mapping[str, int]
    came: Mapping[str, int]
    telling: str
    states: Sequence[tuple[str, Sequence[Mapping[str, Any]]]]
    edited: bool
    by: str = "the edits"

    @property
    def different(self) -> int:
        """How many events differ."""
        return self.changed + self.missing + self.new


def figures(facts: Facts) -> list[Figure]:
    """Return at most three figures: a state, a type of event, and what was not expected."""
    found: list[Figure] = []
    if state := _state(facts.states):
        found.append(state)
    if kind := _kind(facts):
        found.append(kind)
    tone = "ok" if not facts.unexpected else "bad"
    return [*found, Figure("Unexpected changes", str(facts.unexpected), tone=tone)]


def _state(states: Sequence[tuple[str, Sequence[Mapping[str, Any]]]]) -> Figure | None:
    """Return the change of a number that tells most: one from or to below zero before others."""
    best: tuple[int, Figure] | None = None
    for stream, changes in states:
        for change in changes:
            before: Any = change.get("before")
            after: Any = change.get("after")
            if change["op"] != "replace" or not (_number(before) and _number(after)):
                continue
            heals, breaks = before < 0 <= after, after < 0 <= before
            name = f"{stream}.{change['path'].strip('/').replace('/', '.')}"
            figure = Figure(
                name, said(before), said(after), "ok" if heals else "bad" if breaks else "",
                "bad" if heals else "",
            )  # fmt: skip
            depth = change["path"].count("/")
            rank = (3 if heals or breaks else 1) * 10 - depth
            if best is None or rank > best[0]:
                best = rank, figure
    return best[1] if best else None


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _kind(facts: Facts) -> Figure | None:
    if facts.telling:
        return Figure(facts.telling, f"{facts.gone[facts.telling]} gone")
    if facts.came:
        name, count = Counter(facts.came).most_common(1)[0]
        return Figure(name, f"{count} more")
    if facts.changed:
        return Figure("Events", f"{facts.changed} changed")
    return None


def said(value: Any) -> str:
    """Return a number as it is shown: with a minus sign, not a hyphen."""
    return (
        f"{value:g}".replace("-", "−") if isinstance(value, float) else str(value).replace("-", "−")
    )


def sentence(facts: Facts) -> tuple[str, str]:
    """Return a headline and what the figures mean."""
    if not facts.different:
        if not facts.edited:
            return "Nothing differs.", f"All {_grouped(facts.same)} events came out as recorded."
        return "No effect.", f"All {_grouped(facts.same)} events are as they were."
    parts = [_counted(n, word) for n, word in (
        (facts.missing, "gone"), (facts.changed, "changed"), (facts.new, "new")) if n]  # fmt: skip
    many = len(facts.states)
    where = f" in {_grouped(many)} {'entity' if many == 1 else 'entities'}" if many else ""
    text = f"{_joined(parts)}{where}."
    if not facts.edited:
        return "It does not come out as recorded.", (
            f"{text} Nothing was edited, so the code depends on something that is not recorded."
        )
    if facts.unexpected:
        was = (
            "1 difference was"
            if facts.unexpected == 1
            else f"{_grouped(facts.unexpected)} differences were"
        )
        return f"{was} not expected.", (f"{text} They do not descend from {facts.by}.")
    healed = [f for f in figures(facts) if f.tone == "ok" and f.after]
    broke = [f for f in figures(facts) if f.tone == "bad" and f.after]
    head = (
        f"{healed[0].name} does not fall below zero."
        if healed
        else (f"{broke[0].name} falls below zero." if broke else _differences(facts.different))
    )
    all_ = (
        "The one difference descends"
        if facts.different == 1
        else f"All {_grouped(facts.different)} differences descend"
    )
    return head, f"{text} {all_} from {facts.by}."


def _differences(n: int) -> str:
    return "1 difference." if n == 1 else f"{_grouped(n)} differences."


def _counted(n: int, word: str) -> str:
    return f"{_grouped(n)} {'event' if n == 1 else 'events'} {word}"


def _joined(parts: list[str]) -> str:
    text = ", ".join(parts)
    return text[:1].upper() + text[1:]


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", " ")
