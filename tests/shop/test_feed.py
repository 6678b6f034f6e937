from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from io import StringIO
from time import time

import pytest

from examples.shop import feed
from examples.shop.door import Door, Refused
from examples.shop.feed import Sender, Stretch, batches, live, past, send_past, write_past
from examples.shop.progress import Progress
from examples.shop.shop import Shop
from tests.shop.conftest import EDGE, MINUTE, entries
from tests.shop.listener import Impatient, Listener, listening

E1, E2, D1, D2 = ("events", "e1"), ("events", "e2"), ("deliveries", "d1"), ("deliveries", "d2")


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as found:
        yield found


def a_shop(minutes: int = 20, rate: float = 12.0) -> Shop:
    return Shop(seed=7, start=EDGE - minutes * MINUTE, edge=EDGE, rate=rate)


def test_it_works(listener: Listener) -> None:
    door = Door(listener.url, "evk_1", Impatient())
    made = entries(minutes=20, rate=12.0)

    count = send_past(a_shop(), EDGE, door, Progress("shop", stream=StringIO()))

    door.close()
    assert count == door.stored == len(listener.entries) == len(made)
    assert {kind for _, kind, _ in listener.requests} == {"application/x-ndjson"}


def test_events_go_before_deliveries_within_a_stretch() -> None:
    assert list(batches([E1, D1, E2, D2], exact=False)) == [
        ("events", ["e1", "e2"]),
        ("deliveries", ["d1", "d2"]),
    ]
    assert list(batches([], exact=False)) == []


def test_around_the_story_the_order_is_kept() -> None:
    assert list(batches([E1, D1, D2, E2], exact=True)) == [
        ("events", ["e1"]),
        ("deliveries", ["d1", "d2"]),
        ("events", ["e2"]),
    ]


def test_what_is_sent_strays_from_its_time_by_a_stretch_at_most(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "BUDGET", 1_000.0)
    door = Door(listener.url, "evk_1", Impatient())
    send_past(a_shop(), EDGE, door, Progress("shop", stream=StringIO()))
    door.close()

    latest = datetime.min.replace(tzinfo=UTC)
    story = datetime.fromisoformat("2026-05-12T14:32:04.112Z")
    for _, entry in listener.entries:
        at = datetime.fromisoformat(entry.get("time") or entry["finished_at"])
        assert latest - at <= timedelta(milliseconds=feed.STRETCH)
        if story <= at <= story + timedelta(seconds=10):
            assert at >= latest
        latest = max(latest, at)


class Recorder(Door):
    """A door that notes how many lines went through it at once."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1", "evk_1", Impatient())
        self.sizes: list[int] = []

    def send(self, door: str, lines: Sequence[str], *, stream: bool = False) -> None:
        self.sizes.append(len(lines))


def sizes(shares: list[float], *, late: bool, exact: bool = False) -> list[int]:
    """Return what a sender makes of stretches of one event each that wait for it."""
    door, seconds = Recorder(), iter([0.0])
    late_by = feed.GRACE + feed.BUDGET * 2
    sender = Sender(
        door,
        Progress("shop", stream=StringIO()),
        clock=lambda: next(seconds, late_by if late else 0.0),
    )
    for share in shares:
        sender.put(Stretch([E1], share, exact))
    sender.start()
    sender.finish()
    return door.sizes


def test_in_time_every_stretch_goes_alone() -> None:
    assert sizes([n / 20 for n in range(1, 21)], late=False) == [1] * 20


def test_when_late_stretches_go_together() -> None:
    assert sizes([n / 20 for n in range(1, 21)], late=True) == [8, 8, 4]


def test_what_has_to_be_exact_goes_alone_even_when_late() -> None:
    assert sizes([n / 20 for n in range(1, 21)], late=True, exact=True) == [1] * 20


def test_a_busy_server_costs_nothing(listener: Listener) -> None:
    listener.answers = [(429, {"Retry-After": "1"}), (503, {}), (0, {})]
    door = Door(listener.url, "evk_1", Impatient())

    count = send_past(a_shop(rate=1.0), EDGE, door, Progress("shop", stream=StringIO()))

    door.close()
    assert door.retries == 3
    assert count == len(listener.entries)


def test_a_wrong_key_ends_it(listener: Listener) -> None:
    listener.answers = [(401, {})]
    door = Door(listener.url, "evk_1", Impatient())

    with pytest.raises(Refused, match="answered 401"):
        send_past(a_shop(), EDGE, door, Progress("shop", stream=StringIO()))

    door.close()
    assert listener.entries == []


def test_it_writes_files() -> None:
    events, deliveries = StringIO(), StringIO()
    made = entries(minutes=20, rate=12.0)

    count = write_past(a_shop(), EDGE, events, deliveries)

    assert count == len(made)
    assert events.getvalue().splitlines() == [line for door, line in made if door == "events"]
    lines = [line for door, line in made if door == "deliveries"]
    assert deliveries.getvalue().splitlines() == lines


def test_the_past_is_all_there() -> None:
    made = entries(minutes=20, rate=12.0)

    stretches = list(past(a_shop(), EDGE))

    assert [entry for stretch in stretches for entry in stretch.entries] == made
    assert stretches[-1].share == 1.0
    assert sum(stretch.exact for stretch in stretches) == 7


def test_live_catches_up_and_goes_on_until_told_to_stop(listener: Listener) -> None:
    now = int(time() * 1000)
    shop = Shop(seed=7, start=now - MINUTE, edge=now - MINUTE)
    stop = Impatient(stop_after=40)
    door = Door(listener.url, "evk_1", stop)

    live(shop, door, stop)

    door.close()
    assert shop.now >= now
    assert len(listener.entries) > 1_000
    assert door.stored == len(listener.entries)
    assert stop.waits[:25] == [0] * 25  # behind: no pause


def test_after_a_long_silence_the_shop_was_closed(listener: Listener) -> None:
    now = int(time() * 1000)
    shop = Shop(seed=7, start=now - 3_600_000, edge=now - 3_600_000)
    stop = Impatient(stop_after=1)
    door = Door(listener.url, "evk_1", stop)

    live(shop, door, stop)

    door.close()
    assert shop.now >= now
    assert len(listener.entries) < 100


def test_live_stops_while_it_waits_for_the_server(listener: Listener) -> None:
    listener.answers = [(503, {})] * 100
    now = int(time() * 1000)
    shop = Shop(seed=7, start=now - MINUTE, edge=now - MINUTE)
    stop = Impatient(stop_after=5)
    door = Door(listener.url, "evk_1", stop)

    live(shop, door, stop)

    door.close()
    assert listener.entries == []
    assert len(stop.waits) == 5


def test_what_waits_to_be_sent_is_bounded() -> None:
    """The maker of stretches stops when nobody takes them away."""
    made: list[int] = []

    class Slow(Recorder):
        """Sends nothing before as much waits as ever will."""

        def send(self, door: str, lines: Sequence[str], *, stream: bool = False) -> None:
            with sender._changed:
                sender._changed.wait_for(
                    lambda: len(sender._waiting) == feed.AHEAD or sender._ended, 30
                )
            made.append(shop.now)

    shop = a_shop(rate=2.0)
    sender = Sender(Slow(), Progress("shop", stream=StringIO()))
    sender.start()
    for stretch in past(shop, EDGE):
        sender.put(stretch)
    sender.finish()

    # One is being sent, AHEAD wait, and one more may be ready to wait with them.
    assert (made[0] - shop.start) // feed.STRETCH in (feed.AHEAD + 1, feed.AHEAD + 2)
    assert made[-1] == EDGE
