"""A program at the event socket, as one outside would write it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from websockets.sync.client import ClientConnection, connect

from tests.running import System

PATIENCE_S = 60


@contextmanager
def socket(
    system: System, path: str = "", *, headers: dict[str, str] | None = None,
    port: int = 0, **query: Any,
) -> Iterator[ClientConnection]:  # fmt: skip
    """Open a socket of a system: the event socket, or one at `path`, with a read key."""
    where = path or f"/ws/v1/{system.slug}/events"
    url = f"ws://127.0.0.1:{port or system.server.port}{where}?{urlencode(query)}"
    if headers is None:
        headers = {"Authorization": f"Bearer {system.read_key}"}
    with connect(
        url, additional_headers=headers, open_timeout=PATIENCE_S, max_size=None, proxy=None
    ) as opened:
        yield opened


def frame(opened: ClientConnection) -> dict[str, Any]:
    """Return the next frame."""
    return dict(json.loads(opened.recv(PATIENCE_S)))


def until(opened: ClientConnection, position: int) -> list[dict[str, Any]]:
    """Return the events that come, up to the one at a position."""
    events: list[dict[str, Any]] = []
    while not events or events[-1]["position"] < position:
        events += frame(opened)["events"]
    return events
