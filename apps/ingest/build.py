"""From attributes, as JSON texts by name, to an envelope: what all forms of event share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from apps.eventlog.envelope import KINDS, OUTCOMES, Envelope
from apps.ingest import names, timestamps
from apps.ingest.problems import Invalid, shown

# CloudEvents attributes and extensions, and the field of the envelope each of them is.
CLOUD = {
    "id": "id", "source": "source", "type": "type", "subject": "stream",
    "correlationid": "correlation", "causationid": "causation", "partitionkey": "key",
    "sequence": "offset", "evdebugkind": "kind", "evdebugcausesource": "causation_source",
    "evdebugchannel": "channel", "evdebugpartition": "partition", "evdebugtap": "tap",
}  # fmt: skip
# Known, but not kept as they are. `evdebugsource` says the source of an event that has none, where
# `source` must not be empty; `evdebugmetadata` is the metadata of an exported event, verbatim.
ASIDE = frozenset({"specversion", "datacontenttype", "time", "evdebugsource", "evdebugmetadata"})
STRICT = frozenset({"id", "source", "type", "subject"})  # strings by the specification


def envelope(
    attributes: Mapping[str, bytes],
    data: bytes,
    content_type: str,
    *,
    fields: Mapping[str, str] = CLOUD,
    strict: bool = True,
    cause: int | None = None,
    start: bytes = b"",
) -> Envelope:
    """Return the envelope that `attributes` describe; the required ones were checked.

    strict  refuse what CloudEvents have no type for: arrays and objects as attributes
    start   a JSON object whose entries become the first of the metadata
    raises  Invalid
    """
    values: dict[str, Any] = {}
    extra: dict[str, bytes] = {}
    for name, raw in attributes.items():
        field = fields.get(name)
        if field and field not in values:
            read = names.text_of if strict and name in STRICT else names.scalar_of
            values[field] = names.checked(read(raw, name), name)
        elif name not in ASIDE or (name == "specversion" and not strict):
            if strict and raw.startswith((b"{", b"[")):
                raise Invalid(
                    "bad_attribute",
                    f"attribute {shown(name)} is {names.kind_of(raw)}; CloudEvents attributes are "
                    "strings, numbers or booleans. Put it into data",
                )
            extra[name] = raw
    if "evdebugsource" in attributes:
        source = names.text_of(attributes["evdebugsource"], "evdebugsource")
        values["source"] = names.checked(source, "evdebugsource")
    if "evdebugmetadata" in attributes:
        start = object_in(names.text_of(attributes["evdebugmetadata"], "evdebugmetadata"))
    if "traceparent" in attributes and not values.get("correlation"):
        values["correlation"] = names.trace_of(
            names.scalar_of(attributes["traceparent"], "traceparent")
        )
    _check_kind(values)
    if strict and "time" in attributes:
        names.text_of(attributes["time"], "time")
    time, said = moment(attributes.get("time"))
    held = names.parsed(start, "metadata") if start else {}
    assert isinstance(held, dict)
    more = {name: raw for name, raw in (extra | said).items() if name not in held}
    return Envelope(
        **values, time=time, cause=cause, data=data,
        content_type=names.checked(content_type, "datacontenttype"),
        metadata=names.metadata(more, start=start),
    )  # fmt: skip


def moment(raw: bytes | None, *, field: str = "time") -> tuple[int | None, dict[str, bytes]]:
    """Return a time in µs, and what the µs do not say as entries for the metadata."""
    if raw is None or raw == b"null":
        return None, {}
    try:
        if raw.startswith(b'"'):
            text = names.text_of(raw, field)
            time = timestamps.parse(text)
        else:
            text = names.scalar_of(raw, field)
            time = timestamps.from_epoch(int(text))
    except ValueError as error:
        if isinstance(error, Invalid):
            raise
        said = str(error) if isinstance(error, timestamps.BadTime) else shown(text)
        raise Invalid("bad_time", f"{field}: {said}") from None
    if not time.flags:
        return time.us, {}
    encode = msgspec.json.encode
    return time.us, {"time_text": encode(text), "time_flags": encode(time.flags)}


def object_in(text: str) -> bytes:
    """Return `text` as bytes if it is a JSON object that metadata may be."""
    raw = text.encode()
    if len(raw) > names.METADATA_MAX:
        raise Invalid("metadata_too_big", f"metadata takes {len(raw)} bytes; at most "
                      f"{names.METADATA_MAX} are kept")  # fmt: skip
    if not isinstance(names.parsed(raw, "metadata"), dict):
        raise Invalid("bad_attribute", "metadata is not a JSON object")
    return raw


def _check_kind(values: Mapping[str, str]) -> None:
    kind = values.get("kind", "event")
    if kind not in KINDS:
        raise Invalid(
            "bad_kind", f"kind {shown(kind)}: expected event (the default), command or response"
        )
    if kind == "delivery" and (values["type"] not in OUTCOMES or not values.get("source")):
        raise Invalid(
            "bad_outcome",
            f"a delivery's type is its outcome and its source the subscriber; type "
            f"{shown(values['type'])} is none of {', '.join(OUTCOMES)}, or there is no source",
        )
