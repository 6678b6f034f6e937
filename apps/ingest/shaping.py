"""The settings every tap takes besides those of its bus: how its records are read.

map.FIELD=pick   where a part of the event is (`picks.py`)
dialect codec    to say what is found out otherwise
registry schema message   for Avro and Protobuf
redact=rules     what must not be stored (`redact.py`)
"""

from __future__ import annotations

from collections.abc import Mapping

from apps.ingest import codecs, dialects, picks, records, redact, schemas
from apps.ingest.connector import BadSettings, Setting, Surroundings
from apps.ingest.decode import Limits
from apps.ingest.problems import shown

DIALECTS = ("cloudevents", *dialects.BY_NAME)
COMMON = (
    Setting("codec", "Codec", kind="choice", default="auto", choices=codecs.CODECS,
            help="what the bodies are; auto tells JSON and text"),
    Setting("dialect", "Dialect", kind="choice", choices=("", *DIALECTS),
            help="how events are spelled; found out for each record when empty"),
    Setting("registry", "Schema registry", kind="url",
            help="http://HOST:8081, for Avro and Protobuf in Confluent's wire format"),
    Setting("schema", "Schema", help="an Avro schema, or a Protobuf descriptor set in base64"),
    Setting("message", "Message", help="the name of the Protobuf message, shop.v1.OrderPlaced"),
    Setting("redact", "Redaction", help="rules such as mask data.card, hash ~email"),
)  # fmt: skip
NAMES = frozenset(setting.name for setting in COMMON)
MAP = "map."


def split(settings: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return (what the bus takes, how records are read)."""
    ours = {n: v for n, v in settings.items() if n in NAMES or n.startswith(MAP)}
    return {n: v for n, v in settings.items() if n not in ours}, ours


def form(
    tap: str, settings: Mapping[str, str], *, key: bytes, limits: Limits, around: Surroundings
) -> records.Form:
    """Return how a tap reads its records, from the second part of `split`.

    key     what hashes are keyed with: equal values stay comparable within a system
    raises  BadSettings
    """
    try:
        rules = redact.parse(settings.get("redact", ""))
    except redact.BadRule as error:
        raise BadSettings(f"redact: {error}") from None
    codec, dialect = settings.get("codec") or "auto", settings.get("dialect", "")
    if codec not in codecs.CODECS:
        raise BadSettings(f"codec {shown(codec)}: expected one of {', '.join(codecs.CODECS)}")
    if dialect and dialect not in DIALECTS:
        raise BadSettings(f"dialect {shown(dialect)}: expected one of {', '.join(DIALECTS)}")
    return records.Form(
        tap, mapping(settings), codec, dialect, redact.Redactor(rules, key),
        schemas.reader(codec, settings, around), limits,
    )  # fmt: skip


def mapping(settings: Mapping[str, str]) -> dict[str, picks.Pick]:
    """Return the parts a person says where to find.  raises  BadSettings"""
    found = {}
    for name, text in settings.items():
        if not name.startswith(MAP) or not text.strip():
            continue
        part = name.removeprefix(MAP)
        if part not in records.PARTS:
            raise BadSettings(f"{name}: an event has {', '.join(records.PARTS)}")
        try:
            found[part] = picks.parse(text.strip())
        except picks.BadPick as error:
            raise BadSettings(f"{name}: {error}") from None
    return found
