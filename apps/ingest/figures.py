"""What the doors took and turned away since the process began, as Prometheus collects it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from apps.ingest.answers import Report

REGISTRY = CollectorRegistry()
REQUESTS = Counter(
    "evdebug_door_requests", "Requests to the doors, by status.", ["status"], registry=REGISTRY
)
EVENTS = Counter(
    "evdebug_door_events",
    "Events and deliveries in the requests that were taken, by what became of them.",
    ["outcome"],
    registry=REGISTRY,
)
APPEND = Histogram(
    "evdebug_append_seconds",
    "How long the writer's commits took.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
    registry=REGISTRY,
)
STORED, DUPLICATE, REJECTED = map(EVENTS.labels, ("stored", "duplicate", "rejected"))


_answered: dict[int, Counter] = {}


def answered(status: int) -> None:
    """Count a request by its status."""
    counter = _answered.get(status)
    if counter is None:
        counter = _answered[status] = REQUESTS.labels(status)
    counter.inc()


def taken(report: Report) -> None:
    """Count a request whose events were stored or found to be there, and those turned away."""
    for counter, count in (
        (STORED, report.stored), (DUPLICATE, report.duplicates), (REJECTED, report.rejected),
    ):  # fmt: skip
        if count:
            counter.inc(count)
