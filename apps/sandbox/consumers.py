"""The socket of a run: its progress, four times a second while it goes on."""

from __future__ import annotations

from typing import Any

from apps.access.queries.sockets import Closed, Socket
from apps.access.queries.visitors import in_thread
from apps.eventlog.places import Line
from apps.sandbox.errors import UnknownSandbox
from apps.sandbox.models import Run
from apps.sandbox.queries import forks

EVERY_S = 0.25
UNDERWAY = ("queued", "running")


async def progress(socket: Socket, sandbox: int, run: int) -> None:
    """Send a run's status whenever it is another, until nothing more happens by itself."""
    last: dict[str, Any] = {}
    while True:
        found = await in_thread(_status, socket.line, sandbox, run)
        if found is None:
            raise Closed(4404, "no such run")
        if found != last:
            await socket.send_json(found)
            last = found
        if found["status"] not in UNDERWAY:
            return
        await socket.heard(timeout=EVERY_S)


def _status(line: Line, sandbox: int, number: int) -> dict[str, Any] | None:
    try:
        fork = forks.fork(line, sandbox)
    except UnknownSandbox:
        return None
    found = Run.objects.filter(fork=fork, number=number).values("status", "done", "total").first()
    return None if found is None else dict(found)
