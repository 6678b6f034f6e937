"""SNS topics by a queue of our own, against a server that speaks both as AWS does."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.server import ThreadedMotoServer

from apps.ingest.connector import BadSettings, Connector, Refused, Surroundings, Unreachable
from apps.ingest.connectors import sqs, sqs_wire
from tests.ingest.connector_contract import ConnectorContract
from tests.services import free_port

pytestmark = pytest.mark.slow  # a server of its own

REGION = "eu-west-1"
KEYS = {"key": "AKIDEXAMPLE", "secret": "wJalrXUtnFEMI/K7MDENG"}
NOWHERE = f"arn:aws:sns:{REGION}:123456789012:nowhere"
TEXTS = [b'{"a":1}', "ä🙂".encode(), b"a\tb\n", b"x" * 100_000]


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    """The address of a server that has SNS and SQS."""
    server = ThreadedMotoServer("127.0.0.1", free_port(), verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def client(service: str, address: str) -> Any:
    return boto3.client(
        service, region_name=REGION, endpoint_url=address,
        aws_access_key_id=KEYS["key"], aws_secret_access_key=KEYS["secret"],
    )  # fmt: skip


class Topic(ConnectorContract):
    """A topic of a test's own."""

    bus = "sqs"
    remembers: ClassVar = False
    settles: ClassVar = True
    stays: ClassVar = True
    carries: ClassVar = TEXTS
    end: ClassVar = ""
    in_order: ClassVar[dict[str, dict[str, str]]] = {}

    @pytest.fixture(autouse=True)
    def _topic(self, aws: str) -> None:
        self.address = aws
        self.sns, self.sqs = client("sns", aws), client("sqs", aws)
        self.name = f"t{uuid.uuid4().hex}"
        made = self.sns.create_topic(Name=f"{self.name}{self.end}", **self.in_order)
        self.topic = made["TopicArn"]

    def around(self, **changes: Any) -> Surroundings:
        return super().around(**({"name": self.name} | changes))

    def settings(self) -> dict[str, str]:
        return {"topics": self.topic, "endpoint": self.address, **KEYS}

    def unreachable(self) -> dict[str, str]:
        return self.settings() | {"endpoint": f"http://127.0.0.1:{free_port()}"}

    def publish(self, bodies: list[bytes]) -> None:
        for body in bodies:
            self.sns.publish(TopicArn=self.topic, Message=body.decode())

    def subscribed(self, topic: str = "") -> list[str]:
        """Return the last part of the ARN of each queue that is subscribed."""
        said = self.sns.list_subscriptions_by_topic(TopicArn=topic or self.topic)
        return [s["Endpoint"].rpartition(":")[2] for s in said["Subscriptions"]]

    def everything(self) -> Any:
        found = self.sqs.list_queues(QueueNamePrefix=f"evdebug-{self.name}")
        return found.get("QueueUrls"), self.subscribed()

    def crash(self, connector: Connector) -> None:
        """Its connections end; what it had received stays hidden for a while."""
        wire = connector._wire  # type: ignore[attr-defined]
        wire.close()


class TestTopic(Topic):
    def queue(self, name: str) -> str:
        """Subscribe a queue of another's and return its address."""
        url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        said = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        arn = said["Attributes"]["QueueArn"]
        self.sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=arn)
        return str(url)

    def waiting(self, url: str) -> int:
        said = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        return int(said["Attributes"]["ApproximateNumberOfMessages"])

    def test_the_queues_of_others_keep_theirs(self) -> None:
        url = self.queue(f"{self.name}-billing")
        self.attend()
        self.publish(self.numbered(25))
        with self.opened() as connector:
            assert sorted(self.bodies(connector, 25)) == sorted(self.numbered(25))  # type: ignore[type-var]
        assert self.waiting(url) == 25
        (line, _) = self.make().check().lines
        assert line.words == f"{self.name}: 1 others subscribe to it."

    def test_a_notification_is_its_message_attributes_and_time(self) -> None:
        self.attend()
        self.sns.publish(
            TopicArn=self.topic, Message="{}", Subject="Paid",
            MessageAttributes={
                "traceparent": {"DataType": "String", "StringValue": "00-a"},
                "raw": {"DataType": "Binary", "BinaryValue": b"\xff\x00"},
            },
        )  # fmt: skip
        with self.opened() as connector:
            ((record,),) = [b.records for b in self.batches(connector, 1)]
        assert (record.channel, record.facts) == (self.name, {"subject": "Paid"})
        assert dict(record.headers) == {"traceparent": b"00-a", "raw": b"\xff\x00"}
        assert record.offset
        assert record.time is not None
        assert abs(datetime.now(UTC).timestamp() - record.time / 1e6) < 600

    def test_what_is_sent_to_the_queue_itself_is_read_too(self) -> None:
        self.attend()
        url = self.sqs.get_queue_url(QueueName=f"evdebug-{self.name}")["QueueUrl"]
        self.sqs.send_message(QueueUrl=url, MessageBody='{"detail":1}')
        with self.opened() as connector:
            ((record,),) = [b.records for b in self.batches(connector, 1)]
        assert (record.body, record.channel) == (b'{"detail":1}', f"evdebug-{self.name}")

    def test_what_the_queue_gives_twice_has_the_same_coordinates(self) -> None:
        self.attend()
        self.publish([b"1"])
        with self.opened() as connector:
            ((first,),) = [b.records for b in self.unsettled(connector, 1)]
        with self.opened() as connector:
            ((again,),) = [b.records for b in self.batches(connector, 1)]
        assert again == first

    def test_a_queue_that_was_deleted_is_a_gap(self) -> None:
        with self.opened() as connector:
            cursor = connector.read(limit=1, wait=0.1).cursor
            url = self.sqs.get_queue_url(QueueName=f"evdebug-{self.name}")["QueueUrl"]
            self.sqs.delete_queue(QueueUrl=url)
            with pytest.raises(Unreachable, match="deleted"):
                connector.read(limit=1, wait=0.1)
        with self.opened(cursor) as connector:
            batch = connector.read(limit=1, wait=0.1)
            assert [(g.channel, g.cause) for g in batch.gaps] == [(self.name, "disconnected")]
            self.publish([b"seen"])
            assert self.bodies(connector, 1) == [b"seen"]

    def test_a_topic_taken_from_the_settings_is_left(self) -> None:
        other = self.sns.create_topic(Name=f"{self.name}-b")["TopicArn"]
        with self.opened(topics=f"{self.topic} {other}") as connector:
            cursor = connector.read(limit=1, wait=0.1).cursor
        assert self.subscribed() == self.subscribed(other) == [f"evdebug-{self.name}"]
        with self.opened(cursor, topics=other) as connector:
            connector.read(limit=1, wait=0.1)
        assert (self.subscribed(), self.subscribed(other)) == ([], [f"evdebug-{self.name}"])

    def test_a_topic_that_is_not_there_is_refused(self) -> None:
        with pytest.raises(Refused, match="NotFound"):
            self.make(topics=NOWHERE).open({})
        assert not self.make(topics=NOWHERE).check().ok


class TestTopicInOrder(Topic):
    """Message groups, each in its order."""

    end: ClassVar = ".fifo"
    in_order: ClassVar = {"Attributes": {"FifoTopic": "true"}}

    def publish(self, bodies: list[bytes]) -> None:
        for body in bodies:
            self.send(body.decode(), "g")

    def send(self, body: str, group: str, name: str = "") -> None:
        self.sns.publish(
            TopicArn=self.topic, Message=body, MessageGroupId=group,
            MessageDeduplicationId=name or uuid.uuid4().hex,
        )  # fmt: skip

    def test_a_group_is_a_lane_in_its_order(self) -> None:
        self.attend()
        for n in range(25):
            self.send(str(n), f"g{n % 2}")
        with self.opened() as connector:
            records = [r for b in self.batches(connector, 25) for r in b.records]
        for group in (0, 1):
            of_it = [int(r.body or b"") for r in records if r.partition == f"g{group}"]
            assert of_it == list(range(group, 25, 2))
        assert {(r.channel, r.key) for r in records} == {
            (f"{self.name}.fifo", "g0"), (f"{self.name}.fifo", "g1"),
        }  # fmt: skip

    def test_a_message_has_its_number_and_what_it_is_known_by(self) -> None:
        self.attend()
        for _ in range(2):
            self.send("{}", "order-7", "paid-7")
        with self.opened() as connector:
            ((record,),) = [b.records for b in self.batches(connector, 1)]
            assert not connector.read(limit=10, wait=0.2).records, "sent twice, delivered once"
        assert record.facts["deduplication_id"] == "paid-7"
        assert int(record.facts["sequence"]) > 0

    def test_it_says_what_it_promises_of_the_order(self) -> None:
        assert "order within a message group" in self.make().guarantee().words


del Topic, ConnectorContract  # not tests by themselves


@pytest.mark.parametrize(
    ("topics", "words"),
    [
        ("orders", "expected an ARN"),
        (f"{NOWHERE}.fifo {NOWHERE}", "two taps"),
        (f"{NOWHERE} arn:aws:sns:us-east-1:123456789012:a", "several regions"),
    ],
)
def test_topics_it_cannot_read(topics: str, words: str) -> None:
    with pytest.raises(BadSettings, match=words):
        made(topics=topics.split())


@pytest.mark.parametrize("endpoint", ["ftp://a", "http://me:secret@a", "a"])
def test_addresses_it_cannot_use(endpoint: str) -> None:
    with pytest.raises(BadSettings, match="endpoint"):
        made(endpoint=endpoint)


def made(**changes: Any) -> sqs.Sqs:
    given = {"topics": [NOWHERE], "token": "", "endpoint": "", **KEYS, **changes}
    return sqs.Sqs(given, Surroundings("t", lambda host, port: [host]))


@pytest.mark.parametrize("tap", ["orders", "a b/ä", "x" * 200])
def test_its_queue_has_a_name_that_sqs_takes(tap: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,80}", sqs.queue_name(tap))
    assert sqs.queue_name(tap) != sqs.queue_name(f"{tap}-")
    in_order = sqs.queue_name(tap, in_order=True)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,75}\.fifo", in_order)


@pytest.mark.parametrize("token", ["", "a/session+token="])
@pytest.mark.parametrize("service", ["sqs", "sns"])
def test_it_signs_as_awss_own_client_does(service: str, token: str) -> None:
    access = sqs_wire.Access(REGION, KEYS["key"], KEYS["secret"], token)
    at, headers = datetime.now(UTC), {"Content-Type": "a/b; charset=utf-8", "X-Amz-Target": "X.Y"}
    signed = sqs_wire.sign(access, service, b"{}", headers, at)

    request = AWSRequest("POST", f"{access.url(service)}/", dict(headers), b"{}")
    request.context["timestamp"] = at.strftime("%Y%m%dT%H%M%SZ")
    signer = SigV4Auth(Credentials(KEYS["key"], KEYS["secret"], token or None), service, REGION)
    request.headers["X-Amz-Date"] = signed["X-Amz-Date"]
    if token:
        request.headers["X-Amz-Security-Token"] = token
    asked = signer.canonical_request(request)
    theirs = signer.signature(signer.string_to_sign(request, asked), request)
    assert signed["Authorization"].endswith(f"Signature={theirs}")


def test_its_secrets_are_not_in_what_it_prints() -> None:
    access = sqs_wire.Access(REGION, KEYS["key"], KEYS["secret"], "token-word")
    assert KEYS["secret"] not in repr(access)
    assert "token-word" not in repr(access)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "QueueDoesNotExist", sqs_wire.Missing), (404, "NotFound", sqs_wire.Missing),
        (400, "AWS.SimpleQueueService.NonExistentQueue", sqs_wire.Missing),
        (403, "AccessDenied", Refused), (403, "InvalidClientTokenId", Refused),
        (400, "ThrottlingException", Unreachable), (503, "", Unreachable),
    ],
)  # fmt: skip
def test_what_aws_says_is_mended_by_waiting_or_by_somebody(
    status: int, code: str, kind: type[Exception]
) -> None:
    found = sqs_wire._error("SQS", "ReceiveMessage", status, code, "no\n")
    assert type(found) is kind
    assert str(found).isprintable()


@pytest.mark.parametrize("body", [b"", b"<a>", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'])
def test_answers_that_make_no_sense_hold_nothing(body: bytes) -> None:
    assert sqs_wire._texts(body) == {}
