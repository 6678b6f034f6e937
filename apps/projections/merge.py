"""The reducer that needs no code: each event merged over the state before it.

Data that is a JSON object is a merge patch (RFC 7396): objects merge, null removes, all else
replaces. A Debezium envelope (`before`, `after`, `op`) replaces the state by `after`. JSON null, a
Debezium delete and the event types named in `deletions` delete the entity: its state is null. An
event without data changes nothing.

States are shared, not copied: a new state holds the parts of the old one that did not change, so
nothing ever changes a state that exists.
"""

from __future__ import annotations

from typing import Any

from apps.projections.exact import MISSING

UNAVAILABLE = "__debezium_unavailable_value"  # Debezium's word for a large column it left out
_OPERATIONS = frozenset("crudtm")


def merged(state: Any, patch: Any) -> Any:
    """Return `state` with a JSON merge patch applied; neither is changed."""
    if type(patch) is not dict:
        return patch
    result = dict(state) if type(state) is dict else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif type(value) is dict:
            result[key] = merged(result.get(key), value)
        else:
            result[key] = value
    return result


class Replacement:
    """What an event says the whole state is now."""

    __slots__ = ("state",)

    def __init__(self, state: Any) -> None:
        self.state = state


def meant(data: Any, state: Any) -> Any:
    """Return what an event's data asks for: a patch, a Replacement, or MISSING for nothing."""
    if type(data) is not dict or ("op" not in data and "payload" not in data):
        return data
    envelope = data
    if type(data.get("payload")) is dict and data.keys() <= {"schema", "payload"}:
        envelope = data["payload"]
    if not _is_envelope(envelope):
        return data
    operation, after = envelope["op"], envelope.get("after")
    if operation in "tm":  # truncate concerns the table, m is a message: neither is this row's
        return Replacement(None) if operation == "t" else MISSING
    if operation == "d" or after is None:
        return Replacement(None)
    return Replacement(_complete(after, state))


def _is_envelope(value: dict[str, Any]) -> bool:
    operation = value.get("op")
    return (
        type(operation) is str
        and len(operation) == 1
        and operation in _OPERATIONS
        and ("after" in value or "before" in value or "source" in value)
    )


def _complete(after: Any, state: Any) -> Any:
    """Return a row with the columns Debezium left out taken from the row before."""
    if type(after) is not dict or type(state) is not dict or UNAVAILABLE not in after.values():
        return after
    return {k: state.get(k, v) if v == UNAVAILABLE else v for k, v in after.items()}


def apply(state: Any, data: Any, *, deletes: bool = False) -> Any:
    """Return the state after an event with this data; MISSING data changes nothing.

    deletes  whether the event's type says that the entity is gone
    """
    if deletes:
        return None
    wanted = meant(data, state)
    if wanted is MISSING:
        return state
    return wanted.state if type(wanted) is Replacement else merged(state, wanted)
