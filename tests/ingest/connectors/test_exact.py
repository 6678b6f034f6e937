"""What taps say of ten thousand events' deliveries is what the consumers themselves wrote down.

The consumers fail, give back, give up and crash; they know nothing of the tap.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import amqp
import nats
import pytest
import redis
from celery import Celery as Application
from confluent_kafka import Consumer, Producer, TopicPartition
from nats.js.api import AckPolicy, ConsumerConfig

from apps.ingest import buses
from apps.ingest.connector import Connector, Delivery, Progress, Surroundings
from apps.ingest.connectors import rabbitmq_firehose
from tests import brokers
from tests.kafka import Kafka
from tests.services import die_with_parent, wait_for

pytestmark = pytest.mark.slow
COUNT = 10_000
PARTS = 3  # workers, one after the other
ENDS = ("handled", "failed", "dead_lettered")

Book = Counter[tuple[str, str, int]]  # (event, outcome, attempt)


class Tap:
    """A connector read by a thread of its own, as the runner does."""

    def __init__(self, bus: str, **settings: str) -> None:
        around = Surroundings(name=f"exact-{bus}", reach=lambda host, port: [host])
        self.connector: Connector = buses.connector(bus, settings, around)
        self.deliveries: list[Delivery] = []
        self.progress: list[Progress] = []
        self.reads = 0
        self._stopped = threading.Event()
        self._failure: Exception | None = None
        self.connector.open({})
        self.connector.settle(self.connector.read(limit=10, wait=0))
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                batch = self.connector.read(limit=1000, wait=0.05)
                self.deliveries += batch.deliveries
                self.progress += batch.progress
                if batch:
                    self.connector.settle(batch)
                self.reads += 1
        except Exception as failure:
            self._failure = failure

    def told(self, *outcomes: str) -> Book:
        """Return what was told so far."""
        if self._failure:
            raise self._failure
        wanted = outcomes or ENDS
        by = self.event
        return Counter((by(d), d.outcome, d.attempt) for d in list(self.deliveries)
                       if d.outcome in wanted)  # fmt: skip

    def event(self, delivery: Delivery) -> str:
        return delivery.event_id or delivery.offset

    def agrees(self, book: Book, *outcomes: str) -> None:
        """Wait until the tap has told what is in the book; AssertionError where it never does."""
        try:
            wait_for(lambda: self.told(*outcomes) == book, "the tap to agree")
        except AssertionError:
            told = self.told(*outcomes)
            raise AssertionError(
                f"missing {list((book - told).items())[:5]}, "
                f"beyond {list((told - book).items())[:5]}"
            ) from None

    def close(self) -> None:
        self._stopped.set()
        self._thread.join()
        self.connector.close()


def test_redis_groups(redis_broker: brokers.Redis) -> None:
    client: Any = redis.Redis(port=redis_broker.port)
    key, dice, book = f"e-{uuid.uuid4().hex}", Random(1), Book()
    client.xgroup_create(key, "billing", id="0", mkstream=True)
    tap = Tap("redis", url=redis_broker.url, streams=key)

    def held() -> None:
        """Hold what is pending for longer than it takes to be seen from outside."""
        wanted = {(entry, "received", count) for entry, count in pending.items()}
        wait_for(lambda: wanted <= tap.told("received").keys(), "a look at the group")

    with client.pipeline() as pipeline:
        for n in range(COUNT):
            pipeline.xadd(key, {"data": b"%d" % n})
        pipeline.execute()
    ((_, got),) = client.xreadgroup("billing", "c1", {key: ">"}, count=COUNT)
    pending = {entry.decode(): 1 for entry, _ in got}
    assert len(pending) == COUNT
    while pending:
        held()
        done = [e for e in pending if dice.random() < 0.9]
        client.xack(key, "billing", *done) if done else None
        book.update((e, "handled", pending.pop(e)) for e in done)
        left = list(pending)
        if left:  # their consumer crashed: another takes over
            client.xclaim(key, "billing", f"c{dice.random()}", 0, left)
            book.update((e, "failed", pending[e]) for e in left)
            pending = {e: count + 1 for e, count in pending.items()}
    tap.agrees(book)
    tap.close()
    assert sum(1 for _, outcome, _ in book if outcome == "failed") > COUNT // 20
    client.delete(key)


def test_nats_consumers(nats: brokers.Nats) -> None:
    stream, book = f"E{uuid.uuid4().hex}", Book()
    asyncio.run(_made(nats.url, stream))
    tap = Tap("nats", url=nats.url, stream=stream)
    asyncio.run(_consumed(nats.url, stream, book))
    tap.agrees(book)
    tap.close()
    assert {outcome for _, outcome, _ in book} == set(ENDS)


async def _made(url: str, stream: str) -> None:
    client = await nats.connect(url)
    await client.jetstream().add_stream(name=stream, subjects=[f"{stream}.>"])
    await client.close()


async def _consumed(url: str, stream: str, book: Book) -> None:
    """Publish, and settle in every way there is; what is not settled in time was a crash."""
    client, dice, left = await nats.connect(url), Random(2), COUNT
    js = client.jetstream()
    config = ConsumerConfig(durable_name="billing", ack_policy=AckPolicy.EXPLICIT, ack_wait=2,
                            max_ack_pending=COUNT)  # fmt: skip
    subscription = await js.pull_subscribe(f"{stream}.>", "billing", config=config)
    for n in range(COUNT):
        await client.publish(f"{stream}.a", b"%d" % n)
    await client.flush()
    while left:
        for message in await subscription.fetch(min(left, 500), timeout=30):
            at = message.metadata
            event, attempt, luck = str(at.sequence.stream), at.num_delivered, dice.random()
            if luck < 0.90:
                await message.ack()
                book[event, "handled", attempt] += 1
            elif luck < 0.95:
                await message.nak()
                book[event, "failed", attempt] += 1
            elif luck < 0.97:
                await message.term()
                book[event, "dead_lettered", attempt] += 1
            else:
                book[event, "failed", attempt] += 1
                continue
            left -= luck < 0.90 or luck >= 0.95
        await client.flush()
    await client.close()


def test_rabbitmq_by_the_firehose(
    rabbitmq: brokers.RabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rabbitmq_firehose, "STALE_US", 4_000_000)
    name, dice, book = f"e{uuid.uuid4().hex}", Random(3), Book()
    connection, channel = _channel(rabbitmq)
    channel.exchange_declare(name, "topic", auto_delete=False)
    channel.exchange_declare(f"{name}.dead", "fanout", auto_delete=False)
    channel.queue_declare(name, durable=True, auto_delete=False,
                          arguments={"x-dead-letter-exchange": f"{name}.dead"})  # fmt: skip
    channel.queue_bind(name, name, "#")
    management = f"http://guest:guest@127.0.0.1:{rabbitmq.management}"
    tap = Tap("rabbitmq", url=rabbitmq.url, exchanges=f"{name}.dead", firehose="10",
              management=management)  # fmt: skip
    for n in range(COUNT):
        channel.basic_publish(amqp.Message(b"{}", message_id=f"m-{n}"), name, "a")
    attempts: Counter[str] = Counter()
    left = COUNT
    while left:
        message = channel.basic_get(name)
        if message is None:
            continue
        event, luck = message.message_id, dice.random()
        attempts[event] += 1
        if luck < 0.93:
            channel.basic_ack(message.delivery_tag)
            book[event, "handled", attempts[event]] += 1
        elif luck < 0.96:
            channel.basic_reject(message.delivery_tag, requeue=False)
            book[event, "dead_lettered", 1] += 1
        elif luck < 0.995:
            channel.basic_reject(message.delivery_tag, requeue=True)
            book[event, "failed", attempts[event]] += 1
        else:  # a crash: its connection ends with the message in hand
            connection.collect()
            connection, channel = _channel(rabbitmq)
            book[event, "failed", attempts[event]] += 1
        left -= luck < 0.96
    book.update({(e, "received", a): 1 for e, most in attempts.items() for a in range(1, most + 1)})
    tap.agrees(book, "received", *ENDS)
    tap.close()
    assert {outcome for _, outcome, _ in book} == {"received", *ENDS}
    for exchange in (name, f"{name}.dead"):
        channel.exchange_delete(exchange)
    channel.queue_delete(name)
    connection.close()


def test_kafkas_times_bracket_the_truth(kafka_broker: Kafka) -> None:
    """A commit is known to lie between its call and its answer; so must what the tap tells."""
    topic, dice = f"e-{uuid.uuid4().hex}", Random(4)
    servers = {"bootstrap.servers": kafka_broker.bootstrap, "log_level": 0}
    producer = Producer(servers | {"queue.buffering.max.messages": COUNT})
    for n in range(COUNT):
        producer.produce(topic, b"%d" % n, partition=0)
    assert producer.flush(60) == 0
    tap = Tap("kafka", servers=kafka_broker.bootstrap, topics=topic, groups=topic)
    consumer = Consumer(servers | {"group.id": topic, "enable.auto.commit": False})
    truth: dict[int, tuple[int, int]] = {}
    at = 0
    while at < COUNT:
        upto = min(at + dice.randrange(1, 800), COUNT)
        began = time.time_ns() // 1000
        consumer.commit(offsets=[TopicPartition(topic, 0, upto)], asynchronous=False)
        ended = time.time_ns() // 1000
        truth.update((n, (began, ended)) for n in range(at, upto))
        at = upto
        time.sleep(dice.random() / 2)  # as work does, so that looks fall between commits
    consumer.close()

    def told() -> dict[int, Progress]:
        return {n: p for p in list(tap.progress) for n in range(int(p.since), int(p.offset))}

    wait_for(lambda: len(told()) == COUNT, "every record to be passed")
    tap.close()
    passed = told()
    assert sum(int(p.offset) - int(p.since) for p in tap.progress) == COUNT, "each of them once"
    for n, (began, ended) in truth.items():
        assert (passed[n].since_at or 0) <= ended, n
        assert began <= passed[n].at, n
    assert len({p.since_at for p in passed.values()} - {None}) > 2, "several looks between commits"


@pytest.mark.timeout(600)
def test_celery_workers(rabbitmq: brokers.RabbitMQ, tmp_path: Path) -> None:
    """Tasks write down what they do; some fail, some are tried again, some kill their process.

    And whole workers are killed with tasks in hand, which the broker then gives to the next one.
    """
    dice, notes = Random(5), tmp_path / "notes"
    notes.touch()
    kinds = ["ok"] * 90 + ["fail"] * 5 + ["retry"] * 4 + ["ok"]
    held, sent = set[str](), 0
    for part in range(PARTS):
        with celery_worker(rabbitmq.url, notes, f"w{part}@exact") as (app, worker):
            if not part:
                tap = Tap("celery", url=rabbitmq.url)
            for n in range(part, COUNT, PARTS):
                kind = "crash" if n % 1000 == 500 else dice.choice(kinds)
                app.send_task("shop.noted", [kind], task_id=f"{n}")
                sent += 1
            ended(notes, sent + len(held))
            tap.agrees(noted(notes))
            if part == PARTS - 1:
                break
            holding = {f"held-{part}-{n}" for n in range(6)}  # more than are worked on at once
            for task in sorted(holding):
                app.send_task("shop.noted", [f"hold {part}"], task_id=task)
            wait_for(lambda: received(tap, f"w{part}@exact") >= holding, "all to be in hand")  # noqa: B023
            os.killpg(worker.pid, signal.SIGKILL)
            (tmp_path / f"notes.{part}").touch()  # those who come next need not wait
            held |= holding
    tap.close()
    book = noted(notes)
    assert sum(1 for _, outcome, _ in book if outcome == "failed") > COUNT // 20
    assert max(attempt for _, _, attempt in book) == 3
    ends = {(d.event_id, d.subscriber) for d in tap.deliveries if d.outcome == "handled"}
    for task in held:
        part = int(task.split("-")[1])
        assert task in received(tap, f"w{part}@exact"), "given to the worker that was killed"
        assert {who for event, who in ends if event == task} == {f"w{part + 1}@exact"}


def noted(notes: Path) -> Book:
    """Return what tasks wrote down."""
    lines = [line.split() for line in notes.read_text().splitlines()]
    book = Book()
    for task, outcome, attempt in lines:
        book[task, outcome if outcome == "handled" else "failed", int(attempt)] += 1
    return book


def ended(notes: Path, count: int) -> None:
    """Wait until so many tasks ended; it takes what it takes, as long as it goes on."""

    def so_far() -> int:
        text = notes.read_text()
        return text.count("\n") - text.count(" failed ")

    before = so_far()
    while before < count:
        wait_for(lambda: so_far() > before, f"more than {before} tasks to have ended")  # noqa: B023
        before = so_far()


def received(tap: Tap, worker: str) -> set[str]:
    """Return the tasks that the tap says a worker got."""
    told = list(tap.deliveries)
    return {d.event_id for d in told if d.outcome == "received" and d.subscriber == worker}


@contextmanager
def celery_worker(
    url: str, notes: Path, host: str
) -> Iterator[tuple[Application, subprocess.Popen[bytes]]]:
    """Run a worker with processes of its own, that may be killed, as most are run."""
    words = [
        sys.executable, "-m", "celery", "-A", "tests.ingest.connectors.celery_app", "worker",
        "--concurrency", "2", "--without-gossip", "--without-mingle", "--loglevel", "critical",
        "--hostname", host, "--queues", "exact",
    ]  # fmt: skip
    told = {"CELERY_TEST_BROKER": url, "CELERY_TEST_NOTES": str(notes)}
    process = subprocess.Popen(
        words, env=os.environ | told, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=die_with_parent, start_new_session=True,
    )  # fmt: skip
    app = Application("shop", broker=url)
    app.conf.update(task_send_sent_event=True, task_ignore_result=True, task_default_queue="exact")
    try:
        wait_for(lambda: bool(app.control.ping([host], timeout=0.5)), "the worker")
        yield app, process
    finally:
        app.close()
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _channel(broker: brokers.RabbitMQ) -> tuple[Any, Any]:
    connection: Any = amqp.Connection(f"127.0.0.1:{broker.port}")
    connection.connect()
    return connection, connection.channel()
