"""Sandboxes: the list, and one with its recipe, its runs and what they came to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.access.commands.trail import note
from apps.access.errors import NotAllowed
from apps.eventlog.errors import EventLogError
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.pages import links
from apps.pages.nav import PAGES
from apps.pages.queries import moments
from apps.pages.queries import sandboxes as shown
from apps.pages.queries.dock import dock
from apps.pages.queries.edited import edits_shown
from apps.pages.queries.runs import CHECKS as CHECKED
from apps.pages.queries.runs import SAID, forks_shown, runs_shown
from apps.pages.views.frame import Frame, is_part, of_system, refused, whole
from apps.pages.views.recipes import changed, draft, recipe
from apps.pages.views.touring import note_progress
from apps.sandbox import edits as recipes
from apps.sandbox.commands import control, forks
from apps.sandbox.errors import BadRecipe, UnknownSandbox
from apps.sandbox.queries import forks as found
from apps.sandbox.queries import targets
from apps.sandbox.queries.comparison import so_far
from apps.sandbox.queries.forks import Fork, Run

PAGE = next(page for page in PAGES if page.url == "pages:sandboxes")
UNDERWAY = ("queued", "running")
CHECKS = (
    ("twice", "Every delivery twice", "which handlers are not idempotent"),
    ("swapped", "Neighbours swapped", "what depends on the order between streams"),
    ("failing", "Each call failing once", "what a retry does not mend"),
    ("folds", "Today's code against history", "which events its reducers take otherwise, or not"),
)


def need(frame: Frame) -> None:
    """Refuse who may not change sandboxes. raises  NotAllowed"""
    if not frame.may("debugger"):
        raise NotAllowed(needed="debugger", role=frame.role)


@require_http_methods(["GET", "HEAD", "POST"])
@of_system
def sandboxes(request: HttpRequest, frame: Frame) -> HttpResponse:
    """The sandboxes of a system; POST makes one, and with `start` runs it."""
    if request.method == "POST":
        return _create(request, frame)
    return _list(request, frame)


def _list(request: HttpRequest, frame: Frame, error: str = "") -> HttpResponse:
    line = log.line(frame.slug)
    context = {
        "frame": frame, "params": frame.params, "page": PAGE, "title": "Sandboxes",
        "rows": forks_shown(line),
        "error": error, "may": frame.may("debugger"), "base": max(0, frame.at.position - 1),
        "until": line.head, "posted": request.POST,
    }  # fmt: skip
    if frame.draw and frame.line.head:
        context["dock"] = dock(frame.line, frame.at, zoom=frame.window, user_id=frame.user_id)
    return render(request, "sandbox/sandboxes.html", context, status=422 if error else 200)


def _create(request: HttpRequest, frame: Frame) -> HttpResponse:
    need(frame)
    line = log.line(frame.slug)
    position = whole(request.POST.get("position", ""))
    edits = [{"op": "skip", "position": position}] if position else []
    try:
        base = log.moment(line, request.POST.get("base", "")[:80])
        end = log.moment(line, request.POST.get("until", "")[:80])
        span = whole(request.POST.get("span", "")) or forks.most()
        fork = forks.create(
            line, base=base, until=min(end, base + min(span, forks.most())), edits=edits,
            name=request.POST.get("name", "")[:200], by=frame.user_id,
        )  # fmt: skip
        note(frame.actor, "sandbox made", fork.name, system_id=fork.system)
        if request.POST.get("start"):
            forks.start(line, fork)
            control.ring()
    except EventLogError as error:
        if is_part(request):
            return refused(request, str(error), status=422)
        return _list(request, frame, str(error))
    return HttpResponseRedirect(_address(frame, fork))


def _address(frame: Frame, fork: Fork, run: Run | None = None) -> str:
    address = reverse("pages:sandbox", args=[frame.slug, fork.pk])
    timeline = run.timeline if run else None
    return address + (f"?timeline={timeline}" if timeline else "")


def _fork(frame: Frame, number: int) -> Fork:
    try:
        return found.fork(frame.line, number)
    except UnknownSandbox as error:
        raise Http404(str(error)) from error


@require_GET
@of_system
def sandbox(request: HttpRequest, frame: Frame, number: int) -> HttpResponse:
    """One sandbox, with the run whose timeline the address names, else the last."""
    fork = _fork(frame, number)
    runs = found.runs(fork)
    known = {run.timeline for run in runs} | {fork.timeline}
    if frame.line.timeline not in known:
        run = runs[0] if runs else None
        query = request.GET.copy()
        query["timeline"] = str(run.timeline if run else fork.timeline)
        query.pop("at", None)
        return HttpResponseRedirect(f"{request.path}?{query.urlencode()}")
    run = next((each for each in runs if each.timeline == frame.line.timeline), None)
    context = _basics(frame, fork, run) | {"runs": runs} | recipe(request, frame, fork)
    context |= draft(request, frame, fork) | results(request, frame, fork, run, runs)
    if frame.draw and frame.line.head:
        context["dock"] = dock(frame.line, frame.at, zoom=frame.window, user_id=frame.user_id)
    if run is not None and run.status == "finished":
        note_progress(request, frame, took=("fix",))
    return render(request, "sandbox/sandbox.html", context)


@require_GET
@of_system
def part(request: HttpRequest, frame: Frame, number: int) -> HttpResponse:
    """What a run came to so far; asked for again while it goes on."""
    fork = _fork(frame, number)
    runs = found.runs(fork)
    run = next((each for each in runs if each.timeline == frame.line.timeline), None)
    if not is_part(request):
        return HttpResponseRedirect(_address(frame, fork, run))
    context = _basics(frame, fork, run) | results(request, frame, fork, run, runs)
    response = render(request, "sandbox/_main.html", context)
    if not context["underway"] and request.GET.get("was") in UNDERWAY:
        response["HX-Refresh"] = "true"  # there is more on the page than this part by then
    return response


@require_POST
@of_system
def act(request: HttpRequest, frame: Frame, number: int) -> HttpResponse:
    """Start a run, pause it and so on, keep it as a test; copy, move or discard the sandbox."""
    need(frame)
    fork = _fork(frame, number)
    line, what = log.line(frame.slug), request.POST.get("do", "")
    run = fork.runs.filter(timeline=frame.line.timeline).first()
    try:
        if what == "discard":
            forks.discard(fork)
            note(frame.actor, "sandbox discarded", fork.name, system_id=fork.system)
            return HttpResponseRedirect(reverse("pages:sandboxes", args=[frame.slug]))
        if what in ("duplicate", "move"):
            return HttpResponseRedirect(_address(frame, _copied(request, frame, line, fork)))
        if what in ("start", "stepwise"):
            options = fork.options | _pace(request)
            options |= {"speed": "step"} if what == "stepwise" else {}
            forks.change(line, fork, options=options)
            run = forks.start(line, fork, check=request.POST.get("check", ""))
            control.ring()
        elif run is not None and what == "keep":
            control.keep(run, request.POST.get("name", "") or fork.name)
            note_progress(request, frame, took=("keep",))
        elif run is not None:
            run = control.do(run, what, options=_answer(request, run))
    except EventLogError as error:
        return _refused(request, frame, fork, str(error))
    return HttpResponseRedirect(_address(frame, fork, run))


def _copied(request: HttpRequest, frame: Frame, line: Line, fork: Fork) -> Fork:
    """Return the sandbox with the same recipe; where it is to be moved, over another stretch."""
    if request.POST.get("do") == "move":
        base = log.moment(line, request.POST.get("base", "")[:80])
        until = log.moment(line, request.POST.get("until", "")[:80])
        made = forks.move(line, fork, base=base, until=until, by=frame.user_id)
    else:
        made = forks.duplicate(line, fork, by=frame.user_id)
    note(frame.actor, "sandbox made", made.name, system_id=made.system)
    return made


def _refused(request: HttpRequest, frame: Frame, fork: Fork, text: str) -> HttpResponse:
    runs = found.runs(fork)
    run = next((each for each in runs if each.timeline == frame.line.timeline), None)
    moving = request.POST if request.POST.get("do") == "move" else None
    context = _basics(frame, fork, run) | {"runs": runs, "error": text, "moving": moving}
    context |= recipe(request, frame, fork) | draft(request, frame, fork)
    context |= results(request, frame, fork, run, runs)
    return render(request, "sandbox/sandbox.html", context, status=422)


def _pace(request: HttpRequest) -> dict[str, Any]:
    """Return the options a form says: how fast, where to stop, what is wrong."""
    made: dict[str, Any] = {}
    if speed := request.POST.get("speed", ""):
        made["speed"] = speed if speed in ("fast", "step") else "recorded"
        made["factor"] = int(speed[1:6]) if speed[:1] == "x" and speed[1:].isdecimal() else 1
    if (text := request.POST.get("stop_when")) is not None:
        made["stop_when"] = text[:2000].strip()
    if fault := request.POST.get("fails", ""):
        made["fails"] = fault
    return made


def _answer(request: HttpRequest, run: Run) -> dict[str, Any]:
    """Return what a person answers to a call without a recording."""
    how = request.POST.get("missing", "")
    if how != "stub":
        return {"missing": how} if how else {}
    try:
        response = msgspec.json.decode(request.POST.get("response", "")[:100_000])
    except msgspec.DecodeError as error:
        raise BadRecipe(f"The answer is not JSON: {error}") from error
    wanted = run.wanted or {}
    stub = {"call": wanted.get("call", ""), "response": response}
    return {"stubs": [*run.options.get("stubs", []), stub]}


def _basics(frame: Frame, fork: Fork, run: Run | None) -> dict[str, Any]:
    at = moments.at(frame.line, fork.base)
    params: links.Params = frame.params | {"timeline": [str(frame.line.timeline)]}
    return {
        "frame": replace(frame, params=params), "params": params, "page": PAGE,
        "title": fork.name, "fork": fork, "run": run, "fork_at": at, "checks": CHECKS,
        "may": frame.may("debugger"), "underway": run is not None and run.status in UNDERWAY,
        "here": reverse("pages:sandbox", args=[frame.slug, fork.pk]),
        "sends": [targets.place(choice) for choice in targets.of(fork.code).values()],
        "seen": forks.is_seen(fork),
    }  # fmt: skip


def results(
    request: HttpRequest, frame: Frame, fork: Fork, run: Run | None, runs: list[Run]
) -> dict[str, Any]:
    """Return what is shown of a run: how far it is, and what it came to."""
    tried = {"runs": runs, "tried": runs_shown(log.line(frame.slug), runs)}
    if run is None:
        return tried
    seconds = max(0.001, run.ran_ms / 1000)
    rate = run.done / seconds if run.ran_ms else 0
    context: dict[str, Any] = tried | {
        "said": SAID[run.status], "rate": round(rate), "seconds": seconds,
        "left": round((run.total - run.done) / rate * 1_000_000) if rate else None,
        "check_of": CHECKED.get(run.check_of, ""), "result": run.result,
        "everything": request.GET.get("show") == "all", "so_far": so_far(run),
    }  # fmt: skip
    if run.result:
        original: Line = log.line(frame.slug)
        run = found.run(fork, run.number)
        context["lanes"] = shown.lanes(
            run, original, frame.line, everything=context["everything"]
        )  # fmt: skip
        context["fields"], context["entities"] = shown.states_shown(run)
        least = (run.result or {}).get("shrunk") or {}
        context["least"] = edits_shown(original, recipes.read(least.get("edits", [])))
        twins = (run.result or {}).get("twins", [])
        context["again"] = [t for t in twins if t["again"]]
        context["fine"] = [t for t in twins if not t["again"]]
    return context


@require_POST
@of_system
def change(request: HttpRequest, frame: Frame, number: int) -> HttpResponse:
    """Change the recipe: add, switch or remove an edit; the code, the answers, the name."""
    need(frame)
    fork = _fork(frame, number)
    try:
        changed(request, log.line(frame.slug), fork)
    except EventLogError as error:
        return _refused(request, frame, fork, str(error))
    run = fork.runs.filter(timeline=frame.line.timeline).first()
    return HttpResponseRedirect(_address(frame, fork, run))
