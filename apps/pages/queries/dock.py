"""What the transport bar shows: bars over a window of time, the whole recording, marks, anchors."""

from __future__ import annotations

from typing import NamedTuple

from apps.audits.queries.findings import findings
from apps.eventlog.envelope import Recorded
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.eventlog.queries.counts import Bin
from apps.eventlog.queries.search import search
from apps.eventlog.terms import written
from apps.pages import charts, marks, windows
from apps.pages.alarms import alarm
from apps.pages.payload import value_at
from apps.pages.queries.bars import bars
from apps.pages.queries.bookmarks import bookmarks
from apps.pages.queries.moments import Moment
from apps.pages.queries.services import cast
from apps.pages.ticks import Tick, percent, ticks
from apps.pages.tiles import shown
from apps.pages.words import clock, plural, step
from apps.projections.queries.watches import broken_rules
from apps.sandbox.queries.forks import forks

OVERVIEW = 260  # bars of the whole recording
USUAL = 60_000  # events in view unless somebody zooms
HEIGHT, OVER = 40, 14  # px of the bars
DEPLOYS = FORKS = 20
LABELLED = 97  # percent: a label further right would not fit


class Dock(NamedTuple):
    """All of the transport that depends on what was recorded."""

    first: int
    last: int
    window: windows.Window
    anchors: str  # "position,ms;…", rising, at least one for each bar
    good: str  # path of what did not fail
    failures: str
    label: str  # what the picture says, in a sentence
    clusters: list[marks.Cluster]
    ticks: list[Tick]
    overview: str
    over: int  # bars of the overview
    began: int  # µs
    needle: str  # percent
    rest: str  # percent from the needle to the right edge
    brush: tuple[str, str]  # x and width on the overview, percent
    zoom_in: str
    zoom_out: str
    events: int  # in the window
    forked: tuple[str, str] | None = None  # x and width of a sandbox's own events, percent


def dock(line: Line, at: Moment, *, zoom: str = "", user_id: int | None = None) -> Dock | None:
    """Return what the transport shows, None where nothing is recorded yet."""
    if not line.head or line.log_time is None:
        return None
    first, edge = began(line), line.log_time
    window = chosen(line, at, zoom)
    whole = windows.window(first, edge, most=OVERVIEW)
    (bins,), (over,) = bars(line, window, ""), bars(line, whole, "")
    now = edge if at.time is None else at.time
    counts, failed = [b.count for b in bins], [b.failed for b in bins]
    top = charts.ceiling(counts)
    good = [count - bad for count, bad in zip(counts, failed, strict=True)]
    x = percent(now - window.start, window.end - window.start)
    brush = _share(window.start, whole), _share(window.end, whole)
    return Dock(
        first=min(1, line.head),
        last=line.head,
        window=window,
        anchors=_anchors(line, over, bins, at, now),
        good=charts.bars(good, top=top, height=HEIGHT),
        failures=charts.stacked(good, failed, top=top, height=HEIGHT),
        label=_label(window, counts, failed),
        clusters=marks.clusters(
            _marks(line, window, bins, user_id), start=window.start, end=window.end
        ),
        ticks=[t for t in ticks(window.start, window.end) if float(t.x[:-1]) < LABELLED],
        overview=charts.bars(
            [b.count for b in over], top=charts.ceiling([b.count for b in over]), height=OVER
        ),
        over=whole.bins,
        began=first,
        needle=x,
        rest=f"{100 - float(x[:-1]):.3f}%",
        brush=(f"{brush[0]:.3f}%", f"{max(0.3, brush[1] - brush[0]):.3f}%"),
        zoom_in=windows.zoomed(window, 0.6, now),
        zoom_out=windows.zoomed(window, 1.7, now),
        events=sum(counts),
        forked=_forked(line, window),
    )


def _forked(line: Line, window: windows.Window) -> tuple[str, str] | None:
    """Return where in the window a sandbox's own events begin, and how far they go."""
    if line.parent is None or line.head == line.base:
        return None
    at = max(window.start, log.time_at(line, line.base + 1) or 0)
    end = min(window.end, line.log_time or 0)
    span = window.end - window.start
    return (percent(at - window.start, span), percent(end - at, span)) if at < end else None


def began(line: Line) -> int:
    """Return the log_time of the first event of a line that has any."""
    return log.time_at(line, 1) or 0


def chosen(line: Line, at: Moment, zoom: str) -> windows.Window:
    """Return the window to show: the one asked for, else about the last 60 000 events.

    The playhead is always in it, unless somebody asked for another window.
    """
    edge = line.log_time or 0
    if asked := windows.asked(zoom):
        return windows.window(*asked)
    if zoom == "all" or line.head <= USUAL:
        return windows.window(began(line), edge)
    if at.live or at.position > line.head - USUAL * 9 // 10:
        return windows.window(log.time_at(line, line.head - USUAL) or 0, edge)
    low = max(1, at.position - USUAL // 2)
    high = min(line.head, low + USUAL)
    return windows.window(log.time_at(line, low) or 0, log.time_at(line, high) or edge)


def _share(us: int, whole: windows.Window) -> float:
    return min(100.0, max(0.0, 100 * (us - whole.start) / (whole.end - whole.start)))


def _anchors(line: Line, over: list[Bin], bins: list[Bin], at: Moment, now: int) -> str:
    """Return pairs for the whole recording, finer in the window, exact at ends and playhead."""
    pairs = {b.position: b.time for b in (*over, *bins) if 0 < b.position <= line.head}
    pairs |= {1: began(line), line.head: line.log_time or 0}
    if at.position > 0:
        pairs[at.position] = now
    rising, last = [], None
    for position, us in sorted(pairs.items()):
        if last is None or us >= last:
            rising.append(f"{position},{us / 1000:.3f}".removesuffix(".000"))
            last = us
    return ";".join(rising)


def _label(window: windows.Window, counts: list[int], failed: list[int]) -> str:
    busy = sorted(counts)[len(counts) // 2] if counts else 0
    wrong = plural(sum(failed), "failed delivery", "failed deliveries")
    return (
        f"Events per {step(window.step)}, {clock(window.start)[:8]} to {clock(window.end)[:8]}"
        f" UTC: {plural(sum(counts), 'event')}, {wrong}; usually about {busy}."
    )


def _marks(
    line: Line, window: windows.Window, bins: list[Bin], user_id: int | None
) -> list[marks.Mark]:
    found = [
        marks.Mark("flag", kept.position, kept.time, kept.name)
        for kept in bookmarks(line, user_id=user_id)
        if window.holds(kept.time)
    ]
    for bar, count in marks.bursts([b.failed for b in bins]):
        text = plural(count, "failed delivery", "failed deliveries")
        before = max(0, bins[bar].position - 1)
        found.append(marks.Mark("err", before, bins[bar].time, text, "next-failure"))
    broken = set()
    if user_id is not None and bins:
        start, end = max(0, bins[0].position - 1), min(line.head, _end(line, bins))
        for at, time, text in broken_rules(line, owner=user_id, start=start, end=end):
            found.append(marks.Mark("odd", at, time, f"Rule broken: {text}"))
            broken.add(at)
    for finding in findings(line, at=line.log_time or 0, after=window.start, muted=False):
        if window.holds(finding.start) and (
            finding.code != "rule" or finding.position not in broken
        ):
            title = alarm(finding).title
            found.append(marks.Mark("odd", finding.position, finding.start, title))
    if bins and line.parent is None:
        inside = (bins[0].position - 1, _end(line, bins))
        for fork in [f for f in forks(line) if inside[0] <= f.base <= inside[1]][:FORKS]:
            base_time = log.time_at(line, fork.base) if fork.base else None
            found.append(marks.Mark("fork", fork.base, base_time or began(line), fork.name))
    for event in _deploys(line, bins):
        found.append(marks.Mark("deploy", event.position, event.log_time, _deployed(event)))
    return found


def _end(line: Line, bins: list[Bin]) -> int:
    return bins[-1].position + bins[-1].count if bins else line.head


def _deploys(line: Line, bins: list[Bin]) -> list[Recorded]:
    names = {
        lane.type
        for lane in cast(line.system).lanes.values()
        if lane.type.endswith("Deployed") and lane.kind == "event"
    }
    if not names or not bins:
        return []
    text = "kind:event type:" + ",".join(sorted(map(written, names))[:DEPLOYS])
    return search(
        line, text, before=_end(line, bins) + 1, after=max(0, bins[0].position - 1), limit=DEPLOYS
    ).events


def _deployed(event: Recorded) -> str:
    data = event.data or b""
    what = value_at(data, "service") or shown(event.source) or event.type
    version = value_at(data, "version")
    return f"{what} {version} deployed".replace("  ", " ")
