"""One event's data, in parts: what the drawer loads when something is opened, and copies."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.eventlog.envelope import Recorded, Undecodable
from apps.eventlog.queries import log
from apps.pages import chunks, copies, payload
from apps.pages.views.frame import Frame, is_part, of_system, whole

POINTER_MAX = 4096


def of_event(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Call `view(request, frame, event, …)` for the event at `position`; 404 without one."""

    @wraps(view)
    def answer(request: HttpRequest, frame: Frame, position: int, **rest: Any) -> HttpResponse:
        event = log.event(frame.line, position)
        if event is None or event.data is None:
            raise Http404(f"There is no data at {position}.")
        return view(request, frame, event, **rest)

    return answer


def _drawn(
    request: HttpRequest, frame: Frame, event: Recorded, template: str, **context: Any
) -> HttpResponse:
    """Draw a part; as a page of its own for whoever opens it as one."""
    context |= {"frame": frame, "params": frame.params, "position": event.position}
    if is_part(request):
        return render(request, template, context)
    return render(request, "pages/part.html", context | {"inner": template})


def _offset(request: HttpRequest) -> int:
    return whole(request.GET.get("offset", "")) or 0


@require_GET
@of_system
@of_event
def part(request: HttpRequest, frame: Frame, event: Recorded) -> HttpResponse:
    """What is inside one value of the tree, from `offset` on."""
    pointer = request.GET.get("pointer", "")[:POINTER_MAX]
    try:
        node = payload.part(event.data or b"", pointer, offset=_offset(request))
    except (KeyError, Undecodable) as error:
        raise Http404(f"Nothing in the data is at {pointer!r}.") from error
    return _drawn(request, frame, event, "pages/_part.html", n=node)


@require_GET
@of_system
@of_event
def raw(request: HttpRequest, frame: Frame, event: Recorded) -> HttpResponse:
    """The data as text, from `offset` on."""
    chunk = chunks.text(event.data or b"", _offset(request))
    return _drawn(request, frame, event, "pages/_raw.html", chunk=chunk)


@require_GET
@of_system
@of_event
def hexadecimal(request: HttpRequest, frame: Frame, event: Recorded) -> HttpResponse:
    """The data as bytes, from `offset` on."""
    lines = chunks.hexadecimal(event.data or b"", _offset(request))
    return _drawn(request, frame, event, "pages/_hex.html", lines=lines)


@require_GET
@of_system
@of_event
def copy(request: HttpRequest, frame: Frame, event: Recorded, form: str) -> HttpResponse:
    """The event as text to paste elsewhere: cloudevent, curl or data."""
    if form == "cloudevent":
        text = copies.cloudevent(event)
    elif form == "curl":
        text = copies.curl(event, request.build_absolute_uri("/v1/events"))
    elif form == "data":
        text = (event.data or b"").decode("utf-8", "replace")
    else:
        raise Http404(f"An event cannot be copied as {form!r}.")
    return _inert(HttpResponse(text, content_type="text/plain; charset=utf-8"))


@require_GET
@of_system
@of_event
def download(request: HttpRequest, frame: Frame, event: Recorded) -> HttpResponse:
    """The exact bytes, as a file: never as a page of ours."""
    response = _inert(HttpResponse(event.data, content_type="application/octet-stream"))
    name = f"{frame.slug}-{event.position}"
    response["Content-Disposition"] = f"attachment; filename={json.dumps(name)}"
    return response


def _inert(response: HttpResponse) -> HttpResponse:
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response
