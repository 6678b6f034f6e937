"""NOTIFY, listened to."""

from __future__ import annotations

import time
from collections.abc import Sequence

from psycopg import sql

from apps.ingest.connector import Batch, Cursor, Gap, Lag, Record
from apps.ingest.connectors.postgresql_wire import Wire

LISTENED = "listened"  # lane of the cursor: until when we listened, in µs


class Notifications:
    """What is sent to channels while we listen."""

    def __init__(self, wire: Wire, channels: Sequence[str], cursor: Cursor) -> None:
        self._wire = wire
        for channel in channels:
            wire.ask(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        self._first = LISTENED not in cursor
        self._gaps = [
            Gap(channel=channel, cause="disconnected", at=_now(),
                words="Nobody listened for a while; what was sent then is lost.")
            for channel in channels if not self._first
        ]  # fmt: skip

    def read(self, limit: int, wait: float) -> Batch:
        with self._wire.mended():
            came = self._wire.connection.notifies(timeout=wait, stop_after=1)
            found = list(came)
            if found:
                found += self._wire.connection.notifies(timeout=0, stop_after=max(limit - 1, 1))
        records = [
            Record(body=n.payload.encode(), channel=n.channel, time=_now(), facts={"pid": n.pid})
            for n in found
        ]
        gaps, self._gaps = self._gaps, []
        if not records and not gaps and not self._first:
            return Batch()
        self._first = False
        return Batch(records, gaps=gaps, cursor={LISTENED: str(_now())})

    def settle(self, batch: Batch) -> None:
        """Nobody waits for it."""

    def close(self) -> None:
        """The connection's end is the end of listening."""

    def lag(self) -> Lag:
        return Lag()


def _now() -> int:
    return time.time_ns() // 1000
