"""Taps and what could not become an event, in the JSON API.

Whoever may read a system may see its taps; to change one takes an administrator, whom no key
stands for.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Annotated, Any, Literal, NoReturn, TypeVar, cast

import msgspec
from django.http import HttpRequest, HttpResponse
from msgspec import Meta
from ninja import Path, Query, Router
from ninja.errors import HttpError

from apps.access.queries import callers
from apps.eventlog.envelope import isoformat
from apps.eventlog.places import Line
from apps.ingest import queries
from apps.ingest.codecs import CODECS
from apps.ingest.commands import rejects as quarantine
from apps.ingest.commands import taps as commands
from apps.ingest.connector import BadSettings, Unreachable
from apps.ingest.models import Reject, Tap
from apps.ingest.problems import shown

router = Router(tags=["taps"])

_Path: Any = Path
_Query: Any = Query
SYSTEM = _Path(..., description="The system's name, as in addresses.")
NAME = _Path(..., description="The tap's name.")
AFTER = _Query(0, ge=0, lt=1 << 63, description="Only rejects after this id.")
LIMIT = _Query(100, ge=1, description=f"At most {queries.LIMIT}.")
T = TypeVar("T")
Settings = dict[str, Annotated[str, Meta(max_length=20_000)]]


class New(msgspec.Struct, forbid_unknown_fields=True):
    """A tap to add."""

    name: str
    bus: str
    settings: Settings
    wanted: bool = True


class Act(msgspec.Struct, forbid_unknown_fields=True):
    """What to do with a tap; `rewind` takes `to`, `arm` `minutes`, `change` all `settings`."""

    do: Literal["start", "stop", "rewind", "arm", "change", "check", "remove"]
    to: str = ""
    minutes: Annotated[int, Meta(ge=0, le=1440)] = 0
    settings: Settings | None = None


class Again(msgspec.Struct, forbid_unknown_fields=True):
    """What to do with rejects: those of `ids`, or the oldest thousand, or when discarded all."""

    do: Literal["retry", "discard"]
    ids: Annotated[list[Annotated[int, Meta(ge=1, lt=1 << 62)]], Meta(max_length=1000)] | None = (
        None
    )
    codec: str = ""


def _takes(shape: type) -> dict[str, Any]:
    """Return what describes a request's body in the OpenAPI document."""
    (schema,), parts = msgspec.json.schema_components([shape], ref_template="{name}")
    described = parts[schema["$ref"]]
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": described}}}
    }


@router.get("/{slug:system}/taps")
def taps(request: HttpRequest, system: str = SYSTEM) -> Any:
    """Return a system's taps by name, what came of them, and settings without what is secret."""
    line = _line(request)
    return _answer({"taps": [queries.jsonable(tap, line.slug) for tap in queries.taps(line)]})


@router.post("/{slug:system}/taps", openapi_extra=_takes(New))
def add_tap(request: HttpRequest, system: str = SYSTEM) -> Any:
    """Add a tap. Its address is asked for nothing before it runs; `check` does."""
    line, new = _admin(request, system), _body(request, New)
    try:
        tap = commands.add(
            line, new.name, new.bus, new.settings, by=callers.actor(request), wanted=new.wanted
        )
    except BadSettings as error:
        _refuse(error)
    return _answer(queries.jsonable(tap, line.slug), 201)


@router.get("/{slug:system}/taps/{name}")
def tap(request: HttpRequest, system: str = SYSTEM, name: str = NAME) -> Any:
    """Return one tap, with what it can promise in words."""
    line = _line(request)
    found = _tap(line, name)
    return _answer(queries.jsonable(found, line.slug) | {"promise": queries.promise(found)})


@router.post("/{slug:system}/taps/{name}", openapi_extra=_takes(Act))
def steer_tap(request: HttpRequest, system: str = SYSTEM, name: str = NAME) -> Any:
    """Do one of start, stop, rewind, arm, change, check and remove; a removed tap's events stay.

    With `change`, settings shown hidden stay as they are. `check` connects, looks and changes
    nothing: {"ok", "lines"}.
    """
    line, act = _admin(request, system), _body(request, Act)
    found, by = _tap(line, name), callers.actor(request)
    try:
        if act.do == "check":
            return _answer(_checked(found))
        if act.do == "rewind":
            commands.rewind(line, found, act.to, by=by)
        elif act.do == "arm":
            commands.arm(line, found, str(act.minutes), by=by)
        elif act.do == "change":
            if act.settings is None:
                raise BadSettings("settings is missing; change takes all of them")
            commands.change(line, found, act.settings, by=by)
        else:
            verbs = {"start": commands.start, "stop": commands.stop, "remove": commands.remove}
            verbs[act.do](found, by=by)
    except BadSettings as error:
        _refuse(error)
    if act.do == "remove":
        return _answer({"name": found.name, "removed": True})
    return _answer(queries.jsonable(found, line.slug))


def _checked(tap: Tap) -> dict[str, Any]:
    checked = queries.checked(tap.system, tap.name, tap.bus, commands.settings_of(tap))
    lines = [{"level": line.level, "words": line.words} for line in checked.lines]
    return {"ok": checked.ok, "lines": lines}


@router.get("/{slug:system}/rejects")
def rejects(
    request: HttpRequest, system: str = SYSTEM, after: int = AFTER, limit: int = LIMIT
) -> Any:
    """Return what could not become an event, oldest first, with its first 64 KiB in base64."""
    most = min(limit, queries.LIMIT)
    found = queries.rejects(_line(request), after=after, limit=most)
    following = found[-1].pk if len(found) == most else None
    return _answer({"rejects": [_reject(each) for each in found], "next": following})


def _reject(reject: Reject) -> dict[str, Any]:
    return {
        "id": reject.pk, "received_at": isoformat(reject.received_at), "origin": reject.origin,
        "line": reject.line, "code": reject.code, "detail": reject.detail, "size": reject.size,
        "content_type": reject.content_type, "data_base64": b64encode(bytes(reject.data)).decode(),
        "can_retry": quarantine.record_of(reject) is not None,
    }  # fmt: skip


@router.post("/{slug:system}/rejects", openapi_extra=_takes(Again))
def steer_rejects(request: HttpRequest, system: str = SYSTEM) -> Any:
    """Read rejects again as their taps read now, with another `codec` if wanted; or discard them.

    The answer counts them: {"tried", "stored", "duplicates", "left"}, or {"discarded"}.
    """
    line, again = _admin(request, system), _body(request, Again)
    by = callers.actor(request)
    if again.do == "discard":
        return _answer({"discarded": quarantine.discard(line, again.ids, by=by)})
    try:
        if again.codec and again.codec not in CODECS:
            raise BadSettings(f"codec {shown(again.codec)}: expected one of {', '.join(CODECS)}")
        done = quarantine.retry(line, again.ids, codec=again.codec, by=by)
        return _answer({name: done[name] for name in ("tried", "stored", "duplicates", "left")})
    except (BadSettings, Unreachable) as error:
        _refuse(error)


def _line(request: HttpRequest) -> Line:
    return cast(Line, request.auth)  # type: ignore[attr-defined]


def _admin(request: HttpRequest, system: str) -> Line:
    """Return a system's own line; taps have no other.  raises  AccessError"""
    return callers.line_for(request, system, role="admin")


def _tap(line: Line, name: str) -> Tap:
    found = queries.tap_named(line, name) if name.isprintable() else None
    if found is None:
        raise HttpError(404, f"There is no tap {shown(name)}.")
    return found


def _body(request: HttpRequest, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(request.body, type=shape)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise HttpError(422, f"The body cannot be used: {error}") from error


def _refuse(error: Exception) -> NoReturn:
    raise HttpError(422, str(error)) from error


def _answer(value: Any, status: int = 200) -> HttpResponse:
    headers = {"Cache-Control": "private, no-store"}
    return HttpResponse(
        msgspec.json.encode(value), "application/json", headers=headers, status=status
    )
