"""Taps of every bus killed at every step, and their brokers: nothing lost, nothing twice, in order.

And the bus is as it was before there was a tap.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests import brokers, services
from tests.conftest import needed
from tests.ingest.many_buses import BUSES, Bus
from tests.ingest.test_tap_crash import BAD, COUNT, PATIENCE_S, Tapped, bodies, check, kill_at_each
from tests.running import Evdebug
from tests.services import wait_for

# What a tap does at each step does not depend on the database.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.only("sqlite")]


@pytest.mark.parametrize("name", list(BUSES))
def test_killed(
    name: str, new_server: Callable[..., Evdebug], request: pytest.FixtureRequest
) -> None:
    bus = BUSES[name](request.getfixturevalue(name))
    before = bus.standing()
    tapped = Tapped(new_server(start=False), bus.kind, bus.settings)

    def publish() -> None:
        receiving(tapped)  # its queue, session or slot is there
        bus.publish(bodies())

    kill_at_each(tapped, publish, first=2)
    with running(tapped) as process:
        tapped.wait(process, COUNT)
        agree(name, tapped)
        tapped.server.manage("tap", "remove", "it", "--system", "crash")
        wait_for(lambda: bus.standing() == before, f"{before} again, not {bus.standing()}")
    bus.close()


@pytest.mark.parametrize("name", list(BUSES))
def test_its_broker_is_killed(
    name: str, new_server: Callable[..., Evdebug], request: pytest.FixtureRequest
) -> None:
    with ExitStack() as stack:
        if name == "postgres":
            server: services.PostgreSQL = needed(
                lambda: stack.enter_context(services.postgresql(durable=True))
            )
            bus, restart = BUSES[name](server.url), lambda: again(server)
        else:
            broker = request.getfixturevalue(name)
            bus, restart = BUSES[name](broker), lambda: broker.restart(signal.SIGKILL)
        tapped = Tapped(new_server(start=False), bus.kind, bus.settings)
        with running(tapped) as process:
            receiving(tapped)
            bus.publish(bodies()[: COUNT // 2])
            if name == "mosquitto":  # it writes down what it holds only now and then
                tapped.wait(process, COUNT // 2)
                wait_for(lambda: is_empty(broker), "all to be acknowledged")
            restart()
            if name == "rabbitmq":  # which may forget a binding it had for two seconds only
                wait_for(lambda: is_bound(bus), "the tap to bind its queue again")
            bus.publish(bodies()[COUNT // 2 :])
            tapped.wait(process, COUNT)
        agree(name, tapped)


def again(server: services.PostgreSQL) -> None:
    """Have a server crash, and start it."""
    server.stop(signal.SIGQUIT)
    server.start()


def is_bound(bus: Bus) -> bool:
    """Return whether a tap's queue is bound to its exchange."""
    _, bound = bus.standing()
    return any(name.startswith("evdebug.") for name in bound)


def is_empty(broker: brokers.Mosquitto) -> bool:
    """Have a broker write down what it holds, and return whether that is none of ours."""
    broker.save()
    return b'{"n":' not in (broker.folder / "mosquitto.db").read_bytes()


@contextmanager
def running(tapped: Tapped) -> Iterator[subprocess.Popen[bytes]]:
    """Run a tap, and stop it as ctrl-C does."""
    tapped.sql("UPDATE ingest_tap SET lease_until = 0")  # or a dead one would hold it for 30 s
    process = tapped.run()
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0


def receiving(tapped: Tapped) -> None:
    """Wait until the tap reads."""
    until = time.monotonic() + PATIENCE_S
    while tapped.sql("SELECT state FROM ingest_tap") != [("receiving",)]:
        assert time.monotonic() < until, tapped.sql("SELECT state, said FROM ingest_tap")
        time.sleep(0.1)


def agree(name: str, tapped: Tapped) -> None:
    """Compare what is stored with what was published."""
    if name == "mosquitto":  # which gives new messages before what it gives again
        assert sorted(tapped.stored()) == [n for n in range(COUNT) if n not in BAD]
    else:
        check(tapped)
