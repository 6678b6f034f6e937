"""A Redis stream's entries as records, and other answers of Redis in a handier shape."""

from __future__ import annotations

from typing import Any

import msgspec

from apps.ingest.connector import Record, Refused

BODY = ("data", "payload", "event", "body", "message", "value")  # where an entry's event may be
REAL_TIMES_MS = 100_000_000_000  # ids below this were made up by hand, and hold no time

Fields = list[tuple[bytes, bytes]]


def order(entry: str) -> int:
    """Return an entry's id as a number that sorts as Redis does."""
    ms, _, seq = entry.partition("-")
    return (int(ms) << 64) + int(seq or 0)


def milliseconds(entry: str) -> int:
    """Return the time in an entry's id: ms since 1970 where Redis made it."""
    return int(entry.partition("-")[0])


def entries(found: Any) -> list[tuple[str, Fields]]:
    """Return (id, fields) of entries as Redis lists them; a deleted entry has no fields."""
    return [
        (entry.decode(), list(zip(flat[::2], flat[1::2], strict=True)) if flat else [])
        for entry, flat in found or ()
    ]


def record(key: str, epoch: str, entry: str, fields: Fields) -> Record:
    """Return an entry as a record.

    The event is in the field that by its name carries one, or in the only field; the other fields
    are its headers. Else it is the fields together, as a JSON object.
    """
    ms = milliseconds(entry)
    time = ms * 1000 if ms > REAL_TIMES_MS else None
    carrier = 0 if len(fields) == 1 else _carrier(fields)
    if carrier is None:
        return Record(
            body=as_json(fields), channel=key, offset=entry, epoch=epoch, time=time,
            content_type="application/json",
        )  # fmt: skip
    headers = tuple((text(n), v) for i, (n, v) in enumerate(fields) if i != carrier)
    return Record(
        body=fields[carrier][1], channel=key, offset=entry, epoch=epoch, time=time, headers=headers
    )


def _carrier(fields: Fields) -> int | None:
    names = [name.lower() for name, _ in fields]
    for known in BODY:
        if names.count(known.encode()) == 1:
            return names.index(known.encode())
    return None


def as_json(fields: Fields) -> bytes:
    """Return fields as a JSON object; a value that is no text becomes {"base64": …}."""
    found: dict[str, Any] = {}
    for name, value in fields:
        try:
            shown: Any = value.decode()
        except UnicodeDecodeError:
            shown = {"base64": value}  # msgspec writes bytes as base64
        found.setdefault(text(name), []).append(shown)
    return msgspec.json.encode({n: v[0] if len(v) == 1 else v for n, v in found.items()})


def info(answer: Any) -> dict[str, Any] | None:
    """Return what XINFO STREAM says, None where there is no such stream.  raises  Refused"""
    if isinstance(answer, Exception):
        if "no such key" in str(answer):
            return None
        raise Refused(f"Redis answers: {answer}")
    return flat(answer)


def flat(answer: list[Any]) -> dict[str, Any]:
    """Return a list of names and values as a dict."""
    return {name.decode(): value for name, value in zip(answer[::2], answer[1::2], strict=True)}


def text(name: bytes) -> str:
    """Return a name as text, whatever bytes it is made of."""
    return name.decode("utf-8", "backslashreplace")
