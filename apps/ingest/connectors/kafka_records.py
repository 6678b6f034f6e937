"""A Kafka record as the log of evdebug takes it."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import Message

from apps.ingest.connector import Record


def record(message: Message, epoch: str) -> Record:
    """Return a message as a record; `epoch` is that of its topic."""
    key, (kind, at) = message.key(), message.timestamp()
    headers = message.headers()
    return Record(
        body=message.value(), channel=message.topic(), partition=str(message.partition()),
        offset=str(message.offset()), epoch=epoch,
        key="" if key is None else _text(key),
        headers=tuple((name, value or b"") for name, value in headers) if headers else (),
        time=at * 1000 if kind else None,
        content_type=_content_type(headers) if headers else "",
    )  # fmt: skip


def _text(key: bytes | str) -> str:
    return key if isinstance(key, str) else key.decode("utf-8", "backslashreplace")


def _content_type(headers: Iterable[tuple[str, bytes | None]]) -> str:
    for name, value in headers:
        if name.lower() == "content-type" and value:
            return value.decode("utf-8", "replace")
    return ""
