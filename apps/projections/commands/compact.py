"""Keeping the states that events left behind, before the log erases the events.

    keep_states(line, before=P)      # then forget(line, before=P, keep_state=True)

For each stream with events below P, what its events had made of it is folded from the first of
them and kept after the last; with every projection of a stream there is. A state that snapshots
tell differently, or that does not read back as it was written, stops everything: nothing is erased.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from apps.eventlog.errors import EventLogError
from apps.eventlog.places import Line, place
from apps.eventlog.queries import facts, tallies
from apps.projections import blame, exact, packing
from apps.projections.exact import MISSING
from apps.projections.models import Snapshot
from apps.projections.queries import snapshots, sources
from apps.projections.queries.states import FINGERPRINT, read, state_at
from evdebug.sdk.registry import fits

TOGETHER = 200  # streams folded side by side


class Disagreement(EventLogError):
    """A state is not the same twice; nothing was erased."""

    code = "state_differs"


def keep_states(line: Line, *, before: int) -> int:
    """Keep a state per entity and projection and return how many.

    raises  Disagreement; whatever was kept until then changes no answer
    """
    upto = min(before - 1, line.head)
    numbers = sorted(tallies.touched(line, after=line.base, upto=upto))
    count = 0
    for start in range(0, len(numbers), TOGETHER):
        some = numbers[start : start + TOGETHER]
        count += _merged(line, some, upto)
        count += _coded(line, some, upto)
    return count


def _merged(line: Line, numbers: Sequence[int], upto: int) -> int:
    names = facts.names(numbers)
    known = snapshots.with_any(line, FINGERPRINT, numbers, upto=upto)
    rows = []
    for number, made in _refolded(line, numbers, upto):
        if number in known:
            seen = state_at(line, names[number][0], at=upto).state
            if not exact.same(seen, packing.unpack_state(made.state)[0]):
                raise Disagreement(
                    f"{names[number][0][:200]!r} is not what its snapshots say at #{upto}; run"
                    " `manage.py verify`."
                )
        rows.append((number, made))
    _store(line, FINGERPRINT, rows)
    return len(rows)


def _refolded(
    line: Line, numbers: Sequence[int], upto: int
) -> Iterator[tuple[int, snapshots.Made]]:
    """Fold streams from their first events on; from the state kept where those are gone."""
    states: dict[int, Any] = dict.fromkeys(numbers, MISSING)
    marks: dict[int, Any] = dict.fromkeys(numbers, MISSING)
    last: dict[int, int] = {}
    notes: dict[int, str] = {}
    for page in facts.of_streams(line, numbers, upto=upto):
        lanes = facts.lanes(line, {fact.lane for fact in page})
        bases = snapshots.bases(line, FINGERPRINT, page)
        for fact in page:
            if lanes[fact.lane].kind != "event":
                continue
            key = fact.stream
            last[key] = fact.position
            if base := bases.get(fact.position):
                states[key], marks[key], notes[key] = base.state, base.marks, base.note
                continue
            data, note = read(fact.data, lanes[fact.lane].content_type)
            if note:
                notes[key] = f"#{fact.position}: {note}"
            states[key], marks[key] = blame.applied(states[key], marks[key], data, fact.position)
    for key, position in last.items():
        if states[key] is not MISSING:
            state, row, _ = packing.pack(states[key], marks[key])
            yield key, snapshots.Made(position, state, row, notes.get(key, ""))


def _coded(line: Line, numbers: Sequence[int], upto: int) -> int:
    """Keep the states of projections by code; one that is broken there keeps none."""
    shapes = [s for s in sources.projections(line)[0].values() if s.by == "stream"]
    count = 0
    for number, (name, _) in facts.names(numbers).items() if shapes else ():
        for shape in (shape for shape in shapes if fits(shape.streams, name)):
            found = state_at(line, name, at=upto, projection=shape.fingerprint, marks=True)
            if found.last and not found.error:
                state, marks, _ = packing.pack(found.state, found.marks)
                made = snapshots.Made(found.last, state, marks, "")
                _store(line, shape.fingerprint, [(number, made)])
                count += 1
    return count


def _store(line: Line, fingerprint: str, rows: Sequence[tuple[int, snapshots.Made]]) -> None:
    projection = snapshots.number_of(fingerprint)
    for number, made in rows:
        ours = Snapshot.objects.filter(projection=projection, stream=number)
        at = place(line.timeline, made.position)
        ours.filter(kept=True, place__gte=place(line.timeline, 0), place__lt=at).delete()
        row, _ = Snapshot.objects.update_or_create(
            projection=projection, stream=number, place=at,
            defaults={
                "state": made.state, "marks": made.marks, "note": made.note, "kept": True,
            },
        )  # fmt: skip
        row.refresh_from_db()
        if bytes(row.state) != made.state:
            raise Disagreement("A state that was stored does not read back as it was written.")
