"""Kafka: a real broker, its topics and its groups."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random
from typing import Any

import pytest
from confluent_kafka import (
    AcknowledgeType,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaException,
    Producer,
    ShareConsumer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from apps.ingest import buses
from apps.ingest.connector import Connector, Cursor, Refused, Surroundings
from tests.ingest.connector_contract import ConnectorContract
from tests.kafka import Kafka
from tests.services import free_port, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
QUIET = {"log_level": 0}
OUTCOMES = {
    AcknowledgeType.ACCEPT: "handled", AcknowledgeType.RELEASE: "failed",
    AcknowledgeType.REJECT: "dead_lettered",
}  # fmt: skip

Truth = dict[tuple[int, int], str]


class Cluster:
    """A broker, and what producers and consumers under study do with it."""

    def __init__(self, broker: Kafka) -> None:
        self.broker = broker
        self.config = {"bootstrap.servers": broker.bootstrap} | QUIET
        self.admin = AdminClient(self.config)

    def topic(self, name: str, partitions: int = 1, **config: str) -> None:
        new = NewTopic(name, partitions, 1, config=config)
        self.admin.create_topics([new])[name].result(30)
        wait_for(lambda: self.leads(name) == partitions, "the topic to be known")

    def leads(self, name: str) -> int:
        """Return how many partitions of a topic have a leader."""
        found = self.admin.list_topics(timeout=30).topics.get(name)
        return sum(p.leader >= 0 for p in found.partitions.values()) if found else 0

    def topic_again(self, name: str) -> None:
        """Make a topic of a name that was just dropped."""

        def made() -> bool:
            with suppress(KafkaException):
                self.topic(name)
                return True
            return False

        wait_for(made, "the old topic's end")

    def drop(self, name: str) -> None:
        self.admin.delete_topics([name])[name].result(30)

    def produce(self, topic: str, *bodies: bytes | None, **fields: Any) -> None:
        producer = Producer(self.config)
        for body in bodies:
            producer.produce(topic, body, **({"partition": 0} | fields))
        assert producer.flush(30) == 0

    def commit(self, group: str, topic: str, offset: int, partition: int = 0) -> None:
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, partition, offset)])

        def taken() -> bool:
            answer = self.admin.alter_consumer_group_offsets([asked])[group].result(30)
            return not any(place.error for place in answer.topic_partitions)

        wait_for(taken, "the commit")  # a broker may still load what was committed before

    def standing(self) -> Any:
        """Groups, their offsets, and topics.

        But the broker's own: it makes the one for offsets when it is asked for a coordinator first,
        which the client library does for each consumer, also for one that never joins a group.
        """
        groups = sorted(g.group_id for g in self.admin.list_consumer_groups().result(30).valid)
        asked = {
            g: self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(g)])[g]
            for g in groups
        }
        return {
            g: [(t.topic, t.partition, t.offset) for t in f.result(30).topic_partitions]
            for g, f in asked.items()
        }, sorted(t for t in self.admin.list_topics(timeout=30).topics if not t.startswith("__"))


@pytest.fixture(scope="module")
def cluster(kafka_broker: Kafka) -> Cluster:
    return Cluster(kafka_broker)


class TestKafka(ConnectorContract):
    """A topic of a test's own, with one partition."""

    bus = "kafka"

    @pytest.fixture(autouse=True)
    def _topic(self, cluster: Cluster) -> Iterator[None]:
        self.cluster = cluster
        self.name = f"t-{uuid.uuid4().hex}"
        cluster.topic(self.name)
        yield
        cluster.drop(self.name)

    def settings(self) -> dict[str, str]:
        return {"servers": self.cluster.broker.bootstrap, "topics": self.name, "groups": "none"}

    def unreachable(self) -> dict[str, str]:
        return {"servers": f"127.0.0.1:{free_port()}", "topics": self.name}

    def publish(self, bodies: list[bytes]) -> None:
        self.cluster.produce(self.name, *bodies)

    def standing(self) -> Any:
        return self.cluster.standing()

    def gather(self, connector: Connector, done: Callable[[list[Any]], bool], part: str) -> Any:
        """Read until enough of one part of the batches came."""
        found: list[Any] = []

        def enough() -> bool:
            batch = connector.read(limit=100, wait=0.2)
            found.extend(getattr(batch, part))
            return done(found)

        self.wait_for(enough, f"{part}, not {found}")
        return found

    def test_a_record_is_all_that_the_bus_says(self) -> None:
        headers = [("a", b"\xff"), ("a", b"2"), ("content-type", b"text/plain")]
        self.cluster.produce(
            self.name, None, key=b"k\xff", headers=headers, timestamp=1_700_000_000_123
        )
        with self.opened() as connector:
            (batch,) = self.batches(connector, 1)
        (record,) = batch.records
        assert (record.body, record.key, record.offset, record.partition) == (
            None,
            "k\\xff",
            "0",
            "0",
        )
        assert record.headers == (("a", b"\xff"), ("a", b"2"), ("content-type", b"text/plain"))
        assert (record.time, record.content_type) == (1_700_000_000_123_000, "text/plain")

    def test_partitions_and_topics_that_come_later_are_read_from_their_beginning(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from apps.ingest.connectors import kafka

        monkeypatch.setattr(kafka, "LOOK_S", 0.2)
        later = f"{self.name}-later"
        with self.opened(topics=f"^{self.name}.*", start="now") as connector:
            connector.read(limit=1, wait=0.2)
            self.cluster.topic(later, 2)
            self.cluster.produce(later, b"1", partition=1)
            try:
                assert self.bodies(connector, 1) == [b"1"]
            finally:
                self.cluster.drop(later)

    def test_what_retention_ate_is_a_gap(self) -> None:
        self.publish([b"0", b"1", b"2", b"3"])
        with self.opened() as connector:
            (batch,) = self.batches(connector, 1, limit=1)
        for future in self.cluster.admin.delete_records([TopicPartition(self.name, 0, 3)]).values():
            future.result(30)
        with self.opened(batch.cursor) as connector:
            batches = self.batches(connector, 1)
        (gap,) = [g for b in batches for g in b.gaps]
        assert (gap.cause, gap.after, gap.upto, gap.count) == ("retention", "0", "2", 2)
        assert [r.body for b in batches for r in b.records] == [b"3"]

    def test_a_topic_made_anew_is_told_and_has_another_epoch(self) -> None:
        self.publish([b"old"])
        with self.opened() as connector:
            (batch,) = self.batches(connector, 1)
        self.cluster.drop(self.name)
        self.wait_for(
            lambda: self.name not in self.cluster.admin.list_topics(timeout=30).topics, "its end"
        )
        self.cluster.topic(self.name)
        self.publish([b"new"])
        with self.opened(batch.cursor) as connector:
            batches = self.batches(connector, 1)
        assert [g.cause for b in batches for g in b.gaps] == ["recreated"]
        assert [(r.body, r.offset, r.epoch) for b in batches for r in b.records] == [
            (b"new", "0", "1")
        ]

    def test_a_topic_made_anew_under_it_is_read_once_and_whole(self) -> None:
        """Its numbers go on beyond those that were read, so nothing else tells it from the old."""
        self.publish([b"old"] * 3)
        with self.opened() as connector:
            self.batches(connector, 3)
            self.cluster.drop(self.name)
            self.cluster.topic_again(self.name)
            self.publish(self.numbered(10))
            found = self.batches(connector, 10)
        assert [g.cause for b in found for g in b.gaps] == ["recreated"]
        records = [r for b in found for r in b.records]
        assert [r.body for r in records] == self.numbered(10)
        assert {r.epoch for r in records} == {"1"}

    def test_only_what_was_committed_is_read(self) -> None:
        producer = Producer(self.cluster.config | {"transactional.id": self.name})
        producer.init_transactions(30)
        for body, keep in ((b"kept", True), (b"aborted", False), (b"kept too", True)):
            producer.begin_transaction()
            producer.produce(self.name, body)
            producer.flush(30)
            (producer.commit_transaction if keep else producer.abort_transaction)(30)
        with self.opened() as connector:
            batches = self.batches(connector, 2)
        assert [r.body for b in batches for r in b.records] == [b"kept", b"kept too"]
        assert not [g for b in batches for g in b.gaps], "markers are no gap"

    def test_groups_pass_records_between_two_looks(self) -> None:
        group = f"g-{self.name}"
        self.publish(self.numbered(5))
        with self.opened(groups=group) as connector:
            self.batches(connector, 5)
            self.cluster.commit(group, self.name, 2)
            first = self.gather(connector, lambda f: len(f) >= 1, "progress")
            before = time.time_ns() // 1000
            self.cluster.commit(group, self.name, 4)
            after = time.time_ns() // 1000
            second = self.gather(connector, lambda f: len(f) >= 1, "progress")
        assert [(p.since, p.offset, p.since_at) for p in first] == [("0", "2", None)]
        assert [(p.since, p.offset) for p in second] == [("2", "4")]
        assert second[0].since_at < after
        assert before < second[0].at

    def test_a_group_set_back_passes_records_once_more(self) -> None:
        group = f"g-{self.name}"
        self.publish(self.numbered(3))
        with self.opened(groups=group) as connector:
            self.batches(connector, 3)
            self.cluster.commit(group, self.name, 3)
            self.gather(connector, lambda f: len(f) >= 1, "progress")
            self.cluster.commit(group, self.name, 1)
            (back,) = self.gather(connector, lambda f: len(f) >= 1, "progress")
            self.cluster.commit(group, self.name, 2)
            (again,) = self.gather(connector, lambda f: len(f) >= 1, "progress")
        assert back.facts["rewound"] is True
        assert (again.since, again.offset, again.attempt) == ("1", "2", 2)

    def test_dead_letters_tell_of_the_record_they_were(self) -> None:
        headers = [
            ("kafka_dlt-original-topic", b"orders"),
            ("kafka_dlt-original-partition", (2).to_bytes(4)),
            ("kafka_dlt-original-offset", (77).to_bytes(8)),
            ("kafka_dlt-original-consumer-group", b"payments"),
            ("kafka_dlt-exception-message", b"no"),
        ]
        self.cluster.produce(self.name, b"{}", headers=headers)
        with self.opened() as connector:
            (batch,) = self.batches(connector, 1)
        (letter,) = batch.deliveries
        assert (letter.subscriber, letter.outcome, letter.error) == (
            "payments", "dead_lettered", "no",
        )  # fmt: skip
        assert (letter.channel, letter.partition, letter.offset) == ("orders", "2", "77")

    def test_a_consumer_beside_it_gets_everything(self) -> None:
        consumer = Consumer(self.cluster.config | {"group.id": self.name,
                                                   "auto.offset.reset": "earliest"})  # fmt: skip
        consumer.subscribe([self.name])
        got: list[bytes] = []
        with self.opened() as connector:
            self.publish(self.numbered(20))
            assert self.bodies(connector, 20) == self.numbered(20)

            def all_there() -> bool:
                got.extend(m.value() for m in consumer.consume(20, 0.5) if not m.error())
                return len(got) == 20

            self.wait_for(all_there, "the consumer's own 20")
        consumer.close()
        assert got == self.numbered(20)

    def test_it_starts_at_a_time(self) -> None:
        for at in (1_700_000_000_000, 1_700_000_100_000):
            self.cluster.produce(self.name, b"%d" % at, timestamp=at)
        with self.opened(start="2023-11-14T22:14:00Z") as connector:
            assert self.bodies(connector, 1) == [b"1700000100000"]

    def test_an_absent_topic_is_refused_by_name(self) -> None:
        connector = self.make(topics="nowhere")
        with pytest.raises(Refused, match="nowhere"):
            connector.open({})
        connector.close()
        assert not self.make(topics="nowhere").check().ok

    def test_a_password_is_in_no_message(self) -> None:
        secret = {"security": "sasl_plaintext", "user": "u", "password": "canary-9"}
        connector = buses.connector("kafka", self.settings() | secret, self.around())
        assert "canary-9" not in str([line.words for line in connector.check().lines])


class TestShareGroups:
    """Records shared out one by one: settled, given back and rejected in every way."""

    @pytest.fixture(autouse=True)
    def _topic(self, cluster: Cluster) -> Iterator[None]:
        self.cluster, self.name = cluster, f"s-{uuid.uuid4().hex}"
        cluster.topic(self.name)
        entry = ConfigEntry("share.auto.offset.reset", "earliest",
                            incremental_operation=AlterConfigOpType.SET)  # fmt: skip
        group = ConfigResource(ResourceType.GROUP, self.name, incremental_configs=[entry])
        cluster.admin.incremental_alter_configs([group])[group].result(30)
        yield
        cluster.drop(self.name)

    def opened(self, cursor: Cursor, **changes: str) -> Connector:
        around = Surroundings(name="shares", reach=lambda host, port: [host])
        settings = {"servers": self.cluster.broker.bootstrap, "topics": self.name} | changes
        found = buses.connector("kafka", settings, around)
        found.open(cursor)
        return found

    def consume(self, settle: Callable[[int, int], AcknowledgeType], until: int) -> Truth:
        """Take what comes and settle it; return (offset, attempt) with what became of it."""
        config = self.cluster.config | {
            "group.id": self.name, "share.acknowledgement.mode": "explicit"
        }  # fmt: skip
        consumer, truth, done = ShareConsumer(config), Truth(), 0
        consumer.subscribe([self.name])

        def came() -> bool:
            nonlocal done
            for message in consumer.poll(0.5):
                place = (message.offset(), message.delivery_count())
                how = settle(*place)
                truth[place] = OUTCOMES[how]
                done += how != AcknowledgeType.RELEASE
                consumer.acknowledge(message, how)
            return done >= until

        wait_for(came, f"{until} records to be settled")
        consumer.commit_sync()
        consumer.close()
        return truth

    def told(self, connector: Connector, count: int) -> tuple[Truth, Cursor]:
        """Read until so many deliveries came; each may be told once."""
        found = Truth()
        last: Cursor = {}

        def came() -> bool:
            nonlocal last
            batch = connector.read(limit=1000, wait=0.1)
            last = batch.cursor or last
            for d in batch.deliveries:
                assert (d.subscriber, d.channel, d.evidence) == (self.name, self.name, "acked")
                place = (int(d.offset), d.attempt)
                assert place not in found, f"{place} is told twice"
                found[place] = d.outcome
            return len(found) >= count

        wait_for(came, f"{count} deliveries")
        return found, last

    def test_what_it_tells_is_what_became_of_each(self) -> None:
        dice = Random(7)

        def settle(offset: int, attempt: int) -> AcknowledgeType:
            luck = dice.random()
            if luck < 0.85 or attempt > 2:
                return AcknowledgeType.ACCEPT
            return AcknowledgeType.RELEASE if luck < 0.95 else AcknowledgeType.REJECT

        self.cluster.produce(self.name, *[b"%d" % n for n in range(1000)])
        connector = self.opened({})
        truth = self.consume(settle, 1000)
        told, _ = self.told(connector, len(truth))
        connector.close()
        assert told == truth
        assert set(truth.values()) == {"handled", "failed", "dead_lettered"}

    def test_nothing_is_told_twice_or_lost_after_a_crash(self) -> None:
        self.cluster.produce(self.name, b"0", b"1")
        self.consume(lambda offset, attempt: AcknowledgeType.ACCEPT, 2)
        connector = self.opened({})
        first, cursor = self.told(connector, 2)
        connector.close()
        self.cluster.produce(self.name, b"2", b"3")
        self.consume(lambda offset, attempt: AcknowledgeType.REJECT, 2)
        connector = self.opened(cursor)
        later, _ = self.told(connector, 2)
        connector.close()
        assert first == {(0, 1): "handled", (1, 1): "handled"}
        assert later == {(2, 1): "dead_lettered", (3, 1): "dead_lettered"}

    def test_a_tap_from_now_on_tells_nothing_of_before(self) -> None:
        self.cluster.produce(self.name, b"0")
        self.consume(lambda offset, attempt: AcknowledgeType.ACCEPT, 1)
        connector = self.opened({}, start="now")
        connector.read(limit=10, wait=0.2)
        self.cluster.produce(self.name, b"1")
        self.consume(lambda offset, attempt: AcknowledgeType.ACCEPT, 1)
        told, _ = self.told(connector, 1)
        connector.close()
        assert told == {(1, 1): "handled"}
