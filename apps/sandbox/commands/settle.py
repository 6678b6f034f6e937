"""What a run came to: the comparison with what was recorded, kept with it."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import msgspec

from apps.eventlog.envelope import Recorded
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.projections import answers as states_out
from apps.projections.diff import changes, jsonable
from apps.projections.errors import UnknownProjection, UnknownStream
from apps.projections.exact import MISSING
from apps.projections.queries.finding import read_expression
from apps.projections.queries.states import state_at
from apps.projections.queries.watches import value_at, watches
from apps.sandbox import verdict
from apps.sandbox.answers import call_of
from apps.sandbox.commands.prepare import Prepared
from apps.sandbox.compare import COMPARED, Comparison, Entry, Pair, compare
from apps.sandbox.links import Link, unpacked
from apps.sandbox.models import Run
from apps.sandbox.nuls import without
from apps.sandbox.queries.forks import original

ENTITIES = 200  # whose states are compared
CHANGES = 50  # of one entity that are kept
PAGE = 5000
BY = {
    "twice": "the second deliveries", "swapped": "the swaps", "failing": "the calls that failed",
}  # fmt: skip


def settle(run: Run, prepared: Prepared) -> None:
    """Compare a finished run with the recording and keep the result."""
    line, recorded = log.line_of(run.timeline), original(run.fork)
    links = links_of(run)
    sandbox = list(_read(line, run.fork.base))
    engine = prepared.engine
    first = run.fork.base + 1

    def expected(original: int | None, made: int | None) -> bool:
        return links[made - first].descends if made else engine.gone.get(original or 0, False)

    entries = prepared.recording.entries
    found = compare(
        [compared(e) for e in entries.values() if e.kind in COMPARED],
        [compared(e) for e in sandbox if e.kind in COMPARED], expected,
    )  # fmt: skip
    made = {e.position: e for e in sandbox}
    by = str(run.options.get("projection", ""))
    states = _states(recorded, line, run.fork.until, _touched(found, entries, made), by)
    facts = _facts(run, prepared, found, states, made)
    head, text = verdict.sentence(facts)
    result: dict[str, Any] = {
        "same": found.same, "changed": found.changed, "missing": found.missing, "new": found.new,
        "unexpected": found.unexpected, "head": head, "text": text, "verdict": f"{head} {text}",
        "figures": msgspec.to_builtins(verdict.figures(facts)), "entities": len(states),
        "calls": _calls(entries.values(), sandbox), "deliveries": _deliveries(entries, links, made),
        "orphans": sum(link.orphan for link in links), "digest": _digest(sandbox),
        "rules": _rules(run, recorded, line), "self": prepared.self_check,
        "failures": engine.failures.rows(),
        "twins": _twins(engine.twins), "moved": sum(pair.moved for pair in found.pairs),
    }  # fmt: skip
    kept = {
        "pairs": [_pair(p) for p in found.pairs if p.verdict != "same" or p.moved],
        "states": [[s, c] for s, c in states],
    }  # fmt: skip
    raw = zlib.compress(states_out.encoded(kept), 6)
    Run.objects.filter(pk=run.pk, fence=run.fence).update(result=without(result), comparison=raw)


def links_of(run: Run) -> list[Link]:
    """Return what each entry of a run stands for, in order."""
    chunks = run.chunks.order_by("number").values_list("links", flat=True)
    return [link for raw in chunks for link in unpacked(zlib.decompress(bytes(raw)))]


def _read(line: Line, base: int) -> Iterable[Recorded]:
    after = base
    while rows := log.read(line, after=after, limit=PAGE):
        yield from rows
        after = rows[-1].position


def compared(e: Recorded) -> Entry:
    """Return an event as it is compared."""
    content = e.stream, blake2b(e.data or b"", digest_size=8).digest()
    return Entry(e.position, e.id, e.source, e.type, e.stream, e.cause, content, e.kind)


def _pair(pair: Pair) -> list[Any]:
    return [pair.verdict, pair.original, pair.sandbox, pair.unexpected, pair.moved]


def _touched(
    found: Comparison, recorded: dict[int, Recorded], made: dict[int, Recorded]
) -> list[str]:
    """Return the streams with events that differ, in order."""
    streams: dict[str, None] = {}
    for pair in found.pairs:
        if pair.verdict == "same" and not pair.moved:
            continue
        for entry in (recorded.get(pair.original or 0), made.get(pair.sandbox or 0)):
            if entry is not None and entry.stream and entry.kind == "event":
                streams[entry.stream] = None
    return list(streams)


def _states(
    recorded: Line, line: Line, until: int, streams: list[str], by: str
) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return what differs at the end, by entity; merged, or `by` a projection, of its own code."""
    found = []
    for stream in streams[:ENTITIES]:
        before, after = _state(recorded, stream, until, by), _state(line, stream, line.head, by)
        steps = changes(before, after)
        if steps:
            found.append((stream, [jsonable(step) for step in steps[:CHANGES]]))
    return found


def _state(line: Line, stream: str, at: int, by: str) -> Any:
    try:
        return state_at(line, stream, at=at, projection=by).state
    except (UnknownStream, UnknownProjection):
        return MISSING


def _facts(
    run: Run, prepared: Prepared, found: Comparison,
    states: list[tuple[str, list[dict[str, Any]]]], made: dict[int, Recorded],
) -> verdict.Facts:  # fmt: skip
    entries = prepared.recording.entries
    missing = [p.original for p in found.pairs if p.verdict == "missing" and p.original]
    gone = Counter(entries[p].type for p in missing)
    came = Counter(made[p.sandbox].type for p in found.pairs if p.verdict == "new" and p.sandbox)
    plain = [(s, msgspec.json.decode(states_out.encoded(c))) for s, c in states]
    return verdict.Facts(
        found.same, found.changed, found.missing, found.new, found.unexpected, gone, came,
        _telling(missing, entries), plain, bool(prepared.engine.plan), _by(run),
    )  # fmt: skip


def _by(run: Run) -> str:
    """Return what makes a run differ."""
    edited = any(edit.get("on", True) for edit in run.edits)
    plain = "the edits" if edited or not run.code else "the other code"
    return BY.get(run.check_of, plain)


def _telling(missing: list[int], entries: dict[int, Recorded]) -> str:
    """Return the type of the missing event that most others are missing for."""
    if not missing:
        return ""
    among = set(missing)
    effects = Counter(entries[p].cause for p in missing if entries[p].cause in among)
    best = max(missing, key=lambda p: (effects[p], -p))
    return entries[best].type


def _calls(recorded: Iterable[Recorded], sandbox: Iterable[Recorded]) -> list[dict[str, Any]]:
    """Return how often each service outside was asked, then and here."""
    then, here = _asked(recorded), _asked(sandbox)
    return [
        {"call": name, "recorded": then[name], "sandbox": here[name]}
        for name in sorted(then.keys() | here.keys())
    ]  # fmt: skip


def _asked(entries: Iterable[Recorded]) -> Counter[str]:
    return Counter(call_of(e)[0] for e in entries if e.kind == "response")


def _deliveries(
    entries: dict[int, Recorded], links: list[Link], made: dict[int, Recorded]
) -> dict[str, int]:
    """Return how many deliveries came out otherwise, did not happen, and are new."""
    first = min(made, default=0)
    here = [(made[first + n], link) for n, link in enumerate(links) if first + n in made]
    mine = [(e, link) for e, link in here if e.kind == "delivery"]
    kept = {link.original for _, link in mine if link.original}
    then = [p for p, e in entries.items() if e.kind == "delivery"]
    return {
        "same": sum(not link.differs for _, link in mine),
        "changed": sum(link.differs and link.original is not None for _, link in mine),
        "missing": sum(p not in kept for p in then),
        "new": sum(link.original is None for _, link in mine),
    }


def _digest(sandbox: Iterable[Recorded]) -> str:
    """Return what is the same for two runs that made the same entries."""
    total = blake2b(digest_size=16)
    for e in sandbox:
        total.update(msgspec.msgpack.encode(
            (e.id, e.kind, e.type, e.source, e.stream, e.time, e.cause, e.correlation, e.data)
        ))  # fmt: skip
    return total.hexdigest()


def _rules(run: Run, recorded: Line, line: Line) -> list[dict[str, Any]]:
    """Return the rules of whoever made the sandbox: whether they held then, and hold here."""
    found: list[dict[str, Any]] = []
    owner = run.fork.created_by
    for each in watches(recorded, owner=owner) if owner else []:
        if not each.must_hold:
            continue
        try:
            expression = read_expression(each.expression)
            stream = each.stream or next(iter(expression.entities), "")
            then = value_at(recorded, expression, stream, run.fork.until, each.projection)
            here = value_at(line, expression, stream, line.head, each.projection)
        except Exception as error:  # whatever is wrong with a rule is its own affair
            found.append({"rule": each.expression, "error": str(error)[:200]})
            continue
        found.append({
            "rule": each.expression, "before": then is not False, "after": here is not False,
        })  # fmt: skip
    return found


def _twins(twins: list[tuple[str, str, int, list[str]]]) -> list[dict[str, Any]]:
    """Return for each handler how often its second delivery did something."""
    tried: Counter[tuple[str, str]] = Counter()
    did: dict[tuple[str, str], Counter[str]] = {}
    example: dict[tuple[str, str], int] = {}
    for service, type, cause, said in twins:
        tried[service, type] += 1
        if said:
            did.setdefault((service, type), Counter()).update(set(said))
            example.setdefault((service, type), cause)
    return [
        {"service": s, "type": t, "tried": n, "position": example.get((s, t)),
         "again": sorted(did.get((s, t), {}).items(), key=lambda each: (-each[1], each[0]))}
        for (s, t), n in sorted(tried.items())
    ]  # fmt: skip
