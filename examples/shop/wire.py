"""What is sent to evdebug: CloudEvents 1.0 in JSON, one a line, and reports of deliveries."""

from __future__ import annotations

from datetime import UTC, datetime
from json import JSONEncoder
from re import compile

from evdebug.sdk import Event
from examples.shop.host import Delivery

encode = JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode

# Money is written with two digits, 129.00; json would write 129.0. The shop has no other fractions.
_tenths = compile(r"(?<=[:\[,])(-?\d+\.\d)(?=[,}\]])").sub

_seconds: tuple[int, str] = (-1, "")


def timestamp(ms: int) -> str:
    """Return ms since 1970 as RFC 3339 in UTC."""
    global _seconds
    second = ms // 1000
    if second != _seconds[0]:  # most times are of the same second as the one before
        _seconds = second, datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{_seconds[1]}.{ms % 1000:03d}Z"


def event_line(event: Event) -> str:
    """Return an event as one structured CloudEvent.

    Names, ids and times are the shop's own and hold nothing that JSON would escape.
    """
    data = _tenths(r"\g<1>0", encode(event.data))
    extras = ""
    if event.stream:
        extras = f'"subject":"{event.stream}",'
    if event.kind != "event":
        extras += f'"evdebugkind":"{event.kind}",'
    if event.correlation:
        extras += f'"correlationid":"{event.correlation}",'
    if event.causation:
        extras += f'"causationid":"{event.causation}",'
    if event.channel:
        extras += f'"evdebugchannel":"{event.channel}","partitionkey":"{event.key}",'
    if event.partition:
        extras += f'"evdebugpartition":"{event.partition}",'
    if event.offset:
        extras += f'"sequence":"{event.offset}",'
    return (
        f'{{"specversion":"1.0","id":"{event.id}","source":"{event.source}","type":"{event.type}",'
        f'{extras}"time":"{timestamp(event.time)}","datacontenttype":"application/json",'
        f'"data":{data}}}'
    )


def delivery_line(delivery: Delivery) -> str:
    """Return a delivery as `POST /v1/deliveries` takes it."""
    event = delivery.event
    return (
        f'{{"event":{{"id":"{event.id}","source":"{event.source}"}},'
        f'"subscriber":"{delivery.subscriber}","attempt":{delivery.attempt},'
        f'"outcome":"{delivery.outcome}","started_at":"{timestamp(delivery.started)}",'
        f'"finished_at":"{timestamp(delivery.finished)}","error":{encode(delivery.error)}}}'
    )
