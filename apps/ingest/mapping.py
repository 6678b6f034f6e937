"""`--map name=path`: where in a foreign JSON line the parts of an event are."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from apps.eventlog.envelope import Envelope
from apps.ingest import plain
from apps.ingest.problems import Invalid, shown
from apps.ingest.split import elements_of, members_of

TARGETS = (*plain.PARTS, "data", "data_base64", "datacontenttype", "time", "metadata")


class BadMapping(ValueError):
    """A mapping cannot be used; the text says which and why."""


def parse(pairs: list[str]) -> dict[str, str]:
    """Return name to path for arguments like `type=event.name` or `source='shop'`.

    raises  BadMapping
    """
    mapping = {}
    for pair in pairs:
        name, equals, path = pair.partition("=")
        name, path = name.strip(), path.strip()
        if not (name and equals and path):
            raise BadMapping(f"--map {shown(pair)}: expected name=path, such as type=event.name")
        if name not in TARGETS:
            raise BadMapping(
                f"--map {shown(pair)}: an event has no {shown(name)}; it has {', '.join(TARGETS)}"
            )
        mapping[name] = path
    return mapping


def mapped(raw: bytes, mapping: Mapping[str, str], *, fallback_id: str = "") -> Envelope:
    """Return the event a line holds where `mapping` says.

    A path is names with dots between, numbers for the places of an array; in quotes it is the
    value itself. What is not mapped is looked for under its own name. Without a mapping for data
    and without a member of that name, the whole line is the data.
    """
    line = members_of(raw)
    members = {name: line[name] for name in (*plain.FIELDS, *TARGETS) if name in line}
    for name, path in mapping.items():
        value = _at(line, path)
        if value is None:
            members.pop(name, None)
        else:
            members[name] = value
    if "data" not in members and "data_base64" not in members:
        members["data"] = raw.strip()
    return plain.of_members(members, fallback_id=fallback_id)


def _at(line: Mapping[str, bytes], path: str) -> bytes | None:
    """Return the JSON at a path, None where there is nothing."""
    if path[0] in "'\"" and path[-1] == path[0] and len(path) > 1:
        return msgspec.json.encode(path[1:-1])
    if path in line:  # a name that has dots in it
        return line[path]
    first, *rest = path.split(".")
    value = line.get(first)
    for step in rest:
        if value is None:
            return None
        value = _step(value, step)
    return value


def _step(value: bytes, step: str) -> bytes | None:
    try:
        if value.startswith(b"{"):
            return members_of(value).get(step)
        if value.startswith(b"[") and step.isdecimal():
            return bytes(elements_of(value)[int(step)])
    except (Invalid, IndexError):
        return None
    return None
