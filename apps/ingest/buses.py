"""The buses there are: a new one is a file in `connectors/`, a line here and a contract test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from importlib import import_module
from typing import Any, cast

from apps.ingest.connector import BadSettings, Connector, Setting, Surroundings
from apps.ingest.problems import shown

CONNECTORS = {
    "celery": "apps.ingest.connectors.celery.Celery",
    "files": "apps.ingest.connectors.files.Files",
    "http": "apps.ingest.connectors.http.Http",
    "kafka": "apps.ingest.connectors.kafka.Kafka",
    "mqtt": "apps.ingest.connectors.mqtt.Mqtt",
    "nats": "apps.ingest.connectors.nats.Nats",
    "postgresql": "apps.ingest.connectors.postgresql.PostgreSQL",
    "rabbitmq": "apps.ingest.connectors.rabbitmq.RabbitMQ",
    "redis": "apps.ingest.connectors.redis.Redis",
    "sqs": "apps.ingest.connectors.sqs.Sqs",
    "webhook": "apps.ingest.connectors.webhook.Webhook",
}
VALUE_MAX = 4096  # characters


def connector_class(bus: str) -> type[Connector]:
    """Return the class for a bus.  raises  BadSettings for a bus there is none for"""
    try:
        module, _, name = CONNECTORS[bus].rpartition(".")
    except KeyError:
        raise BadSettings(
            f"bus {shown(bus)}: expected one of {', '.join(sorted(CONNECTORS))}"
        ) from None
    return cast(type[Connector], getattr(import_module(module), name))


def pushed() -> list[str]:
    """Return the buses that bring their records to a door: nobody has to run their taps."""
    return ["webhook"]


def connector(bus: str, settings: Mapping[str, str], around: Surroundings) -> Connector:
    """Return a connector, not connected yet.  raises  BadSettings"""
    made = connector_class(bus)
    return made(settings_of(made.settings, settings), around)


def settings_of(known: Iterable[Setting], given: Mapping[str, str]) -> dict[str, Any]:
    """Return typed values for all settings of a bus from texts; absent ones have their default.

    A list is separated by commas or blanks; minutes are a whole number.
    raises  BadSettings for a name that is not known, one that is missing, a value of the wrong kind
    """
    schema = {s.name: s for s in known}
    for name in given:
        if name not in schema:
            raise BadSettings(
                f"setting {shown(name)} is not known here; there are {', '.join(schema)}"
            )
    return {name: _value(s, given.get(name, "") or s.default) for name, s in schema.items()}


def _value(setting: Setting, text: str) -> Any:
    text = text.strip()
    if setting.required and not text:
        raise BadSettings(f"setting {setting.name} is missing; {setting.help or setting.label}")
    if len(text) > VALUE_MAX or "\0" in text:
        raise BadSettings(f"setting {setting.name} is longer than {VALUE_MAX} or holds NUL")
    if setting.kind == "list":
        return [part for part in text.replace(",", " ").split() if part]
    if setting.kind == "minutes":
        return _minutes(setting, text)
    if setting.kind == "choice" and text and text not in setting.choices:
        expected = ", ".join(setting.choices)
        raise BadSettings(f"setting {setting.name} is {shown(text)}; expected one of {expected}")
    if setting.kind == "start":
        return _start(setting, text)
    return text


def _minutes(setting: Setting, text: str) -> int:
    if not text:
        return 0
    if text.isdecimal() and 0 <= int(text) <= 1440:
        return int(text)
    raise BadSettings(f"setting {setting.name} is {shown(text)}; expected minutes, 0 to 1440")


def _start(setting: Setting, text: str) -> str | datetime:
    """Return "beginning", "now" or an aware time."""
    if text in ("beginning", "now"):
        return text
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = datetime.min
    if at.tzinfo is None:
        raise BadSettings(
            f"setting {setting.name} is {shown(text)}; expected beginning, now, or a time with its "
            "zone, such as 2026-05-12T14:30:00Z"
        )
    return at


BEGIN = Setting(
    "start", "Start at", kind="start", default="beginning",
    help="beginning, now, or a time such as 2026-05-12T14:30:00Z",
)  # fmt: skip
"""For buses that keep their records; others take only what comes."""
