"""`python -m bench.serve NAME PORT`: one application under evdebug's own server.

`noop` reads a request and answers; `orm` stores a batch with bulk_create; `evdebug` is evdebug.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import django

ANSWER = b'{"received":1,"stored":1,"duplicates":0,"rejected":0,"head":1,"positions":[1]}'
HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(ANSWER)).encode()),
]
APPLICATIONS = {
    "fanout": "bench.fanout:application",
    "noop": "bench.serve:noop",
    "orm": "bench.orm:application",
    "evdebug": "evdebug.asgi:application",
}


async def noop(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Read the body and answer as the door would: what the server itself costs."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})


def main(name: str, port: str) -> None:
    """Serve until SIGTERM."""
    django.setup()
    from evdebug.server import serve  # reads models

    name, _, attribute = APPLICATIONS[name].partition(":")
    module = importlib.import_module(name)
    at_once = getattr(module, "at_once", None)
    serve(getattr(module, attribute), "127.0.0.1", int(port), at_once=at_once)


if __name__ == "__main__":
    main(*sys.argv[1:])
