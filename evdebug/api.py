"""The JSON API under /api/v1/: who may read what, how errors look, and its description."""

from __future__ import annotations

import logging
import re
from typing import Any

import msgspec
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import URLPattern, URLResolver, path, reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation
from ninja.utils import check_csrf

from apps.access.errors import AccessError
from apps.access.queries import callers
from apps.audits.api import router as flows
from apps.eventlog import shapes
from apps.eventlog.api import router
from apps.eventlog.errors import (
    EventLogError,
    LogUnavailable,
    QueryError,
    UnknownSystem,
    UnknownTimeline,
)
from apps.eventlog.places import Line
from apps.ingest.api import router as taps
from apps.projections.api import router as states
from apps.sandbox.api import router as sandboxes
from apps.traces.api import router as traces

logger = logging.getLogger(__name__)

SAFE = {"GET", "HEAD", "OPTIONS"}
SHAPES = [shapes.Event, shapes.Events, shapes.Head, shapes.Deliveries, shapes.Histogram,
          shapes.Facets, shapes.Streams, shapes.Error]  # fmt: skip
CODES = {400: "bad_request", 401: "bad_key", 403: "not_allowed", 404: "not_found",
         405: "method_not_allowed", 410: "forgotten", 422: "bad_parameter"}  # fmt: skip


class Api(NinjaAPI):
    """Ninja's API, with the shapes of our answers in its description."""

    def get_root_path(self, path_params: dict[str, Any]) -> str:
        """Return what all addresses begin with."""
        return reverse("api:docs").removesuffix("docs")

    def get_openapi_operation_id(self, operation: Operation) -> str:
        """Return the name a generated client gives to an operation."""
        return operation.view_func.__name__

    def get_openapi_schema(self, **arguments: Any) -> OpenAPISchema:
        """Return the OpenAPI document."""
        document = super().get_openapi_schema(**arguments)
        _, described = msgspec.json.schema_components(
            SHAPES, ref_template="#/components/schemas/{name}"
        )
        document["components"]["schemas"] |= described
        document["components"]["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer", "description": "A key with scope read."},
            "session": {"type": "apiKey", "in": "cookie", "name": "evdebug_session"},
        }
        document["security"] = [{"key": []}, {"session": []}]
        problem = {"content": {"application/json": {"schema": {"$ref": _ref(shapes.Error)}}}}
        for operations in document["paths"].values():
            for operation in operations.values():
                for status in ("401", "403", "404", "422", "503"):
                    operation["responses"].setdefault(status, {"description": "Error"} | problem)
        return document


def _ref(shape: type) -> str:
    return f"#/components/schemas/{shape.__name__}"


def may_read(request: HttpRequest) -> Line:
    """Return the line a request asks for: that of its system, or the one `timeline=` names.

    raises  AccessError where the caller may not, UnknownTimeline, HttpError
    """
    match = request.resolver_match
    assert match, "the request was routed"
    line = callers.line_for(request, match.kwargs["system"], timeline=_timeline(request))
    # A key proves that a program sent it; a cookie comes along by itself.
    if request.method not in SAFE and callers.bearer_of(request) is None and check_csrf(request):
        raise HttpError(403, "A session must send its form token: X-CSRFToken.")
    return line


def _timeline(request: HttpRequest) -> int | None:
    text = request.GET.get("timeline")
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise HttpError(422, f"timeline: {text[:80]!r} is no number of a timeline.")
    return int(text)


api = Api(
    title="evdebug",
    version="1",
    description="Events, in one order, as of any moment.",
    docs_url=None,
    auth=may_read,
    urls_namespace="api",
)
api.add_router("", router)
api.add_router("", traces)
api.add_router("", states)
api.add_router("", sandboxes)
api.add_router("", taps)
api.add_router("", flows)


def problem(status: int, code: str, detail: str, **more: Any) -> HttpResponse:
    """Return an error as the API shows it."""
    body = msgspec.json.encode(shapes.Error(code, detail, **more))
    response = HttpResponse(body, "application/json", status=status)
    response["Cache-Control"] = "no-store"
    if status == 401:
        response["WWW-Authenticate"] = "Bearer"
    if status == 503:
        response["Retry-After"] = "1"
    return response


@api.exception_handler(AccessError)
def _access(request: HttpRequest, error: AccessError) -> HttpResponse:
    return problem(error.status, error.code, str(error))


@api.exception_handler(EventLogError)
def _log(request: HttpRequest, error: EventLogError) -> HttpResponse:
    if isinstance(error, QueryError):
        place = {"parameter": error.parameter, "column": error.column, "length": error.length}
        return problem(422, error.code, error.message, **place)
    if isinstance(error, UnknownSystem | UnknownTimeline):
        return problem(404, error.code, str(error))
    status = 503 if isinstance(error, LogUnavailable) else 422
    return problem(status, error.code, str(error))


@api.exception_handler(DatabaseError)
def _database(request: HttpRequest, error: DatabaseError) -> HttpResponse:
    logger.error("The API could not read the log: %s", error)
    return problem(503, "unavailable", "The log cannot be read now. Wait and retry.")


@api.exception_handler(ValidationError)
def _validation(request: HttpRequest, error: ValidationError) -> HttpResponse:
    detail = "; ".join(f"{each['loc'][-1]}: {each['msg']}" for each in error.errors)
    return problem(422, "bad_parameter", f"{detail}.")


@api.exception_handler(HttpError)
def _http(request: HttpRequest, error: HttpError) -> HttpResponse:
    return problem(error.status_code, CODES.get(error.status_code, "error"), str(error))


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return problem(404, "not_found", "There is nothing here that you may see.")


@api.exception_handler(Exception)
def _bug(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.exception("The API failed at %s", request.path)
    return problem(500, "internal", "evdebug failed to answer; its log says why.")


@login_not_required
@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """List what can be asked, from the same description programs get."""
    document = api.get_openapi_schema()
    operations = [
        {"path": where, "method": method.upper(), **operation}
        for where, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return render(request, "api.html", {"operations": operations, "info": document["info"]})


@csrf_exempt
def nothing(request: HttpRequest, rest: str = "") -> HttpResponse:
    """Say in the API's own words that there is no such address."""
    if request.method not in SAFE:
        return problem(405, "method_not_allowed", f"{request.method} is not for this address.")
    return problem(404, "not_found", "There is nothing here that you may see.")


def _worded(view: Any) -> Any:
    """Give a refused method the API's words instead of ninja's plain text."""

    @csrf_exempt
    def worded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response: HttpResponseBase = view(request, *args, **kwargs)
        if response.status_code != 405:
            return response
        allowed = response["Allow"]
        refused = problem(405, "method_not_allowed", f"This address takes {allowed}.")
        refused["Allow"] = allowed
        return refused

    return worded


def _patterns() -> list[URLPattern | URLResolver]:
    patterns, _, _ = api.urls
    for pattern in patterns:
        if not isinstance(pattern, URLPattern):
            continue
        if pattern.name == "openapi-json":
            pattern.callback = require_safe(pattern.callback)
        elif pattern.name != "api-root":
            pattern.callback = _worded(pattern.callback)
    return [p for p in patterns if getattr(p, "name", "") != "api-root"]


app_name = "api"
urlpatterns: list[URLPattern | URLResolver] = [
    path("docs", docs, name="docs"),
    *_patterns(),
    path("", nothing),
    path("<path:rest>", nothing),
]
