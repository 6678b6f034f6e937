"""nats-py without a running loop: one step, then the next."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import nats


class Clients:
    """nats-py, driven step by step."""

    def __init__(self, url: str) -> None:
        self.loop = asyncio.new_event_loop()
        self.client = self.run(nats.connect(url, allow_reconnect=False))
        self.js = self.client.jetstream()

    def run(self, step: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(step)

    def close(self) -> None:
        self.run(self.client.close())
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        self.run(asyncio.wait(left)) if left else None
        self.loop.close()
