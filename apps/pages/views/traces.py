"""Traces: the list, and one of them as waterfall, graph, sequence, log and comparison."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
from django.contrib.staticfiles import finders
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.eventlog.errors import QueryError
from apps.pages.nav import PAGES
from apps.pages.queries.dock import dock
from apps.pages.queries.services import Cast, cast
from apps.pages.views.events import drawer_context
from apps.pages.views.frame import Frame, is_part, of_system, whole
from apps.pages.views.touring import note_progress
from apps.pages.words import visible
from apps.traces import compare, graph, mermaid, sequence, timing, waterfall
from apps.traces.problem import CODES
from apps.traces.queries import lists
from apps.traces.queries import traces as single
from apps.traces.queries.traces import View

PAGE = next(page for page in PAGES if page.url == "pages:traces")
ICONS = {
    "handled_twice": "dup", "out_of_order": "odd", "dead_lettered": "dlq", "missing_step": "ghost",
    "effect_without_cause": "odd", "failed": "err", "failed_then_retried": "dup", "slow": "slow",
}  # fmt: skip
NAMES = {
    "handled_twice": "handled twice", "out_of_order": "out of order",
    "dead_lettered": "dead-lettered", "effect_without_cause": "cause not recorded",
    "failed": "failed", "missing_step": "step missing", "failed_then_retried": "retried",
    "slow": "slow",
}  # fmt: skip
OPENED = 50  # subtrees that may be open at once
WITHIN = 100  # deliveries and spans of one event
LOGGED = 400


@require_GET
@of_system
def traces(request: HttpRequest, frame: Frame) -> HttpResponse:
    """The list, newest first, as of the playhead."""
    text, problem = request.GET.get("q", "")[:2000], request.GET.get("problem", "")[:40]
    kind, variant = request.GET.get("kind", "")[:1024], request.GET.get("variant", "")[:8]
    if problem not in ("", "any", *CODES):
        problem = ""
    error, listing = None, None
    try:
        listing = lists.traces(
            frame.line, at=frame.at.position, before=whole(request.GET.get("before", "")),
            query=text, problem=problem, kind=kind, shape=variant,
        )  # fmt: skip
    except QueryError as wrong:
        error = wrong
    known = cast(frame.line.system)
    rows = [_listed(t, known) for t in (listing.traces if listing else [])]
    params = frame.params | {
        name: [value]
        for name, value in (("problem", problem), ("kind", kind), ("variant", variant))
        if value
    }
    context = {
        "frame": frame, "params": params, "q": text, "error": error, "listing": listing,
        "rows": rows, "problem": problem, "kind": kind, "variant": variant, "page": PAGE,
        "title": "Traces", "codes": [(code, NAMES[code]) for code in CODES],
    }  # fmt: skip
    if is_part(request):
        return render(request, "traces/_list.html", context, status=422 if error else 200)
    context |= _dock(request, frame)
    return render(request, "traces/traces.html", context, status=422 if error else 200)


def _listed(t: lists.Listed, known: Cast) -> dict[str, Any]:
    longest = max(t.duration, t.usual.duration99, 1)
    return {
        "t": t, "tile": known.of(t.source), "tiles": [known.of(name) for name in t.services[:8]],
        "more": max(0, len(t.services) - 8),
        "problems": [(code, ICONS[code], NAMES[code]) for code in t.codes],
        "bar": f"{100 * t.duration / longest:.1f}%",
        "p50": f"{100 * t.usual.duration50 / longest:.1f}%" if t.usual.enough else "",
        "slow": t.usual.enough and t.duration > t.usual.duration99,
    }  # fmt: skip


@require_GET
@of_system
def trace(request: HttpRequest, frame: Frame, which: str) -> HttpResponse:
    """One trace: a position of it, a correlation id or an event's id names it."""
    view = _found(frame, which)
    context = _drawn(request, frame, view) | {"which": which}
    twice = any(problem.code == "handled_twice" for problem in view.problems)
    note_progress(request, frame, handled_twice=twice)
    if is_part(request):
        return render(request, "traces/_trace.html", context)
    return render(request, "traces/trace.html", context | _dock(request, frame))


@require_GET
@of_system
def export(request: HttpRequest, frame: Frame, which: str, form: str) -> HttpResponse:
    """One trace as a file: json, mermaid, or html that stands alone."""
    view = _found(frame, which)
    name = f"trace-{view.tree.roots[0]}"
    if form == "json":
        body = msgspec.json.encode(single.jsonable_trace(view))
        return _file(body, "application/json", f"{name}.json")
    if form == "mermaid":
        text = mermaid.sequence(view.tree, view.delivered, view.steps)
        return _file(text.encode(), "text/plain; charset=utf-8", f"{name}.mmd")
    if form != "html":
        raise Http404("A trace can be exported as json, mermaid or html.")
    page = render(request, "traces/alone.html", _drawn(request, frame, view)).content
    # What would lead back here leads nowhere from a file.
    page = re.sub(rb' (href="[?/][^"]*"|data-seek="[0-9]*")', b"", page)
    return _file(
        page.replace(b"/* styles */", _styles()), "text/html; charset=utf-8", f"{name}.html"
    )


def _styles() -> bytes:
    paths = (finders.find(f"css/{name}.css") for name in ("base", "components", "traces"))
    return b"\n".join(Path(path).read_bytes() for path in paths if path)


def _file(body: bytes, content_type: str, name: str) -> HttpResponse:
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"
    }  # fmt: skip
    return HttpResponse(body, content_type, headers=headers)


def _found(frame: Frame, which: str) -> View:
    single.fresh(frame.line)
    view = single.find(frame.line, which[:1024], upto=frame.line.head)
    if view is None or view.tree.root is None:
        raise Http404(f"No trace holds {which[:80]!r}.")
    return view


def _drawn(request: HttpRequest, frame: Frame, view: View) -> dict[str, Any]:
    tree, root = view.tree, view.tree.root
    assert root is not None
    fold = request.GET.get("fold") != "off"
    opened = {n for text in request.GET.getlist("open")[:OPENED] if (n := whole(text)) is not None}
    drawn = waterfall.draw(
        tree, view.delivered, view.steps, problems=view.problems, critical=view.critical,
        usual=view.usual, at=frame.at.position, now=frame.at.time, fold=fold, opened=opened,
    )  # fmt: skip
    known = cast(frame.line.system)
    again = [r.position for r in drawn.rows if r.tag == "again" and r.position is not None]
    params = dict(frame.params)
    params |= {n: request.GET.getlist(n)[:OPENED] for n in ("open", "fold") if n in request.GET}
    selected = whole(request.GET.get("event", ""))
    context: dict[str, Any] = {
        "frame": frame, "params": params, "page": PAGE, "trace": view, "root": root,
        "title": visible(root.type), "rows": [(row, known.of(row.service)) for row in drawn.rows],
        "drawn": drawn, "fold": fold, "selected": selected, "opened": opened,
        "problems": [(p, ICONS[p.code]) for p in view.problems[:8]],
        "more_problems": max(0, len(view.problems) - 8),
        "graph": graph.draw(tree, view.steps, drawn.rows, view.critical),
        "cast": known,
        "seq": sequence.draw(
            tree, view.delivered, view.steps, at=frame.at.position, again=again,
            problems=view.problems,
        ),
        "log": _log(view, known, frame.at.position),
        "stream": view.stream, "may_fork": frame.may("debugger"),
        "skews": sorted(view.behind.items(), key=lambda each: -each[1])[:5],
        "by_now": sum(p <= frame.at.position for p, e in tree.events.items()
                      if e.kind != "response"),
    }  # fmt: skip
    context |= _compared(request, frame, view)
    if selected:
        context |= drawer_context(request, frame, selected)
        context["position"] = selected
        context["why"] = _why(view, selected)
        context |= _evidence(view, known, selected)
    return context


def _evidence(view: View, known: Cast, selected: int) -> dict[str, Any]:
    """Return who was told of an event and how that is known, and what was done on the way."""
    if selected not in view.tree.events:
        return {}
    spans = []
    for span in view.tree.spans.get(selected, [])[:WITHIN]:
        told = timing.of_span(span)
        spans.append({
            "name": span.type, "tile": known.of(span.source), "took": told.end - told.start,
            "error": told.error,
        })  # fmt: skip
    told_of = [(d, known.of(d.subscriber)) for d in view.of(selected)[:WITHIN]]
    return {"told": told_of, "within": spans}


def _log(view: View, known: Cast, at: int) -> list[dict[str, Any]]:
    began = view.span[0]
    lines: list[tuple[int, int, str, str, str, str]] = []
    for position, event in view.tree.events.items():
        kind = "answered" if event.kind == "response" else "published"
        lines.append((view.steps[position].published, position, event.source, kind, event.type, ""))
        for span in view.tree.spans.get(position, ()):
            lines.append((span.time, span.position, span.source, "did", span.type, ""))
        for d in view.delivered.get(position, ()):
            when = d.latest if d.latest is not None else view.steps[position].published
            words = {"dead_lettered": "dead-lettered", "skipped": "skipped as a duplicate:"}
            said = words.get(d.outcome, d.outcome)
            said += f" (attempt {d.attempt})" if d.attempt > 1 else ""
            lines.append((when, d.position or position, d.subscriber, said, event.type, d.error))
    lines.sort()
    return [
        {
            "after": f"+{(when - began) / 1e6:.3f}", "position": position, "tile": known.of(who),
            "who": who, "verb": verb, "type": name, "error": error, "future": position > at,
            "bad": verb.startswith(("failed", "dead")),
        }
        for when, position, who, verb, name, error in lines[:LOGGED]
    ]  # fmt: skip


def _compared(request: HttpRequest, frame: Frame, view: View) -> dict[str, Any]:
    text = request.GET.get("other", "")[:1024]
    other = single.find(frame.line, text, upto=frame.line.head) if text else None
    sides = (other.tree, other.steps) if other is not None else None
    known = cast(frame.line.system)
    found = compare.compare(view.tree, view.steps, usual=view.usual, other=sides)
    return {
        "other": other, "other_text": text,
        "compared": [(line, known.of(line.service)) for line in found],
    }  # fmt: skip


def _why(view: View, position: int) -> list[str]:
    """Return why an event happened again: the deliveries of its cause, in order."""
    for p in view.problems:
        if p.code != "handled_twice" or not p.focus:
            continue
        repeated = view.tree.below(p.position)
        if position not in repeated:
            continue
        return single.story(view, p)
    return []


def _dock(request: HttpRequest, frame: Frame) -> dict[str, Any]:
    if not (frame.draw and frame.line.head):
        return {}
    zoom = request.GET.get("zoom", "")
    return {"dock": dock(frame.line, frame.at, zoom=zoom, user_id=frame.user_id)}
