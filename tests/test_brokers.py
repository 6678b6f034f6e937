"""The brokers that tests start: the same port and the same files after a crash."""

from __future__ import annotations

import signal

from nats.aio.client import Client

from tests import brokers


async def test_it_keeps_what_it_was_given_over_a_crash(nats: brokers.Nats) -> None:
    client = Client()
    await client.connect(nats.url)
    await client.jetstream().add_stream(name="KEPT", subjects=["kept.>"])
    await client.jetstream().publish("kept.one", b"1")
    await client.close()

    nats.restart(signal.SIGKILL)

    client = Client()
    await client.connect(nats.url)
    assert (await client.jetstream().stream_info("KEPT")).state.messages == 1
    await client.jetstream().delete_stream("KEPT")
    await client.close()
