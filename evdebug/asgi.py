"""The ASGI application: the doors for events beside Django, and Django for everything else."""

from __future__ import annotations

import gc
import os
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

from channels.routing import URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evdebug.settings")

pages = get_asgi_application()

# They have models, which Django must know first.
from apps.ingest import door  # noqa: E402
from apps.ingest.writer.straight import at_once  # noqa: E402
from apps.live import routing as live  # noqa: E402
from apps.pages import routing as page_sockets  # noqa: E402
from apps.sandbox import routing as sandbox  # noqa: E402

__all__ = ["application", "at_once"]  # what `server.serve` takes

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[Any], Awaitable[None]]

NO_SUCH_SOCKET = 4404

# An app's sockets: `guarded` in its routing.py (apps/access/queries/sockets.py says how), and here.
routed = URLRouter([*live.urlpatterns, *page_sockets.urlpatterns, *sandbox.urlpatterns])


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer by kind and address: `/v1/…` at the door, sockets by route, all else by Django."""
    if scope["type"] == "http":
        if scope["path"].startswith("/v1/"):
            await door.application(scope, receive, send)
        else:
            await pages(scope, receive, send)
    elif scope["type"] == "websocket":
        await sockets(scope, receive, send)
    elif scope["type"] == "lifespan":
        await _lifespan(receive, send)
    else:
        raise ValueError(f"nothing here speaks {scope['type']!r}")


async def sockets(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer a socket by its address; turn it away where none has one."""
    if any(route.pattern.match(scope["path"].lstrip("/")) for route in routed.routes):
        await routed(scope, receive, send)
    elif (await receive())["type"] == "websocket.connect":
        await send({"type": "websocket.close", "code": NO_SUCH_SOCKET, "reason": "No such socket"})


async def _lifespan(receive: Receive, send: Send) -> None:
    """Drain the writer when a server other than ours, such as uvicorn, stops."""
    import asyncio

    from apps.ingest.writer import queue

    while True:
        message = await receive()
        if message["type"] == "lifespan.shutdown":
            queue.closing()
            await asyncio.to_thread(queue.close, 10)
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


# What is loaded by now stays: a collection that walks through it would take some 50 ms of whatever
# request it happens in.
import_module(settings.ROOT_URLCONF)
gc.freeze()
