"""Which of the things a handler said are those it said when the history was recorded."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from apps.eventlog.envelope import Recorded, Undecodable
from apps.projections.exact import same
from apps.sandbox.outcome import Said


def matched(said: Sequence[Said], recorded: Sequence[Recorded]) -> list[Recorded | None]:
    """Return for each thing said the recorded one it stands for, None for a new one.

    First those of the same kind, type and stream with the same content, then without, then those
    of the same kind and type; each recorded one at most once.
    """
    found: list[Recorded | None] = [None] * len(said)
    left = list(recorded)
    if len(said) == len(left) and all(
        equal(s, r) for s, r in zip(said, left, strict=True)
    ):  # as nearly always
        return list(left)
    for fits in (equal, _same_place, _same_type):
        for n, each in enumerate(said):
            if found[n] is None:
                found[n] = next((r for r in left if fits(each, r)), None)
                if found[n] is not None:
                    left = [r for r in left if r is not found[n]]
    return found


def _same_type(said: Said, recorded: Recorded) -> bool:
    return said.kind == recorded.kind and said.type == recorded.type


def _same_place(said: Said, recorded: Recorded) -> bool:
    return _same_type(said, recorded) and said.stream == recorded.stream


def equal(said: Said, recorded: Recorded) -> bool:
    """Return whether what was said is what is recorded: kind, type, stream and the value."""
    return _same_place(said, recorded) and same_data(bytes(said.data), recorded)


def same_data(data: bytes, recorded: Recorded) -> bool:
    """Return whether bytes of JSON hold the value a recorded entry holds."""
    if data == recorded.data:
        return True
    try:
        return same(msgspec.json.decode(data), recorded.value())
    except (Undecodable, msgspec.DecodeError):
        return False
