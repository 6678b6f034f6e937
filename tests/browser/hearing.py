"""What a Live page was given: the rows it was loaded with, and those its sockets brought."""

from __future__ import annotations

import json
import re

from playwright.sync_api import Page, WebSocket

KEPT = 200  # rows of a page
ROW = re.compile(r'<tr data-row="(\d+)"')


class Hearing:
    """Listens beside a page from before it is loaded."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._positions: set[int] = set()
        page.on("websocket", self._listen)

    def _listen(self, socket: WebSocket) -> None:
        socket.on("framereceived", self._hear)

    def _hear(self, text: str | bytes) -> None:
        frame = json.loads(text)
        self._positions |= {int(each) for each in ROW.findall(frame.get("rows", ""))}

    def loaded(self) -> None:
        """Note the rows the page was loaded with."""
        shown = self.page.locator("#tail tbody tr").evaluate_all(
            "rows => rows.map(row => Number(row.dataset.row))"
        )
        self._positions |= set(shown)

    def newest(self) -> list[int]:
        """Return the positions of as many rows as a page keeps, the newest first."""
        return sorted(self._positions, reverse=True)[:KEPT]
