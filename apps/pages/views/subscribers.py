"""Subscribers: who is told what, how well, and how far behind, as of the playhead."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from apps.access.errors import NotAllowed
from apps.audits import stuck
from apps.audits.commands import flow
from apps.audits.queries import flows as rules_of
from apps.pages import links, sheets
from apps.pages.nav import page
from apps.pages.queries import flows
from apps.pages.queries import subscribers as drawn
from apps.pages.queries.dock import dock
from apps.pages.queries.services import cast
from apps.pages.queries.since import Since, choices, chosen
from apps.pages.tiles import plain
from apps.pages.views.frame import Frame, is_part, of_system, whole
from apps.traces.queries.audience import Audience, audience
from apps.traces.queries.untold import Untold, untold

PAGE = page("pages:subscribers")
VIEWS = (("matrix", "Matrix"), ("table", "Table"))
NAME_MAX = 1024
ERRORS = 5  # different ones shown
KINDS = 200  # types that are offered
LONGEST = 30_000  # characters of a field


@require_GET
@of_system
def subscribers(request: HttpRequest, frame: Frame) -> HttpResponse:
    """All subscribers; beside them one of them, closer, where `who` names it."""
    context = _found(request, frame)
    if is_part(request):
        return render(request, "pages/_subscribers.html", context)
    if frame.draw and frame.line.head:
        context["dock"] = dock(frame.line, frame.at, zoom=frame.window, user_id=frame.user_id)
    return render(request, "pages/subscribers.html", context)


@require_GET
@of_system
def export(request: HttpRequest, frame: Frame) -> HttpResponse:
    """Send the audit as a table: each subscriber and type, with what was observed."""
    at = frame.at.position
    since = chosen(frame.line, request.GET.get("since", ""), _offered(frame), at=at)
    every = audience(frame.line, at=at, since=since.position)
    rows = drawn.audit(every.subscribers, _nobody(frame, every, since))
    response = HttpResponse(sheets.table(drawn.HEAD, rows), "text/csv; charset=utf-8")
    name = f"{frame.slug}-subscribers-{at}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _offered(frame: Frame) -> list[Since]:
    at = frame.at
    return choices(frame.line, at=at.position, now=at.time or 0, user_id=frame.user_id)


def _nobody(frame: Frame, every: Audience, since: Since) -> list[Untold]:
    told = {name for one in every.subscribers for name in one.types}
    return untold(frame.line, at=frame.at.position, told=told, since=since.position)


def _found(request: HttpRequest, frame: Frame) -> dict[str, Any]:
    view = request.GET.get("view", "")
    view = view if view in dict(VIEWS) else "matrix"
    only, who = request.GET.get("only") == "problems", request.GET.get("who", "")[:NAME_MAX]
    at, known = frame.at.position, cast(frame.line.system)
    offered, now = _offered(frame), frame.at.time or 0
    since = chosen(frame.line, request.GET.get("since", "")[:20], offered, at=at)
    every = audience(frame.line, at=at, since=since.position)
    shown = [one for one in every.subscribers if one.has_problem or not only]
    nobody = _nobody(frame, every, since) if every.subscribers else []
    table = drawn.table(frame.line, shown, known, now=now, nobody=nobody)
    here = {name: [value] for name, value in (("view", request.GET.get("view", "")[:20]),
                                              ("only", "problems" if only else ""),
                                              ("since", since.word),
                                              ("who", who)) if value}  # fmt: skip
    context = {
        "frame": frame, "params": frame.params | here, "page": PAGE, "title": "Subscribers",
        "view": view, "views": VIEWS, "only": only, "table": table, "count": every.total,
        "all": len(every.subscribers), "who": who, "since": since,
        "offered": offered if since in offered else [since, *offered],
    }  # fmt: skip
    context |= _flows(request, frame, known, since)
    if who:
        context |= _closer(frame, who, known, now, since.position)
    return context


def _flows(request: HttpRequest, frame: Frame, known: Any, since: Since) -> dict[str, Any]:
    """Return the rules of flows, and what breaks the chosen one: the first that is broken."""
    span = {"at": frame.at.position, "now": frame.at.time or 0, "since": since.position}
    rules = flows.watched(frame.line, **span)
    number = whole(request.GET.get("flow", ""))
    picked = next((r for r in rules if r.flow.pk == number), None)
    picked = picked or next((r for r in rules if r.broken), rules[0] if rules else None)
    found = flows.waiting(frame.line, picked.flow, known, **span) if picked else []
    return {
        "rules": rules, "picked": picked, "stuck": found, "may_rule": frame.may("debugger"),
        "looked_at": rules_of.LOOKED_AT, "kinds_known": list(known.publishers)[:KINDS],
    }  # fmt: skip


@require_POST
@of_system
def rule(request: HttpRequest, frame: Frame) -> HttpResponse:
    """Add a rule of flows, or remove one."""
    if not frame.may("debugger"):
        raise NotAllowed(needed="debugger", role=frame.role)
    given = {n: request.POST.get(n, "")[:LONGEST] for n in ("begins", "ends", "within", "by")}
    if number := whole(request.POST.get("remove", "")):
        flow.remove(frame.line, number, by=frame.actor)
        return _back(request, frame, "The rule is removed.")
    try:
        wanted = stuck.rule(
            given["begins"], given["ends"].splitlines(), given["within"], given["by"]
        )
        made = flow.add(frame.line, wanted, by=frame.actor)
    except stuck.BadFlow as error:
        context = _found(request, frame) | {"problem": str(error), "given": given}
        if frame.draw and frame.line.head:
            context["dock"] = dock(frame.line, frame.at, zoom=frame.window, user_id=frame.user_id)
        return render(request, "pages/subscribers.html", context, status=422)
    return _back(request, frame, "The rule is added.", flow=made.pk)


def _back(request: HttpRequest, frame: Frame, said: str, **params: Any) -> HttpResponse:
    messages.success(request, said)
    address = reverse("pages:subscribers", args=[frame.slug])
    return HttpResponseRedirect(address + links.query(frame.params, **params) + "#stuck")


def _closer(frame: Frame, who: str, known: Any, now: int, since: int) -> dict[str, Any]:
    at = frame.at.position
    found = audience(frame.line, at=at, since=since, only=plain(who)).subscribers
    if not found:
        return {"nobody": True}
    table = drawn.table(frame.line, found, known, now=now)
    one = table.rows[0]
    kinds = [(tile, square) for (_, tile), square in zip(table.types, one.squares, strict=True)]
    errors = one.of.errors.most_common(ERRORS)
    return {"one": one, "kinds": kinds, "evidence": drawn.evidence(one.of), "errors": errors}
