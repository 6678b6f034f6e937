"""What the Live page shows of a timeline, as of a moment: drawn once for all who look at it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from django.template.loader import render_to_string
from django.utils import timezone

from apps.audits.queries.counts import usual_rates
from apps.audits.queries.findings import findings
from apps.audits.unusual import Usual
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.eventlog.queries.search import search
from apps.live import diagram
from apps.live.counters import SECOND, Counters, error_of
from apps.live.flow import NOBODY, Flow, Telling, flow
from apps.live.queries.counting import POINTS, SPARK_S, backlogs, hops, seen, sparks
from apps.pages import words
from apps.pages.alarms import Alarm, alarm, rate
from apps.pages.queries.services import Cast, cast
from apps.pages.queries.sources import Health, health
from apps.pages.tiles import Tile, shown

VIEWS = (("rate", "Rate"), ("latency", "Latency"), ("failures", "Failures"))
LONGEST = 300  # characters of how a page looks at the flow
TYPES, FAILURES, LAGS, TAPS, CHANNELS = 40, 6, 6, 8, 12  # rows
ODD = frozenset({"rate", "silence", "latency", "wait", "stalled"})  # drawn as odd in the flow
OF_TYPES = frozenset({"rate", "silence"})
LAGGING = 10  # events behind that are worth a colour
DAY = 86_400 * SECOND
FAILED = 200  # deliveries looked at
HEIGHT = 22  # px of a sparkline


class Look(NamedTuple):
    """How a page looks at the flow: "rate", or "rate:payments" for what one service has part in."""

    view: str
    service: str = ""

    def __str__(self) -> str:
        return f"{self.view}:{self.service}" if self.service else self.view


def look(text: str) -> Look | None:
    """Return how a page wants to look at the flow, None where that is no way to."""
    view, _, service = text.partition(":")
    known = any(view == name for name, _ in VIEWS)
    return Look(view, service) if known and len(text) <= LONGEST else None


class Type(NamedTuple):
    """A type's row among the rates."""

    name: str
    tile: Tile
    area: str  # path under the line
    path: str
    band: str  # path of what is usual
    rate: str
    factor: str  # of the usual
    odd: bool


class Lag(NamedTuple):
    """A subscriber that has events it did not answer yet."""

    subscriber: str
    channels: str
    behind: int
    area: str  # paths of how far behind it was
    path: str
    look: str  # warn or ""


class Card(NamedTuple):
    """A finding that needs attention; how often its type came, where it is about one."""

    alarm: Alarm
    area: str
    path: str


class Channel(NamedTuple):
    """A channel in use, and how the tap is by which its events come."""

    name: str
    rate: str
    tap: Health | None
    bus: str


class Failure(NamedTuple):
    """Deliveries of one subscriber that ended with one error."""

    subscriber: str
    error: str
    times: int
    position: int  # of the last
    time: int


def parts(
    line: Line, counters: Counters, *, now: int | None, looks: Iterable[Look], edge: bool = True
) -> dict[str, str]:
    """Return the drawn parts: "info", "types", "attention", and "flow:LOOK" for each look.

    For a look at one service there is also "types:LOOK".

    now   the moment, in log_time; None is that of the counters' last event
    edge  whether that is the live edge: how taps are is known of now alone
    """
    known, time = cast(line.system), max(now or 0, counters.time)
    drawn = flow(counters, now=now, seen=seen(line, time=time) if time else NOBODY)
    usual = usual_rates(line, time) if time else {}
    alarms = [alarm(f) for f in findings(line, at=time, open_only=True)]
    open_ = [a for a in alarms if not _muted(a.finding)]
    odd = {a.finding.subject for a in alarms if a.finding.code in ODD}
    context: dict[str, Any] = {"slug": line.slug, "flow": drawn, "cast": known}
    context |= {"empty": not line.head, "at": None if edge else counters.position}
    taps = health(line) if edge else []
    context["taps"] = taps[:TAPS]
    context["began"] = began = log.time_at(line, 1)
    context["since"] = "min" if began and time - began < DAY else "date"
    counts = sparks(line, time=time) if time else {}
    cards = [_card(a, counts) for a in open_]
    channels = _channels(known, drawn, taps)
    found = {
        "info": _drawn("info", context | _info(drawn, channels)),
        "types": _drawn("types", context | _types(line, known, drawn, usual, odd, counts)),
        "attention": _drawn(
            "attention",
            context
            | {"cards": cards, "muted": len(alarms) - len(cards)}
            | {"channels": channels[:CHANNELS]}
            | {"lags": _lags(line, counters, drawn)}
            | _failures(line, counters.position, time),
        ),
    }
    for each in looks:
        found[f"flow:{each}"] = _drawn("flow", context | _diagram(line, drawn, each, odd, channels))
        if each.service:
            part = drawn.of(each.service)
            types = _types(line, known, part, usual, odd, _only(counts, part))
            found[f"types:{each}"] = _drawn("types", context | types)
    return found


def _info(drawn: Flow, channels: list[Channel]) -> dict[str, Any]:
    figure, _, unit = rate(drawn.rate).partition("/")
    return {"channels": len(channels), "figure": figure, "unit": f"/{unit}"}


def _drawn(name: str, context: dict[str, Any]) -> str:
    return render_to_string(f"live/_{name}.html", context).strip()


def _only(counts: dict[str, list[int]], drawn: Flow) -> dict[str, list[int]]:
    types = drawn.types()
    return {name: points for name, points in counts.items() if name in types}


def _diagram(
    line: Line, drawn: Flow, look: Look, odd: set[str], channels: list[Channel]
) -> dict[str, Any]:
    order, part = hops(line), drawn.of(look.service) if look.service else drawn
    picture = diagram.draw(
        part, order, view=look.view, whole=drawn, odd=odd,
        rate=lambda r: rate(r).removesuffix("/s"), duration=words.duration,
    )  # fmt: skip
    services = words.plural(len(picture.nodes), "service")
    said = f"{services} on {words.plural(len(picture.rails), 'channel')}."
    lags = [t for t in part.telling if t.behind >= 10]
    said += "".join(f" {shown(t.subscriber)} is {t.behind} behind." for t in lags[:5])
    buses = {each.name: each.bus for each in channels}
    return {
        "picture": picture, "look": look, "said": said,
        "rails": [(rail, buses.get(rail.channel, "")) for rail in picture.rails],
        "told": {each.subscriber for each in drawn.telling},
    }  # fmt: skip


def _types(
    line: Line, seen: Cast, drawn: Flow, usual: dict[str, Usual], odd: set[str],
    counts: dict[str, list[int]],
) -> dict[str, Any]:  # fmt: skip
    time = drawn.time
    if not time:
        return {"types": []}
    now, rows = drawn.types(), []
    for name, points in list(counts.items())[:TYPES]:
        rows.append(_type(name, points, now.get(name, 0.0), usual.get(name), seen, name in odd))
    # Labels of the axis: its first point, and the moment.
    first = (time // (SPARK_S * SECOND) - POINTS + 1) * SPARK_S * SECOND
    return {"types": rows, "from": first, "to": time, "covers": _covers(line, time)}


def _covers(line: Line, time: int) -> str:
    """Return how much of the sparklines' time there is a log of, "" for all."""
    began = log.time_at(line, 1) or time
    return words.duration(time - began) if time - began < POINTS * SPARK_S * SECOND else ""


def _type(
    name: str, counts: list[int], now: float, known: Usual | None, seen: Cast, odd: bool
) -> Type:
    rates = [count / SPARK_S for count in counts[:-1]]  # the last is not whole yet
    middle = known.middle / known.width / SPARK_S if known else 0.0
    top = max([*rates, known.high if known else 0.0, 0.1]) * 1.05
    ys = [HEIGHT - HEIGHT * value / top for value in rates]
    path = "M" + "L".join(f"{x} {y:.1f}" for x, y in enumerate(ys))
    band = ""
    if known:
        low, high = (HEIGHT - HEIGHT * value / top for value in (known.low, known.high))
        band = f"M0 {high:.1f}H{len(ys) - 1}V{low:.1f}H0z"
    factor = now / middle if known and middle * SPARK_S * known.width >= 15 else None
    return Type(
        name, seen.of_type(name), f"{path}V{HEIGHT}H0z", path, band,
        rate(now).removesuffix("/s"), "" if factor is None else words.factor(factor), odd,
    )  # fmt: skip


def _card(found: Alarm, counts: dict[str, list[int]]) -> Card:
    points = counts.get(found.finding.subject) if found.finding.code in OF_TYPES else None
    return Card(found, *(_spark(points[:-1]) if points else ("", "")))  # the last is not whole yet


def _channels(known: Cast, drawn: Flow, taps: list[Health]) -> list[Channel]:
    """Return the channels in use, each with the tap its events come by, where it is one."""
    of, found = {tap.name: tap for tap in taps}, []
    for name, per_second in sorted(drawn.channels().items()):
        come_by = known.taps.get(name, set())
        tap = of.get(next(iter(come_by))) if len(come_by) == 1 else None
        if name:
            found.append(Channel(name, rate(per_second), tap, tap.title if tap else ""))
    return found


def _lags(line: Line, counters: Counters, drawn: Flow) -> list[Lag]:
    """Return who is behind, the furthest first."""
    told: dict[str, list[Telling]] = {}
    for each in drawn.telling:
        if each.behind:
            told.setdefault(each.subscriber, []).append(each)
    if not told or not drawn.time:
        return []
    series, found = backlogs(line, counters, time=drawn.time), []
    for name, ways in told.items():
        behind = sum(t.behind for t in ways)
        area, path = _spark(series.get(name, [behind] * POINTS))
        channels = ", ".join(shown(t.channel) for t in ways if t.channel)
        found.append(Lag(name, channels, behind, area, path, "warn" if behind >= LAGGING else ""))
    return sorted(found, key=lambda lag: (-lag.behind, lag.subscriber))[:LAGS]


def _spark(values: Sequence[float], *, least: float = 10) -> tuple[str, str]:
    """Return a line and the area under it; its top is the highest value, or `least`."""
    top = max(*values, least) * 1.05
    path = "M" + "L".join(f"{x} {HEIGHT - HEIGHT * y / top:.1f}" for x, y in enumerate(values))
    return f"{path}V{HEIGHT}H0z", path


def _failures(line: Line, at: int, time: int) -> dict[str, Any]:
    """Return what failed in the 15 minutes before a moment, by subscriber and error."""
    page = search(line, "outcome:failed,dead_lettered", at=at, limit=FAILED)
    failed = [e for e in page.events if e.log_time > time - 900 * SECOND]
    groups: dict[tuple[str, str], Failure] = {}
    for event in failed:  # the last one first
        error = error_of(event.data) or event.type.replace("_", "-")
        key = event.source, error.split("\n", 1)[0][:200]
        before = groups.get(key) or Failure(*key, 0, event.position, event.log_time)
        groups[key] = before._replace(times=before.times + 1)
    ranked = sorted(groups.values(), key=lambda f: -f.times)
    more = len(failed) == FAILED
    return {"failures": ranked[:FAILURES], "failed": len(failed), "failed_more": more}


def _muted(finding: Any) -> bool:
    return finding.muted_until is not None and finding.muted_until > timezone.now()
