"""`python -m examples.shop`: give evdebug a shop to look at."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from threading import Event, Thread
from time import time

from examples.shop.begun import Begun, keep, read
from examples.shop.broker import BrokerBus
from examples.shop.door import Door, Refused, Stopped
from examples.shop.feed import live, live_on, send_past, write_past
from examples.shop.progress import Progress, grouped
from examples.shop.shop import PER_ORDER, USUAL, Shop
from examples.shop.story import SHORTEST

KEY = "EVDEBUG_SHOP_KEY"
BROKERS = {  # module, class, address
    "kafka": ("examples.shop.kafka", "Kafka", "localhost:9092"),
    "rabbitmq": ("examples.shop.rabbitmq", "RabbitMQ", "amqp://guest:guest@localhost:5672/"),
    "nats": ("examples.shop.nats", "Nats", "nats://localhost:4222"),
    "redis": ("examples.shop.redis", "Redis", "redis://localhost:6379/0"),
    "mqtt": ("examples.shop.mqtt", "Mqtt", "mqtt://localhost:1883"),
}
UNITS = {"s": 1, "m": 60, "h": 3600}


def main(argv: list[str] | None = None) -> int:
    """Run the shop. 0: done or stopped, 1: some entries were rejected, 2: could not."""
    options = parser().parse_args(argv)
    if options.bus != "memory":
        return over_broker(options)
    started = begun(options)
    start, edge = started.start, started.start + started.length
    if 0 < options.history < SHORTEST:
        say(f"a past under {SHORTEST // 60_000} minutes has no room for the planted story.")
    shop = Shop(seed=options.seed, start=start, edge=edge, rate=options.rate)
    if options.out:
        return written(shop, edge, options.out)
    if not options.key:
        say(
            f"no key. Pass --key or set {KEY}; "
            "`manage.py key create SYSTEM --scope ingest` makes one."
        )
        return 2
    door = Door(options.url, options.key, Event())
    when_told(door.abort)
    return sent(shop, started, door, goes_on=not options.no_live, kept=options.remember)


def over_broker(options: argparse.Namespace) -> int:
    """Run the shop over a real broker until told to stop."""
    module, name, usual = BROKERS[options.bus]
    address = options.broker or usual
    stop = Event()
    when_told(stop.set)
    try:
        broker = getattr(import_module(module), name)(address)
    except Exception as error:  # each client has errors of its own
        say(f"{options.bus} at {address} cannot be used: {error}")
        return 2
    now = int(time() * 1000)
    shop = Shop(
        seed=options.seed, start=now, edge=now, rate=options.rate,
        bus=lambda schedule: BrokerBus(schedule, broker),
    )  # fmt: skip
    assert isinstance(shop.bus, BrokerBus)
    say(f"open over {options.bus} at {address}; tap it to see what happens.")
    try:
        count = live_on(shop, shop.bus, stop)
    finally:
        broker.close()
    say(f"closed: {grouped(count)} events.")
    return 0


def when_told(stop: Callable[[], object]) -> None:
    """Call `stop` at ctrl-C and SIGTERM, on a thread of its own.

    A handler runs in the midst of whatever it interrupts. Where that is a wait for the very event
    it sets, the event's lock is held, and nothing would ever go on.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: Thread(target=stop).start())


def begun(options: argparse.Namespace) -> Begun:
    """Return the past to send: the one that was begun before, where that is remembered."""
    now = int(time() * 1000)
    held = read(options.remember) if options.remember else None
    if held:
        return Begun(now, 0, sent=True) if held.sent else held
    edge = options.start_time + options.history if options.start_time else now
    return Begun(edge - options.history, options.history)


def sent(shop: Shop, past: Begun, door: Door, *, goes_on: bool, kept: Path | None = None) -> int:
    """Send the past and, if it `goes_on`, the present until told to stop.

    kept  where to note that the past was begun, and then that it was sent
    """
    edge = past.start + past.length
    try:
        if shop.now < edge:
            if kept:
                keep(kept, past)
            send_past(shop, edge, door, Progress("shop: sending the past"))
            if kept:
                keep(kept, replace(past, sent=True))
        if goes_on:
            say(f"open: about {shop.rate * PER_ORDER:.0f} entries a second go to {door.url}.")
            live(shop, door, door.stop)
    except Stopped:
        pass
    except Refused as refusal:
        say(str(refusal))
        return 2
    finally:
        door.close()
    say(f"closed: {grouped(door.stored)} entries stored, {grouped(door.rejected)} rejected.")
    return 1 if door.rejected else 0


def written(shop: Shop, edge: int, path: Path) -> int:
    """Write the past to `path` and, beside it, its deliveries."""
    beside = path.with_suffix(f".deliveries{path.suffix}")
    with path.open("w", encoding="utf-8") as events, beside.open("w", encoding="utf-8") as others:
        count = write_past(shop, edge, events, others)
    say(f"{grouped(count)} entries written to {path} and {beside}.")
    return 0


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="python -m examples.shop", description=__doc__)
    found.add_argument(
        "--url", type=address, default="http://127.0.0.1:8000", help="evdebug's address"
    )
    found.add_argument(
        "--key", default=os.environ.get(KEY, ""), help=f"a key of scope ingest; or set {KEY}"
    )
    found.add_argument("--seed", type=int, default=7, help="another number, another shop")
    found.add_argument(
        "--rate", type=rate, default=USUAL, help="log entries a second (default: %(default)g)"
    )
    found.add_argument(
        "--history",
        type=duration,
        default=duration("45m"),
        metavar="45m",
        help="how long a past to send first; 0 where the system has one already",
    )
    found.add_argument("--no-live", action="store_true", help="stop after the past")
    found.add_argument(
        "--start-time",
        type=moment,
        default=0,
        metavar="TIME",
        help="when the past begins (default: so that it ends now)",
    )
    found.add_argument(
        "--remember",
        type=Path,
        metavar="FILE",
        help="note in FILE which past was begun; killed in the middle, go on with that one",
    )
    found.add_argument(
        "--bus", choices=["memory", *BROKERS], default="memory",
        help="what the services talk over; over a broker nothing is reported: tap it",
    )  # fmt: skip
    found.add_argument(
        "--broker",
        metavar="ADDRESS",
        default="",
        help="the broker's address, such as localhost:9092",
    )
    found.add_argument(
        "--out", type=Path, metavar="FILE", help="write the past to FILE as NDJSON; needs no server"
    )
    return found


def address(text: str) -> str:
    try:
        Door(text, "", Event())
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text.rstrip("/")


def duration(text: str) -> int:
    """Return a duration such as 45m, 90s, 2h or 0 in ms."""
    found = re.fullmatch(r"(\d{1,6})([smh]?)", text)
    if not found or (not found[2] and int(found[1])):
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; expected 45m, 90s, 2h or 0")
    return int(found[1]) * UNITS.get(found[2], 0) * 1000


def moment(text: str) -> int:
    """Return a time with a zone, as RFC 3339 has it, in ms since 1970."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; expected {example()}") from error
    if parsed.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no zone; expected {example()}")
    return int(parsed.timestamp() * 1000)


def rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is no rate; expected 1 to 1000 a second")
    return value


def example() -> str:
    return datetime(2026, 5, 12, 13, 56, 50, tzinfo=UTC).isoformat()


def say(text: str) -> None:
    print(f"shop: {text}", file=sys.stderr, flush=True)
