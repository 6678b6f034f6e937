"""RabbitMQ's management API, as far as the firehose needs it.

Tracing is a switch of the whole virtual host that costs it most of its throughput, and the broker
never turns it off by itself. So whoever turns it on leaves a guard: a process of its own that turns
it off when the one it guards is gone, however that ended.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from apps.ingest import web
from apps.ingest.broker_url import BrokerUrl
from apps.ingest.connector import BadSettings, Line, Refused, Surroundings, TapError, Unreachable

ANSWER_S = 10
PORT = 15672
ROOT = Path(__file__).resolve().parents[3]


class Management:
    """The API of one broker, for one virtual host."""

    def __init__(self, url: str, broker: BrokerUrl, around: Surroundings) -> None:
        self._around = around
        if url and urlsplit(url).scheme not in ("http", "https"):
            raise BadSettings("setting management has another form; expected http://host:15672")
        user, password = quote(broker.user or "guest", ""), quote(broker.password or "guest", "")
        self._url = (url or f"http://{user}:{password}@{broker.host}:{PORT}").rstrip("/")
        self.vhost = broker.path or "/"

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return what it answers; None where there is no such thing.

        raises  Unreachable, Refused
        """
        data = None if body is None else json.dumps(body).encode()
        with web.asked(
            f"{self._url}/api/{path}", self._around, timeout=ANSWER_S, method=method, body=data,
            headers={"Content-Type": "application/json"},
        ) as answer:  # fmt: skip
            said = answer.read(8 << 20)
            if answer.status == 404:
                return None
            if answer.status in (401, 403):
                raise Refused("The management API refuses these credentials.")
            if answer.status >= 400:
                raise Unreachable(f"The management API answers {answer.status} to {path}.")
            return json.loads(said) if said else {}

    def traces(self) -> bool:
        """Return whether the virtual host is traced now."""
        found = self.ask("GET", f"vhosts/{self._vhost}")
        return bool(found and found.get("tracing"))

    def trace(self, on: bool) -> None:
        """Turn tracing on or off."""
        self.ask("PUT", f"vhosts/{self._vhost}", {"tracing": on})

    def unacknowledged(self) -> dict[str, int]:
        """Return for each queue how many deliveries are neither acknowledged nor given back."""
        columns = "columns=name,messages_unacknowledged"
        found = self.ask("GET", f"queues/{self._vhost}?{columns}") or []
        return {q["name"]: q.get("messages_unacknowledged", 0) for q in found}

    @property
    def _vhost(self) -> str:
        return quote(self.vhost, "")

    def looked_at(self) -> list[Line]:
        """Return what is to be said before the firehose is opened."""
        try:
            traced = self.traces()
        except TapError as error:
            return [Line("problem", f"The firehose needs the management API. {error}")]
        lines = [
            Line(
                "note",
                "The firehose makes the broker copy each publication and delivery: in measurements "
                "it lost 55 to 84 % of its throughput. It is turned off after the time set.",
            )
        ]
        if traced:
            lines.append(Line("note", "Somebody has turned tracing on already; it stays on."))
        return lines

    def guarded(self) -> Callable[[], None]:
        """Leave a guard that turns tracing off when this process ends; return how to relieve it."""
        words = json.dumps({"url": self._url, "vhost": self.vhost}).encode()
        process = subprocess.Popen(
            [sys.executable, "-m", "apps.ingest.connectors.rabbitmq_guard"], cwd=ROOT,
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,  # so that what ends us does not end it
        )  # fmt: skip
        assert process.stdin is not None
        pipe = process.stdin
        pipe.write(words + b"\n")  # not as an argument, which other users could read
        pipe.flush()

        def relieve() -> None:
            with suppress(OSError):
                pipe.close()
            process.wait(60)

        return relieve
