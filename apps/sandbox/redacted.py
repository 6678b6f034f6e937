"""A run's folder without what the rules of redaction take out of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from apps.eventlog.envelope import Recorded, is_json
from apps.ingest.redact import Redactor, Withheld
from apps.sandbox import recalled
from apps.sandbox.folder import Folder

WITHHELD = b'"***"'  # stands for a payload that redaction could not read
_TEXTS = (
    "id", "source", "type", "stream", "correlation", "causation", "channel", "partition",
    "offset", "key", "tap",
)  # fmt: skip


def redacted(folder: Folder, redactor: Redactor) -> Folder:
    """Return a folder without what the rules take out of payloads, states, edits and texts."""
    if not redactor:
        return folder
    recipe = msgspec.structs.replace(
        folder.recipe, redacted=True, edits=[_edit(e, redactor) for e in folder.recipe.edits],
        name=redactor.text(folder.recipe.name), options=_options(folder.recipe.options, redactor),
    )  # fmt: skip
    states = {
        redactor.text(stream): _value(state, redactor) for stream, state in folder.states.items()
    }
    entries = [_entry(e, redactor) for e in folder.entries]
    kept = [recalled.redacted(each, redactor) for each in folder.kept]
    earlier = [_entry(e, redactor) for e in folder.earlier]
    return Folder(recipe, entries, earlier, states, kept=kept)


def _entry(entry: Recorded, redactor: Redactor) -> Recorded:
    texts = {name: redactor.text(getattr(entry, name)) for name in _TEXTS}
    texts["key"] = redactor.facts({"key": entry.key})["key"] if entry.key else ""
    headers = redactor.facts({"headers": entry.headers()})["headers"]
    return msgspec.structs.replace(
        entry, data=_body(entry, redactor), **texts,
        metadata=entry.metadata if headers == entry.headers() else msgspec.json.encode(headers),
    )  # fmt: skip


def _body(entry: Recorded, redactor: Redactor) -> bytes | None:
    if not entry.data:
        return entry.data
    try:
        return redactor.body(entry.data, is_json=is_json(entry.content_type))
    except Withheld:
        return WITHHELD


def _value(value: Any, redactor: Redactor) -> Any:
    raw = redactor.body(msgspec.json.encode(value), is_json=True)
    return msgspec.json.decode(raw)


def _edit(edit: Mapping[str, Any], redactor: Redactor) -> dict[str, Any]:
    made = dict(edit)
    if "data" in made:
        made["data"] = _value(made["data"], redactor)
    if "event" in made:
        made["event"] = {
            n: _value(v, redactor) if n == "data" else redactor.text(v)
            for n, v in made["event"].items()
        }
    return made


def _options(options: Mapping[str, Any], redactor: Redactor) -> dict[str, Any]:
    """Return options without secrets; a call that redaction made another takes what it got."""
    made = dict(options)
    if made.get("missing", "stop") == "stop":
        made["missing"] = "nearest"
    made["stubs"] = [
        {n: v if n == "call" else _value(v, redactor) for n, v in stub.items()}
        for stub in options.get("stubs", [])
    ]
    return made
