"""The usual way to push to many browsers: a Channels consumer and a group send, in memory."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer

GROUP, EVERY_S, SIZE = "bench", 0.2, 2000
_ticking: asyncio.Task[None] | None = None


class Consumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Joins the group and passes on what is sent to it."""

    async def connect(self) -> None:
        global _ticking
        await self.channel_layer.group_add(GROUP, self.channel_name)
        await self.accept()
        _ticking = _ticking or asyncio.ensure_future(_tick())

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(GROUP, self.channel_name)

    async def told(self, message: dict[str, Any]) -> None:
        await self.send(text_data=message["text"])


async def _tick() -> None:
    layer = get_channel_layer()
    while True:
        text = f'{{"time":{time.time() * 1000},"rows":"{"x" * SIZE}"}}'
        await layer.group_send(GROUP, {"type": "told", "text": text})
        await asyncio.sleep(EVERY_S)


application = Consumer.as_asgi()
