"""A Kafka broker for the tests: KRaft, one node, its jars from Maven.

`python -m tests.kafka` fetches the jars, so that tests need no network.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import uuid
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from pathlib import Path

from tests.brokers import Broker
from tests.services import Missing, free_port

VERSION = "4.2.0"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "evdebug-tests"
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>evdebug</groupId><artifactId>tests</artifactId><version>1</version><dependencies><dependency>
<groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
</dependency></dependencies></project>"""
LOGGING = """<Configuration><Appenders>
<Console name="c" target="SYSTEM_ERR"><PatternLayout/></Console></Appenders>
<Loggers><Root level="warn"><AppenderRef ref="c"/></Root></Loggers></Configuration>"""


@dataclass
class Kafka(Broker):
    """Apache Kafka with one partition for offsets, quick to start and to stop.

    It also listens at `far`, where it says it is found at `through`: who puts a proxy between the
    two has a network that can be cut.
    """

    controller: int = field(default_factory=free_port)
    far: int = field(default_factory=free_port)
    through: int = field(default_factory=free_port)

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        if not (self.folder / "data").exists():
            self._format()
        super().start()

    def _format(self) -> None:
        (self.folder / "log4j2.xml").write_text(LOGGING)
        lines = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://127.0.0.1:{self.controller},"
            f"FAR://127.0.0.1:{self.far}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap},FAR://127.0.0.1:{self.through}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,"
            "FAR:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(self.folder / "data"),
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "log.retention.check.interval.ms": "1000",
            "log.retention.ms": "-1",  # tests write records of long ago
            "num.partitions": "1",
        }
        text = "".join(f"{name}={value}\n" for name, value in lines.items())
        (self.folder / "server.properties").write_text(text)
        # Half of all ids: one that began with "-" would be taken for an option.
        chosen = uuid.UUID(int=uuid.uuid4().int >> 1).bytes
        cluster = urlsafe_b64encode(chosen).decode().rstrip("=")
        subprocess.run(
            [*self._java("kafka.tools.StorageTool"), "format", "--cluster-id", cluster,
             "--config", "server.properties", "--feature", "share.version=1"],
            cwd=self.folder, check=True, capture_output=True,
        )  # fmt: skip

    def command(self) -> list[str]:
        return [*self._java("kafka.Kafka"), "server.properties"]

    def _java(self, main: str) -> list[str]:
        return [
            java(), "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.xml'}",
            "-cp", f"{jars()}/*", main,
        ]  # fmt: skip

    def is_ready(self) -> bool:
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        with contextlib.suppress(KafkaException):
            return bool(client.list_topics(timeout=2).brokers)
        return False


def java() -> str:
    """Return the path of Java 17 or newer.  raises  Missing"""
    if found := shutil.which("java"):
        return found
    raise Missing("There is no Java for Kafka (Debian: apt-get install default-jre-headless).")


def jars() -> Path:
    """Return the folder with Kafka's jars, fetched once.  raises  Missing"""
    folder = CACHE / f"kafka-{VERSION}"
    if not (folder / f"kafka_2.13-{VERSION}.jar").exists():
        _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise Missing("There is no Maven to fetch Kafka with (Debian: apt-get install maven).")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as draft:
        (Path(draft) / "pom.xml").write_text(POM)
        done = subprocess.run(
            [maven, "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=jars"],
            cwd=draft, check=False, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise Missing(f"Maven cannot fetch Kafka {VERSION}: {done.stdout[-500:]}")
        with contextlib.suppress(OSError):  # another process was quicker
            (Path(draft) / "jars").rename(folder)


if __name__ == "__main__":
    jars()
