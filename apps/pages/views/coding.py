"""Reducers typed on the State page, and the word that code has changed."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from apps.access.errors import NotAllowed
from apps.pages import links
from apps.pages.views.frame import Frame, is_part, of_system
from apps.pages.views.states import basics
from apps.projections.commands.codes import keep_code, retire_code
from apps.projections.errors import BadCode
from apps.projections.queries import sources

EXAMPLE = '''def reducer(state, event):
    """Return the state after an event. It is None before the first."""
    state = state or {}
    state["last"] = event.type
    return {**state, **(event.data or {})}
'''


@require_http_methods(["GET", "POST"])
@of_system
def code(request: HttpRequest, frame: Frame) -> HttpResponse:
    """A reducer to type, in a dialog or a page of its own."""
    asked = request.POST if request.method == "POST" else request.GET
    stream = asked.get("stream", "")[:1024]
    context = basics(request, frame, stream)
    if request.method == "POST":
        if not frame.may("debugger"):
            raise NotAllowed(needed="debugger", role=frame.role)
        answer = _kept(request, frame, stream, context)
        if answer is not None:
            return answer
    else:
        context |= _given(frame, stream, asked.get("projection", "")[:200])
    template = "_code.html" if is_part(request) else "code.html"
    status = 422 if context.get("error") else 200
    return render(request, f"projections/{template}", context, status=status)


def _given(frame: Frame, stream: str, name: str) -> dict[str, Any]:
    """Return what stands in the form at first: what was typed before, or an example."""
    typed = sources.typed_source(frame.line, name.partition("@")[0])
    if typed is None:
        category, dash, _ = stream.partition("-")
        name = f"my-{category.lower()}"[:60] if category else ""
        streams = f"{category}-*" if dash else stream or "*"
        return {"name": name, "source": EXAMPLE, "streams": streams, "typed": None}
    return {"name": typed.name, "streams": " ".join(typed.streams), "source": typed.source,
            "typed": typed}  # fmt: skip


def _kept(
    request: HttpRequest, frame: Frame, stream: str, context: dict[str, Any]
) -> HttpResponse | None:
    given = {name: request.POST.get(name, "") for name in ("name", "streams", "source")}
    context |= given | {"typed": sources.typed_source(frame.line, given["name"])}
    if request.POST.get("retire"):
        retire_code(frame.line, given["name"])
        return _leading(request, frame, stream, "")
    try:
        source = given["source"].replace("\r\n", "\n")  # as forms send it
        kept = keep_code(
            frame.line, given["name"].strip(), source, streams=given["streams"],
            owner=frame.user_id or 0,
        )  # fmt: skip
    except BadCode as bad:
        context |= {"error": str(bad)}
        return None
    return _leading(request, frame, stream, kept.name)


def _leading(request: HttpRequest, frame: Frame, stream: str, projection: str) -> HttpResponse:
    """Lead to the entity as the projection makes it."""
    params = {k: v for k, v in frame.params.items() if k != "projection"}
    if projection:
        params["projection"] = [projection]
    page = reverse("pages:state", args=[frame.slug, stream]) if stream else None
    address = (page or reverse("pages:states", args=[frame.slug])) + links.query(params)
    if is_part(request):
        return HttpResponse(status=204, headers={"HX-Redirect": address})
    return HttpResponseRedirect(address)


@require_GET
@of_system
def news(request: HttpRequest, frame: Frame) -> HttpResponse:
    """Nothing; where the code of a projection has changed, the page is told to fold again."""
    name, known = request.GET.get("projection", "")[:200], request.GET.get("mark", "")
    answer = HttpResponse(status=204, headers={"Cache-Control": "no-store"})
    if name and sources.mark(frame.line, name) != known:
        text = f"The code of {name} changed: folded again"
        answer["HX-Trigger"] = json.dumps({"refold": {"text": text}})
    return answer
