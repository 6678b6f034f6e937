"""A run to take along: its folder in an archive."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.eventlog.errors import EventLogError
from apps.pages.views.frame import Frame, of_system
from apps.pages.views.sandboxes import need
from apps.sandbox.commands import portable
from apps.sandbox.errors import UnknownSandbox
from apps.sandbox.queries import forks as found

RULES = 10_000  # letters of rules


@require_GET
@of_system
def export(request: HttpRequest, frame: Frame, number: int) -> HttpResponse:
    """Send the run whose timeline the address names, redacted as `redact` says."""
    need(frame)
    try:
        fork = found.fork(frame.line, number)
    except UnknownSandbox as error:
        raise Http404(str(error)) from error
    run = fork.runs.filter(timeline=frame.line.timeline).first()
    if run is None:
        raise Http404("No run of this sandbox has this timeline.")
    try:
        raw = portable.zipped(run, request.GET.get("redact", "")[:RULES])
    except (EventLogError, portable.BadFolder) as error:
        return render(request, "refused.html", {"detail": str(error)}, status=422)
    response = HttpResponse(raw, content_type="application/zip")
    name = f"{frame.slug}-sandbox-{fork.pk}-{run.number}.zip"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
