"""What JetStream says, as records, progress and gaps."""

from __future__ import annotations

import base64
import time
from datetime import datetime
from typing import Any

from apps.ingest.connector import Gap, Progress, Record
from apps.ingest.connectors.nats_wire import content_type, headers

Info = dict[str, Any]


def record(stream: str, epoch: str, message: Info) -> Record:
    """Return a message as STREAM.MSG.GET has it as a record."""
    heads = headers(base64.b64decode(message.get("hdrs") or ""))
    at = datetime.fromisoformat(message["time"][:26].rstrip("Z") + "+00:00")
    return Record(
        body=base64.b64decode(message.get("data") or ""), channel=stream, epoch=epoch,
        offset=str(message["seq"]), key=message["subject"], headers=heads,
        time=int(at.timestamp() * 1_000_000), content_type=content_type(heads),
    )  # fmt: skip


def progress(stream: str, info: Info, at: int) -> Progress:
    return Progress(
        subscriber=info["name"], channel=stream, at=at, lag=info.get("num_pending"),
        offset=str(info["delivered"]["stream_seq"] + 1),
        facts={
            "unacknowledged": info.get("num_ack_pending", 0),
            "redelivered": info.get("num_redelivered", 0),
            "acknowledged up to": info["ack_floor"]["stream_seq"],
        },
    )  # fmt: skip


def now() -> int:
    return time.time_ns() // 1000


def anew(stream: str, last: int | None) -> Gap:
    return Gap(
        channel=stream, cause="recreated", after=str(last or ""), at=now(),
        words="The stream was deleted and made anew; what had not been read of it is lost.",
    )  # fmt: skip


def gone(stream: str, first: int, last: int, count: int) -> Gap:
    return Gap(
        channel=stream, cause="retention", after=str(first), upto=str(last), count=count, at=now(),
        words=f"{count:,} messages were removed before they were read.",
    )  # fmt: skip
