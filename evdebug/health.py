"""For those who watch evdebug itself: alive, ready, and how much it does.

None of these needs a session; asking leaves nothing behind but the writer's proof of a write.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, Counter, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from apps.access.address import is_loopback
from apps.access.errors import AccessError, BadKey
from apps.access.queries.callers import caller
from apps.eventlog.errors import EventLogError
from apps.eventlog.queries import log
from apps.ingest import figures, queries
from apps.ingest.writer import queue

FRESH_S = 2.0  # an answer of /readyz is given again for this long: anybody may ask, and it writes
SPARE = 16 * 1024 * 1024  # bytes a disk must have left: less holds no large event
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
REQUESTS = Counter(
    "evdebug_requests",
    "Requests to the pages and the API.",
    ["method", "route", "status"],
    registry=REGISTRY,
)


@login_not_required
@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Say that the process answers."""
    return HttpResponse("alive\n", content_type="text/plain")


@login_not_required
@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Say whether events can be stored now; 503 with the reasons when not."""
    problems = READINESS.problems()
    status = 503 if problems else 200
    response = JsonResponse({"ready": not problems, "problems": problems}, status=status)
    if problems:
        response["Retry-After"] = "5"
        response._has_been_logged = True  # type: ignore[attr-defined]  # probes ask all the time
    return response


@login_not_required
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Give the figures Prometheus collects: to this machine freely, to others with a read key.

    A key sees its own system's log, besides what the process does as a whole.
    """
    system = None
    if not _is_local(request):
        try:
            key = caller(request).key
            if not key:
                raise BadKey
            system = key.system
        except AccessError as error:
            return JsonResponse({"code": error.code, "detail": str(error)}, status=error.status)
    now = CollectorRegistry()
    now.register(Gauges(system))
    text = b"".join(map(generate_latest, (REGISTRY, figures.REGISTRY, now)))
    return HttpResponse(text, content_type="text/plain; version=0.0.4")


def count_requests(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Count every request by method, route and status: names we gave, so there are only so many."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        method = request.method if request.method in METHODS else "other"
        route = request.resolver_match.route if request.resolver_match else "none"
        REQUESTS.labels(method, route, response.status_code).inc()
        return response

    return middleware


class Readiness:
    """Whether events can be stored, found out at most every two seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at = -FRESH_S
        self._problems: list[str] = []
        self._migrated = False

    def problems(self) -> list[str]:
        """Return why events cannot be stored now, in sentences; [] when they can."""
        with self._lock:
            if time.monotonic() - self._at >= FRESH_S:
                self._problems = [*_disk(), *self._database()]
                self._at = time.monotonic()
            return self._problems

    def _database(self) -> Iterator[str]:
        try:
            if not self._migrated and (missing := _missing_migrations()):
                yield f"{missing} migrations are not applied. Run `manage.py migrate`."
                return
            self._migrated = True
        except DatabaseError as error:
            # Only the kind: the text may name the server and its user, and anybody may ask.
            yield f"The database cannot be read now ({type(error).__name__})."
            return
        writer = queries.health()
        if not writer.ok:
            yield f"Events cannot be stored: {writer.reason}."


READINESS = Readiness()


def _disk() -> Iterator[str]:
    name = str(settings.DATABASES["default"]["NAME"])
    if connection.vendor != "sqlite" or not Path(name).is_file():
        return
    free = shutil.disk_usage(Path(name).parent).free
    if free < SPARE:
        yield f"The disk of the log has {free} bytes left; at least {SPARE} are needed."


def _missing_migrations() -> int:
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def _is_local(request: HttpRequest) -> bool:
    """Return whether the request was made on this machine.

    Behind a proxy every request comes from it, and the proxy is often on this machine.
    """
    proxied = settings.ENV["EVDEBUG_TLS"] or {"X-Forwarded-For", "Forwarded"} & set(request.headers)
    return not proxied and is_loopback(request.META.get("REMOTE_ADDR") or "")


class Gauges(Collector):
    """What waits to be written, and how long the log of each system, or of one, is."""

    def __init__(self, system: str | None) -> None:
        self._system = system

    def collect(self) -> Iterator[GaugeMetricFamily]:
        waiting = queue.current().waiting
        yield GaugeMetricFamily("evdebug_queue_events", "Events to be written.", waiting.events)
        yield GaugeMetricFamily("evdebug_queue_bytes", "Bytes to be written.", waiting.bytes)
        heads = GaugeMetricFamily(
            "evdebug_log_head", "Position of a system's newest event.", labels=["system"]
        )
        try:
            for line in log.lines():
                if self._system in {None, line.slug}:
                    heads.add_metric([line.slug], line.head)
        except (DatabaseError, EventLogError):
            return  # the figures of the process itself are wanted all the more now
        yield heads
