"""Plain events: a JSON object with a `type`, everything else optional.

Names are those of an event in the JSON API (INTERFACES: an event); CloudEvents' names for the same
things are understood too. What else an object holds becomes metadata, and what the log itself
decided about an exported event (its position, when it was recorded) is read over.
"""

from __future__ import annotations

import uuid

from apps.eventlog.envelope import Envelope
from apps.ingest import build, names
from apps.ingest.cloudevents import data_of, decode_base64
from apps.ingest.problems import Invalid
from apps.ingest.split import members_of

PARTS = (
    "type", "id", "source", "stream", "kind", "correlation", "causation", "causation_source",
    "channel", "partition", "offset", "key", "tap",
)  # fmt: skip
FIELDS = {part: part for part in PARTS} | build.CLOUD
OURS = frozenset(
    {"position", "revision", "recorded_at", "log_time", "seen", "conflicts_with", "forgotten"}
)
POSITION_MAX = 1 << 40


def one(raw: bytes, *, fallback_id: str = "") -> Envelope:
    """Return the plain event in `raw`; Invalid says what is wrong with it.

    fallback_id  the id of an event without one; "" makes up a new one
    """
    members = members_of(raw)
    return of_members(members, fallback_id=fallback_id)


def of_members(members: dict[str, bytes], *, fallback_id: str = "") -> Envelope:
    """Return the plain event with these members, each as the JSON it was written in."""
    given = {n: v for n, v in members.items() if (v != b"null" and n not in OURS) or n == "data"}
    data, encoded = given.pop("data", None), given.pop("data_base64", None)
    if data is not None and encoded is not None:
        raise Invalid("both_data", "data and data_base64 are both there; an event has one of them")
    content_type = names.text_of(
        given.pop("datacontenttype", b'"application/json"'), "datacontenttype"
    )
    if encoded is not None:
        content = decode_base64(names.text_of(encoded, "data_base64"))
    else:
        content = data_of(data or b"", content_type)
    if given.get("specversion") == b'"1.0"':
        del given["specversion"]
    if given.get("type", b'""') == b'""':
        raise Invalid("missing_type", "type is missing or empty; an event needs one")
    if given.get("id", b'""') == b'""':
        given["id"] = b'"%s"' % (fallback_id or str(uuid.uuid4())).encode()
    cause, start = _cause(given), _metadata(given)
    # In the order of FIELDS: where two names of one thing are there, the plain one counts.
    ordered = {name: given[name] for name in FIELDS if name in given}
    return build.envelope(
        ordered | given, content, content_type, fields=FIELDS, strict=False, cause=cause,
        start=start,
    )  # fmt: skip


def _cause(given: dict[str, bytes]) -> int | None:
    """Take `cause`, a position; an id in `causation` says it better and wins."""
    raw = given.pop("cause", None)
    if raw is None or given.get("causation", given.get("causationid", b'""')) != b'""':
        return None
    return position_of(raw, "cause")


def position_of(raw: bytes, field: str) -> int:
    """Return a position written as a JSON number."""
    if raw.isdigit() and len(raw) < 14 and 0 < int(raw) < POSITION_MAX:
        return int(raw)
    raise Invalid("bad_position", f"{field} is no position; expected a whole number from 1")


def _metadata(given: dict[str, bytes]) -> bytes:
    raw = given.pop("metadata", b"{}")
    if not raw.startswith(b"{"):
        raise Invalid("bad_attribute", f"metadata is {names.kind_of(raw)}; expected an object")
    return build.object_in(raw.decode()) if raw.strip(b"{} \t") else b""
