"""Sources: taps as they are now, a form to add one, and what could not become an event."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.access.errors import NotAllowed, NotVisible
from apps.ingest import buses, preview, queries, shaping
from apps.ingest.codecs import CODECS
from apps.ingest.commands import rejects, taps
from apps.ingest.connector import BadSettings, Checked, Unreachable
from apps.pages import links
from apps.pages.nav import PAGES
from apps.pages.queries import sources as found
from apps.pages.queries.dock import dock
from apps.pages.views.frame import Frame, is_part, of_system, whole

PAGE = next(page for page in PAGES if page.url == "pages:sources")
KEPT_S = 900  # seconds the last records of a check are remembered, in memory alone
FIELD_MAX = 20_000  # characters
ACTS = {"start": taps.start, "stop": taps.stop, "remove": taps.remove}
SAID = {"start": "runs again", "stop": "rests where it is", "remove": "is removed; its events stay"}


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@of_system
def sources(request: HttpRequest, frame: Frame) -> HttpResponse:
    """All taps; POST looks at a bus, tries a mapping, or adds a tap."""
    if request.method == "POST":
        _only_admin(frame)
        return _form(request, frame, None)
    if is_part(request):
        listed = _listed(frame)
        return render(request, "pages/_sources.html", listed | {"params": _here(request, frame)})
    return _page(request, frame, _side(request, frame))


@sensitive_post_parameters()
@require_POST
@of_system
def source(request: HttpRequest, frame: Frame, name: str) -> HttpResponse:
    """Check, change, start, stop, rewind or remove a tap."""
    _only_admin(frame)
    tap = queries.tap_named(frame.line, name)
    if tap is None:
        raise NotVisible
    do = request.POST.get("do", "")
    if do in ACTS:
        ACTS[do](tap, by=frame.actor)
        return _back(request, frame, f"{name} {SAID[do]}.", tap="" if do == "remove" else name)
    if do in ("arm", "disarm"):
        minutes = request.POST.get("minutes", "").strip()[:8] if do == "arm" else "0"
        return _armed(request, frame, tap, minutes)
    if do == "rewind":
        try:
            taps.rewind(frame.line, tap, request.POST.get("to", "").strip()[:80], by=frame.actor)
        except BadSettings as error:
            return _refused(request, frame, str(error), tap=name)
        return _back(request, frame, f"{name} reads again.", tap=name)
    return _form(request, frame, tap)


def _armed(request: HttpRequest, frame: Frame, tap: Any, minutes: str) -> HttpResponse:
    try:
        taps.arm(frame.line, tap, minutes, by=frame.actor)
    except BadSettings as error:
        return _refused(request, frame, str(error), tap=tap.name)
    return _back(request, frame, queries.armed(tap) or f"{tap.name} is disarmed.", tap=tap.name)


@require_POST
@of_system
def quarantine(request: HttpRequest, frame: Frame) -> HttpResponse:
    """Try records again, all or one, or throw them away."""
    _only_admin(frame)
    number = whole(request.POST.get("reject", ""))
    ids = None if number is None else [number]
    if request.POST.get("do") == "discard":
        count = rejects.discard(frame.line, ids, by=frame.actor)
        return _back(request, frame, f"{count} discarded.")
    codec = request.POST.get("codec", "")
    try:
        done = rejects.retry(
            frame.line, ids, codec=codec if codec in CODECS else "", by=frame.actor
        )
    except (BadSettings, Unreachable) as error:
        return _refused(request, frame, str(error))
    told = f"{done['stored']} of {done['tried']} are events now; {done['left']} stay."
    return _back(request, frame, told)


@require_GET
@of_system
def reject(request: HttpRequest, frame: Frame, number: int) -> HttpResponse:
    """One record in quarantine, as text and in hexadecimal."""
    one = found.quarantined(frame.line, number)
    if one is None:
        raise NotVisible
    if not is_part(request):
        address = reverse("pages:sources", args=[frame.slug])
        return HttpResponseRedirect(address + links.query(frame.params, reject=number))
    return render(request, "pages/_source_reject.html", {"frame": frame, "one": one,
                                                         "may": frame.may("admin")})  # fmt: skip


def _only_admin(frame: Frame) -> None:
    if not frame.may("admin"):
        raise NotAllowed(needed="admin", role=frame.role)


def _listed(frame: Frame) -> dict[str, Any]:
    listed = found.sources(frame.line)
    kept, count = found.quarantine(frame.line)
    return {
        "frame": frame, "params": frame.params, "sources": listed, "quarantine": kept,
        "quarantined": count, "many": count >= found.COUNTED, "gaps": found.gaps(frame.line),
        "may": frame.may("admin"),
        "tally": {
            "receiving": sum(s.look in ("ok", "warn") for s in listed),
            "failing": sum(s.look == "fail" for s in listed),
            "paused": sum(s.status == "paused" for s in listed),
        },
    }  # fmt: skip


def _here(request: HttpRequest, frame: Frame) -> dict[str, Any]:
    """Return the parameters of links: also what the right column shows."""
    side = {n: [request.GET[n][:80]] for n in ("add", "tap", "reject") if request.GET.get(n)}
    return frame.params | side


def _side(request: HttpRequest, frame: Frame) -> dict[str, Any]:
    """Return what the right column shows: a tap, a record, or the form."""
    if name := request.GET.get("tap", "")[:63]:
        detail = found.detail(frame.line, name)
        if detail is None:
            raise NotVisible
        shown = {f"set.{n}": v for n, v in detail.settings.items()}
        return {
            "detail": detail,
            "form": _fields(detail.source.tap.bus, shown, tap=detail.source.tap.name),
        }
    if number := whole(request.GET.get("reject", "")):
        one = found.quarantined(frame.line, number)
        if one is None:
            raise NotVisible
        return {"one": one}
    if not frame.may("admin"):
        return {}
    bus = request.GET.get("add", "")
    return {"form": _fields(bus if bus in buses.CONNECTORS else _first(), {}), "adding": True}


def _first() -> str:
    return found.available()[0].name


def _fields(bus: str, given: Mapping[str, str], *, tap: str = "") -> dict[str, Any]:
    """Return the fields of a bus with what was given for them; `tap` is the one to be changed."""

    def field(setting: Any) -> dict[str, Any]:
        value = given.get(f"set.{setting.name}", setting.default)
        return {"s": setting, "name": f"set.{setting.name}", "value": value}

    made = buses.connector_class(bus)
    return {
        "bus": bus, "title": made.title, "tap": tap, "name": given.get("name", ""),
        "fields": [field(s) for s in made.settings],
        "common": [field(s) for s in shaping.COMMON if s.name != "redact"],
        "redact": given.get("set.redact", ""),
        "map": {p: given.get(f"set.map.{p}", "") for p in preview.PARTS},
    }  # fmt: skip


def _form(request: HttpRequest, frame: Frame, tap: Any) -> HttpResponse:
    given = {
        n: str(v)[:FIELD_MAX]
        for n, v in request.POST.items()
        if n == "name" or n.startswith("set.")
    }
    bus = tap.bus if tap else request.POST.get("bus", "")
    if bus not in buses.CONNECTORS:
        raise NotVisible
    name = tap.name if tap else given.get("name", "").strip()
    settings = {n[4:]: v.strip() for n, v in given.items() if n != "name" and v.strip()}
    if tap:
        known = [*buses.connector_class(bus).settings, *shaping.COMMON]
        settings = taps.kept(known, settings, tap)
    if request.POST.get("do") in ("check", "preview"):
        return _checked(request, frame, tap, bus, name, settings, given)
    try:
        if tap:
            taps.change(frame.line, tap, settings, by=frame.actor)
            return _back(request, frame, f"{name} goes on with these settings.", tap=name)
        wanted = request.POST.get("do") != "draft"
        taps.add(frame.line, name, bus, settings, by=frame.actor, wanted=wanted)
    except BadSettings as error:
        return _refused(request, frame, str(error), tap=name if tap else "", bus=bus, given=given)
    return _back(request, frame, f"{name} is added.", tap=name)


def _checked(
    request: HttpRequest,
    frame: Frame,
    tap: Any,
    bus: str,
    name: str,
    settings: Mapping[str, str],
    given: Mapping[str, str],
) -> HttpResponse:
    """Look at the bus, or only try the mapping on what the last look brought."""
    token = request.POST.get("sample", "")[:64]
    key = f"sample:{frame.line.system}:{request.session.session_key}:{token}"
    held: Checked | None = cache.get(key) if request.POST.get("do") == "preview" else None
    if held is None:
        held = queries.checked(frame.line.system, name or "new", bus, settings)
        token = secrets.token_urlsafe(12)
        key = f"sample:{frame.line.system}:{request.session.session_key}:{token}"
        cache.set(key, held, KEPT_S)
    context = {
        "frame": frame, "params": frame.params, "checked": held, "sample": token,
        "form": _fields(bus, given, tap=tap.name if tap else ""), "may": True,
    }  # fmt: skip
    if promise := found.promised(frame.line.system, name or "new", bus, settings):
        sign, look = found.signed(promise)
        context |= {"promise": promise, "promise_sign": sign, "promise_look": look}
    try:
        shape = taps.form(frame.line.system, name or "new", settings)
        written = {n[4:]: v for n, v in settings.items() if n.startswith("map.")}
        context["preview"] = preview.preview(held.sample, shape, written)
    except (BadSettings, Unreachable) as error:
        context["problem"] = str(error)
    if is_part(request):
        return render(request, "pages/_source_checked.html", context)
    side = {"form": context["form"], "adding": tap is None}
    if tap:
        side["detail"] = found.detail(frame.line, tap.name)
    return _page(request, frame, context | side)


def _page(
    request: HttpRequest, frame: Frame, side: Mapping[str, Any], status: int = 200
) -> HttpResponse:
    context = _listed(frame) | {
        "page": PAGE, "title": "Sources", "buses": found.available(), "wide": bool(side),
        "params": _here(request, frame),
    }  # fmt: skip
    if frame.draw:
        context["dock"] = dock(frame.line, frame.at, zoom=frame.window, user_id=frame.user_id)
    return render(request, "pages/sources.html", context | dict(side), status=status)


def _refused(
    request: HttpRequest,
    frame: Frame,
    words: str,
    *,
    tap: str = "",
    bus: str = "",
    given: Mapping[str, str] | None = None,
) -> HttpResponse:
    """Draw the page again with what is wrong and what was typed; a password is typed again."""
    side: dict[str, Any] = {"problem": words}
    if tap and (detail := found.detail(frame.line, tap)):
        shown = {f"set.{n}": v for n, v in detail.settings.items()} | dict(given or {})
        side |= {
            "detail": detail,
            "form": _fields(detail.source.tap.bus, shown, tap=detail.source.tap.name),
        }
    elif bus:
        side |= {"form": _fields(bus, given or {}), "adding": True}
    return _page(request, frame, side, status=422)


def _back(request: HttpRequest, frame: Frame, words: str, *, tap: str = "") -> HttpResponse:
    messages.success(request, words)
    address = reverse("pages:sources", args=[frame.slug])
    return HttpResponseRedirect(address + links.query(frame.params, tap=tap))
