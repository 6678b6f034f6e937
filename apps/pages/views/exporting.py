"""The result of a query as a file, sent page by page."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Callable

from asgiref.sync import sync_to_async
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.eventlog.envelope import Recorded
from apps.eventlog.errors import QueryError
from apps.eventlog.places import Line
from apps.eventlog.queries.search import count, search
from apps.ingest import encode
from apps.pages import payload
from apps.pages.queries import browser
from apps.pages.queries.browser import Asked
from apps.pages.sheets import inert
from apps.pages.views.frame import Frame, of_system

MOST = 200_000  # events; more is `manage.py export`'s
PAGE = 500

Writer = Callable[[list[Recorded]], bytes]


@require_GET
@of_system
def export(request: HttpRequest, frame: Frame) -> HttpResponseBase:
    """Send all matches as of the playhead, oldest first, as CloudEvents or as a table.

    More than 200 000 are refused rather than cut off.
    """
    try:
        wanted = browser.asked(
            request.GET.get("q", ""),
            columns=frame.params.get("col", []),
            everything=request.GET.get("with") == "deliveries",
        )
        found = count(frame.line, wanted.effective, at=frame.at.position)
    except QueryError as error:
        return render(request, "refused.html", {"detail": error.message}, status=422)
    if found.n > MOST:
        detail = (
            f"{found.n} events match; {MOST} are the most a page exports. Narrow the query, or use "
            f"`manage.py export {frame.slug} --query …`, which has no limit."
        )
        return render(request, "refused.html", {"detail": detail}, status=413)
    table = request.GET.get("format") == "csv"
    write = _table(wanted.columns) if table else _lines
    response = StreamingHttpResponse(
        _pages(frame.line, wanted, frame.at.position, write),
        content_type="text/csv; charset=utf-8" if table else "application/x-ndjson",
    )
    name = f"{frame.slug}-{frame.at.position}.{'csv' if table else 'ndjson'}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


async def _pages(line: Line, wanted: Asked, at: int, write: Writer) -> AsyncIterator[bytes]:
    after: int | None = 0
    sent = 0
    while after is not None and sent < MOST:
        page = await sync_to_async(search)(
            line, wanted.effective, at=at, after=after, limit=PAGE, ascending=True
        )
        sent += len(page.events)
        yield write(page.events)
        after = page.next


def _lines(events: list[Recorded]) -> bytes:
    return b"".join(encode.cloudevent(event) + b"\n" for event in events)


def _table(columns: list[str]) -> Writer:
    """Return a writer of CSV lines, the names of the columns before the first."""
    began: list[bool] = []

    def write(events: list[Recorded]) -> bytes:
        out = io.StringIO()
        lines = csv.writer(out)
        if not began:
            began.append(True)
            lines.writerow([*encode.COLUMNS, *(f"data.{path}" for path in columns)])
        for event in events:
            cells = (payload.value_at(event.data or b"", path) for path in columns)
            lines.writerow([*encode.cells(event), *map(inert, cells)])
        return out.getvalue().encode("utf-8", "backslashreplace")

    return write
