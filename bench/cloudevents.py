"""The events of `flows` as a producer would send them: CloudEvents 1.0 in JSON."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from apps.eventlog.envelope import Envelope, isoformat


def structured(e: Envelope) -> bytes:
    """Return one event in structured mode, on one line."""
    assert e.time is not None
    causation = f'"causationid":"{e.causation}",' if e.causation else ""
    return (
        f'{{"specversion":"1.0","type":"{e.type}","id":"{e.id}","source":"{e.source}",'
        f'"subject":"{e.stream}","time":"{isoformat(e.time)}","correlationid":"{e.correlation}",'
        f'{causation}"datacontenttype":"application/json","data":{e.data.decode()}}}'
    ).encode()


def batch(envelopes: Iterable[Envelope]) -> bytes:
    """Return events as one batch, on one line."""
    return b"[" + b",".join(structured(e) for e in envelopes) + b"]"


def write_lines(path: Path, lines: Iterable[bytes]) -> int:
    """Write lines to a file and return how many there are."""
    with path.open("wb") as out:
        return sum(bool(out.write(line + b"\n")) for line in lines)
