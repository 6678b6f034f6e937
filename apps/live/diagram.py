"""The bus diagram: channels as horizontal rails, services hanging from above.

Lines cross in right angles only, and the layout is the same on every visit: columns and rails
depend on who takes part, in the order given, never on the rates. Text is not scaled, so x is in
percent of the width and y in pixels.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from math import sqrt
from typing import Any, NamedTuple

from apps.live.flow import Flow, Publishing, Telling

Writes = Callable[[Any], str]  # of a number: as a rate, or as a length of time
VIEWS = ("rate", "latency", "failures")
NODE_END = 58  # y where a service's box ends
FIRST = 104  # y of the first rail, above which nothing is written
LINE = 14  # of a label
LABELS = 4  # types written at one crossing
MOST = 24  # services and channels drawn; the first ones
PACES = (0.5, 0.65, 0.85, 1.1, 1.5, 2.0, 3.0, 5.0)  # s for 22 px, classes p-1 … p-8
SLOW_US = 1_000_000  # handling that takes longer is worth a look
COLUMN = 122  # px from one service's box to the next, at least: a box is 116 wide
NARROWEST, WIDEST = 560, 1400  # px; a drawing wider than that keeps its width and is scrolled
WIDE = 14  # characters of a label that need a wider column


class Node(NamedTuple):
    service: str
    x: str
    rate: float  # events out, per second
    p99: int | None
    look: str  # ok, warn or fail


class Rail(NamedTuple):
    channel: str
    y: int
    rate: float
    width: str
    pace: str


class Trunk(NamedTuple):
    """A line between a service and rails. `kind` is pub (down) or sub (up)."""

    service: str
    kind: str
    x: str
    shift: int
    low: int  # y of the rail furthest down
    joints: list[int]
    width: str
    pace: str
    look: str

    @property
    def top(self) -> int:
        """Return the y it ends at below a service's box; an arrow's head needs some of it."""
        return NODE_END + 7 if self.kind == "sub" else NODE_END

    @property
    def length(self) -> int:
        return self.low - self.top


class Label(NamedTuple):
    x: str
    y: int
    dx: int
    end: bool  # text that ends at x, rather than begins
    text: str
    figure: str
    look: str


class Drawing(NamedTuple):
    nodes: list[Node]
    rails: list[Rail]
    trunks: list[Trunk]
    labels: list[Label]
    height: int
    width: int  # px it needs at least
    wide: int  # the class that gives it as much, in hundreds of px; 0 is wider than those
    left_out: int  # services there is no room for


def draw(
    flow: Flow, order: Sequence[str], *, view: str = "rate", odd: Collection[str] = (),
    whole: Flow | None = None, rate: Writes = str, duration: Writes = str,
) -> Drawing:  # fmt: skip
    """Return the diagram of a flow.

    order     the services from left to right, by name; those not among them come last
    view      what lines and figures tell: rate, latency or failures
    odd       types and services that are not as usual
    whole     what the figures of a service are taken from where the flow is a part
    rate, duration  write a number per second, and µs
    """
    services = _services(flow, order)
    shown = services[:MOST]
    channels = _channels(flow, shown)
    weights = _weights(shown, flow)
    at = dict(zip(shown, _columns(weights), strict=True))
    labels = _labelled(flow, at, channels, odd)
    rails = _rails(channels, flow, labels)
    y = {rail.channel: rail.y for rail in rails}
    width = max(NARROWEST, round(COLUMN * sum(weights)))
    pen = _Pen(flow, whole or flow, at, y, view, odd, rate, duration)
    return Drawing(
        nodes=[pen.node(service) for service in shown],
        rails=rails,
        trunks=[*pen.subs(), *pen.pubs()],
        labels=[*pen.written(labels), *pen.warnings()],
        height=(rails[-1].y if rails else FIRST) + 18,
        width=width,
        wide=-(-width // 100) if width <= WIDEST else 0,
        left_out=len(services) - len(shown),
    )


def _services(flow: Flow, order: Sequence[str]) -> list[str]:
    there = flow.services()
    rank = {name: n for n, name in enumerate(order)}
    return sorted(there, key=lambda name: (rank.get(name, len(rank)), name))


def _channels(flow: Flow, shown: Sequence[str]) -> list[str]:
    """Return the rails from above: where the first services publish comes first.

    What is on no channel gets a rail only where that is much of it, or all there is.
    """
    counts: Counter[str] = Counter()
    for each in flow.publishing:
        counts[each.channel] += each.many
    first: dict[str, int] = {}
    rank = {name: n for n, name in enumerate(shown)}
    for each in flow.publishing:
        at = rank.get(each.service, MOST)
        first[each.channel] = min(first.get(each.channel, at), at)
    for told in flow.telling:
        first.setdefault(told.channel, MOST)
    if len(first) > 1 and counts[""] < 0.2 * counts.total():
        first.pop("", None)
    return sorted(first, key=lambda name: (first[name], name))[:MOST]


def _weights(shown: Sequence[str], flow: Flow) -> list[float]:
    """Return how much of the width each column gets."""
    longest: defaultdict[str, int] = defaultdict(int)
    for each in flow.publishing:
        longest[each.service] = max(longest[each.service], len(each.type))
    weights = [1.25 if longest[name] > WIDE else 1.0 for name in shown]
    if weights:
        weights[-1] += 0.6  # what it publishes is written at its right
    return weights


def _columns(weights: Sequence[float]) -> list[float]:
    """Return the middle of each column, in percent."""
    total, before = sum(weights), 0.0
    centres = []
    for weight in weights:
        centres.append(100 * (before + min(weight, 1.25) * 0.44) / total)
        before += weight
    return centres


Labelled = dict[tuple[str, str], list[Publishing]]


def _labelled(
    flow: Flow, at: Mapping[str, float], channels: Sequence[str], odd: Collection[str]
) -> Labelled:
    """Return what each service publishes on each rail.

    First what there is room to write: what is odd and what there is most of, as it first came.
    """
    found: Labelled = {}
    for each in flow.publishing:
        if each.service in at and each.channel in channels:
            found.setdefault((each.service, each.channel), []).append(each)
    for key, types in found.items():
        types.sort(key=lambda p: (p.type not in odd, -p.many, p.rank))
        found[key] = sorted(types[:LABELS], key=lambda p: p.rank) + types[LABELS:]
    return found


def _rails(channels: Sequence[str], flow: Flow, labels: Labelled) -> list[Rail]:
    rates, rails, y = flow.channels(), [], FIRST - 44
    for channel in channels:
        rows = max((min(len(t), LABELS + 1) for (_, c), t in labels.items() if c == channel),
                   default=1)  # fmt: skip
        y += max(44, 26 + LINE * rows)
        rate = float(rates.get(channel, 0.0))
        rails.append(Rail(channel, y, rate, f"{min(9.0, 2 + 1.2 * sqrt(rate)):.1f}", pace(rate)))
    return rails


def pace(rate: float) -> str:
    """Return the class of dots that move by a rate, "" where nothing does."""
    if rate <= 0:
        return ""
    wanted = 9 / rate
    return f"p-{next((n for n, p in enumerate(PACES, 1) if wanted <= p), len(PACES))}"


class _Pen:
    """Draws the parts of one diagram."""

    def __init__(self, flow, whole, at, y, view, odd, rate, duration) -> None:  # type: ignore[no-untyped-def]
        self.flow: Flow = flow
        self.whole: Flow = whole
        self.at: Mapping[str, float] = at
        self.y: Mapping[str, int] = y
        self.view, self.odd, self.rate, self.duration = view, odd, rate, duration

    def _x(self, service: str) -> str:
        return f"{self.at[service]:.2f}%"

    def _told(self, service: str) -> list[Telling]:
        return [t for t in self.flow.telling if t.subscriber == service and t.channel in self.y]

    def node(self, service: str) -> Node:
        told = [t for t in self.whole.telling if t.subscriber == service]
        out = [p for p in self.whole.publishing if p.service == service]
        look = "fail" if any(t.failed for t in told) else "ok"
        late = service in self.odd or any(_lags(t) for t in told)
        if look == "ok" and (late or any(p.type in self.odd for p in out)):
            look = "warn"
        p99 = next((t.p99 for t in told if t.p99 is not None), None)
        return Node(service, self._x(service), sum(p.rate for p in out), p99, look)

    def subs(self) -> list[Trunk]:
        """Return a line up to each subscriber from the rails it hears."""
        trunks = []
        for service in self.at:
            if told := self._told(service):
                joints = sorted(self.y[t.channel] for t in told)
                width, look = self._weight(told)
                trunks.append(
                    Trunk(service, "sub", self._x(service), -20, joints[-1], joints, width,
                          pace(sum(t.rate for t in told)), look)
                )  # fmt: skip
        return trunks

    def _weight(self, told: Sequence[Telling]) -> tuple[str, str]:
        if self.view == "latency":
            slow = max((t.p99 or 0) for t in told)
            return (
                f"{min(8.0, 1.4 + 2 * sqrt(slow / 250_000)):.1f}",
                "warn" if slow > SLOW_US else "",
            )
        if self.view == "failures":
            failed = sum(t.failed for t in told)
            return f"{min(8.0, 1.4 + sqrt(failed)):.1f}", "fail" if failed else ""
        return "1.4", ""

    def pubs(self) -> list[Trunk]:
        """Return a line down from each publisher to each rail it writes on."""
        rates: defaultdict[tuple[str, str], float] = defaultdict(float)
        for each in self.flow.publishing:
            if each.service in self.at and each.channel in self.y:
                rates[each.service, each.channel] += each.rate
        beside: defaultdict[str, int] = defaultdict(int)
        trunks = []
        for (service, channel), rate in sorted(rates.items(), key=lambda r: self.y[r[0][1]]):
            y, shift = self.y[channel], 20 + 9 * beside[service]
            beside[service] += 1
            width = f"{min(7.0, 1 + 0.92 * sqrt(rate)):.1f}" if self.view == "rate" else "2"
            trunks.append(
                Trunk(service, "pub", self._x(service), shift, y, [y], width, pace(rate), "")
            )
        return trunks

    def written(self, labels: Labelled) -> list[Label]:
        """Return the names of what is published, beside its line and above its rail."""
        found = []
        for (service, channel), types in labels.items():
            rows = [(p.type, self.rate(p.rate), "odd" if p.type in self.odd else "")
                    for p in types[:LABELS]]  # fmt: skip
            if len(types) > LABELS:
                rows.append((f"{len(types) - LABELS} more", "", "more"))
            for n, (text, figure, look) in enumerate(rows):
                y = self.y[channel] - 11 - LINE * (len(rows) - 1 - n)
                found.append(
                    Label(self._x(service), y, 30, False, text,
                          figure if self.view == "rate" else "", look)
                )  # fmt: skip
        return found

    def warnings(self) -> list[Label]:
        """Return what is wrong on the ways to subscribers, below the rail at their crossing."""
        found = []
        for told in self.flow.telling:
            if told.subscriber not in self.at or told.channel not in self.y:
                continue
            said = self._said(told)
            for n, (text, look) in enumerate(said):
                y = self.y[told.channel] + 16 + LINE * n
                found.append(Label(self._x(told.subscriber), y, -27, True, text, "", look))
        return found

    def _said(self, told: Telling) -> list[tuple[str, str]]:
        said = []
        if told.failed:
            said.append((f"{told.failed} failed", "fail"))
        if self.view == "latency" and told.p99 is not None:
            said.append((self.duration(told.p99), "warn" if told.p99 > SLOW_US else "more"))
        elif _lags(told):
            said.append((f"lag {told.behind}", "warn"))
        return said


def _lags(told: Telling) -> bool:
    """Return whether a subscriber is more than a few seconds of events behind."""
    return told.behind >= 10 and told.behind > 10 * told.rate
