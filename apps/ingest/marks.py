"""The mark of a sandbox: what a copy of a service publishes belongs to a run, not to the log.

A run hands its mark along with each event, as the header `evdebug-sandbox`; whoever publishes
because of that event gives it back: as the same header, or as the attribute `evdebugsandbox`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from apps.eventlog.envelope import Envelope
from apps.ingest.problems import Refused, shown

HEADER = b"evdebug-sandbox"
ATTRIBUTE = "evdebugsandbox"
NAME = ATTRIBUTE.encode()
_IN_METADATA = b'"evdebugsandbox":'
_FORM = re.compile(r"([0-9a-f]{32})\.([0-9]{1,9})")


class Mark(NamedTuple):
    """`token` is that of a run, `number` of the event it handed out, from 1."""

    token: str
    number: int

    def __str__(self) -> str:
        return f"{self.token}.{self.number}"


def read(text: str) -> Mark:
    """Return a mark as it was written. raises  Refused (400)"""
    found = _FORM.fullmatch(text)
    if found is None:
        raise Refused(
            400, "bad_mark", f"evdebug-sandbox {shown(text)} is no mark: send back the one that"
            " came with the event",
        )  # fmt: skip
    return Mark(found[1], int(found[2]))


def is_marked(envelope: Envelope) -> bool:
    """Return whether an event bears a mark as its attribute."""
    return _IN_METADATA in envelope.metadata


def of(envelopes: Iterable[Envelope]) -> Mark:
    """Return the mark that all of some events bear. raises  Refused where they do not"""
    found = {_attribute(envelope) for envelope in envelopes}
    if len(found) != 1:
        raise Refused(
            400, "mixed_marks", "some of these events belong to a sandbox and others do not, or to"
            " another; send each kind in a request of its own",
        )  # fmt: skip
    return read(found.pop())


def _attribute(envelope: Envelope) -> str:
    value = msgspec.json.decode(envelope.metadata).get(ATTRIBUTE) if envelope.metadata else None
    return value if isinstance(value, str) else ""
