"""Adding taps and changing what they do. Whoever runs one notices by its fence."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence

import msgspec
from django.conf import settings as django
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F

from apps.access.actor import Actor
from apps.access.commands.trail import note
from apps.access.outbound import Forbidden
from apps.eventlog.places import Line
from apps.ingest import buses, shaping, vault
from apps.ingest.connector import BadSettings, Connector, Cursor, Refused, Setting, Surroundings
from apps.ingest.decode import Limits
from apps.ingest.models import Leaving, Span, Tap, Unplaced
from apps.ingest.problems import shown
from apps.ingest.records import Form
from apps.ingest.redact import Redactor

SEALED = "sealed"  # the one lane of a cursor that is not stored as it is
LEAVE_US = 3_000_000  # until then whoever runs a tap has noticed that it is no more
NAME = (
    "lower-case letters, digits, '-' and '_', at most 63, starting with a letter or digit"
)  # fmt: skip


def add(
    line: Line, name: str, bus: str, settings: Mapping[str, str], *, by: Actor, wanted: bool = True
) -> Tap:
    """Make a tap of a system and return it.  raises  BadSettings"""
    validate(line, name, bus, settings)
    tap = Tap(
        system=line.system, timeline=line.timeline, name=name, bus=bus, wanted=wanted,
        sealed=vault.seal(django.SECRET_KEY, settings), created_at=_now(),
        state="new" if wanted else "stopped", identity=secrets.token_hex(6),
    )  # fmt: skip
    try:
        Tap._meta.get_field("name").clean(name, tap)
    except ValidationError:
        raise BadSettings(f"{shown(name)} is no name for a tap: {NAME}.") from None
    try:
        with transaction.atomic():
            tap.save()
            note(by, "tap.add", f"{name} ({bus})", system_id=line.system)
    except IntegrityError:
        raise BadSettings(f"There is a tap {shown(name)} already. Choose another name.") from None
    return tap


def change(line: Line, tap: Tap, settings: Mapping[str, str], *, by: Actor) -> None:
    """Give a tap other settings; what was shown hidden stays as it is.  raises  BadSettings"""
    known = [*buses.connector_class(tap.bus).settings, *shaping.COMMON]
    before = settings_of(tap)
    merged = vault.kept(known, settings, before)
    validate(line, tap.name, tap.bus, merged)
    fields: dict[str, object] = {"sealed": vault.seal(django.SECRET_KEY, merged)}
    moved = vault.without_password(before.get("url", "")) != vault.without_password(
        merged.get("url", "")
    )
    with transaction.atomic():
        if moved:
            _leave(tap)
            fields["identity"] = secrets.token_hex(6)
        _interrupt(tap, state="new", said="", **fields)
        note(by, "tap.change", tap.name, system_id=tap.system)


def start(tap: Tap, *, by: Actor) -> None:
    """Have a tap run."""
    with transaction.atomic():
        _interrupt(tap, wanted=True, state="new", said="")
        note(by, "tap.start", tap.name, system_id=tap.system)


def stop(tap: Tap, *, by: Actor) -> None:
    """Have a tap rest where it is."""
    with transaction.atomic():
        _interrupt(tap, wanted=False, state="stopped", said=f"Stopped by {by.name}.", rate=0,
                   said_at=_now())  # fmt: skip
        note(by, "tap.stop", tap.name, system_id=tap.system)


def rewind(line: Line, tap: Tap, to: str, *, by: Actor) -> None:
    """Have a tap read again from a moment; what is stored already is counted as duplicates.

    raises  BadSettings where the bus cannot, or for a moment it does not know
    """
    settings = settings_of(tap)
    if not rewinds(tap, settings):
        raise BadSettings("What this tap listens to keeps nothing that could be read again.")
    settings |= {"start": to}
    validate(line, tap.name, tap.bus, settings)
    armed = arming(tap.bus)  # what costs the bus so much does not begin anew by the way
    kept = {k: v for k, v in cursor_of(tap).items() if armed is not None and k == armed.name}
    with transaction.atomic():
        _interrupt(
            tap, cursor=msgspec.json.encode(kept).decode(),
            sealed=vault.seal(django.SECRET_KEY, settings),
        )  # fmt: skip
        note(by, "tap.rewind", f"{tap.name} to {to}", system_id=tap.system)


def rewinds(tap: Tap, settings: Mapping[str, str]) -> bool:
    """Return whether what a tap listens to can be read again.  raises  BadSettings"""
    known = {s.name for s in buses.connector_class(tap.bus).settings}
    return "start" in known and bool(getattr(connector(tap, settings), "rewinds", True))


def arm(line: Line, tap: Tap, minutes: str, *, by: Actor) -> None:
    """Begin a tap's costly recording anew for so many minutes; "0" ends it now.

    raises  BadSettings where the bus has none, or for minutes that cannot be
    """
    setting = arming(tap.bus)
    if setting is None:
        raise BadSettings("This bus has nothing to arm.")
    if not minutes:
        raise BadSettings("For how many minutes? 0 ends it now.")
    settings = settings_of(tap) | {setting.name: minutes}
    validate(line, tap.name, tap.bus, settings)
    left = {lane: place for lane, place in cursor_of(tap).items() if lane != setting.name}
    with transaction.atomic():
        _interrupt(
            tap, cursor=msgspec.json.encode(left).decode(),
            sealed=vault.seal(django.SECRET_KEY, settings),
        )  # fmt: skip
        note(by, "tap.arm", f"{tap.name} for {minutes} min", system_id=tap.system)


def arming(bus: str) -> Setting | None:
    """Return the setting of a bus's costly recording, None where it has none."""
    return next((s for s in buses.connector_class(bus).settings if s.kind == "minutes"), None)


def remove(tap: Tap, *, by: Actor) -> None:
    """Remove a tap. Its events and rejects stay; what it has on the bus goes."""
    with transaction.atomic():
        _leave(tap)
        Span.objects.filter(tap=tap.pk).delete()
        Unplaced.objects.filter(tap=tap.pk).delete()
        note(by, "tap.remove", tap.name, system_id=tap.system)
        Tap.objects.filter(pk=tap.pk).delete()


def _leave(tap: Tap) -> None:
    """Have taken away what a tap has on its bus; `leaving.py` does it."""
    if hasattr(buses.connector_class(tap.bus), "leave"):
        now = _now()
        Leaving.objects.create(
            name=alias(tap), bus=tap.bus, sealed=bytes(tap.sealed), since=now, due=now + LEAVE_US
        )


def alias(tap: Tap) -> str:
    """Return the name by which a bus knows a tap: that of no other tap, of no other evdebug."""
    return f"{tap.name}-{tap.identity or tap.system}"


def _interrupt(tap: Tap, **fields: object) -> None:
    """Change a tap and take it from whoever runs it."""
    Tap.objects.filter(pk=tap.pk).update(fence=F("fence") + 1, lease_until=0, owner="", **fields)
    tap.refresh_from_db()


def settings_of(tap: Tap) -> dict[str, str]:
    """Return a tap's settings in full.  raises  BadSettings where the key is another now"""
    return vault.unseal(django.SECRET_KEY, bytes(tap.sealed))


def kept(known: Sequence[Setting], new: Mapping[str, str], tap: Tap) -> dict[str, str]:
    """Return new settings in which what was shown hidden is what the tap has.

    raises  BadSettings where the tap's own cannot be read
    """
    return vault.kept(known, new, settings_of(tap))


def cursor_of(tap: Tap) -> Cursor:
    """Return where a tap stands."""
    cursor = msgspec.json.decode(tap.cursor, type=dict[str, str])
    if SEALED in cursor:
        return vault.unseal(django.SECRET_KEY, cursor[SEALED].encode())
    return cursor


def shown_cursor(tap: Tap) -> list[tuple[str, str]]:
    """Return the lanes of a tap's cursor as they may be shown; none where they are sealed."""
    cursor = msgspec.json.decode(tap.cursor, type=dict[str, str])
    return [] if SEALED in cursor else sorted(cursor.items())


def kept_cursor(cursor: Cursor, redactor: Redactor) -> str:
    """Return a cursor as it is stored: sealed where names in it, as of an event, are redacted."""
    text = msgspec.json.encode(dict(cursor)).decode()
    if not redactor or redactor.text(text) == text:
        return text
    sealed = vault.seal(django.SECRET_KEY, cursor).decode()
    return msgspec.json.encode({SEALED: sealed}).decode()


def around(name: str) -> Surroundings:
    """Return what connectors of this process may use."""
    return Surroundings(name=name, reach=_reach, may_read=_may_read)


def _reach(host: str, port: int) -> list[str]:
    try:
        return list(django.REACH.addresses(host, port))
    except Forbidden as forbidden:
        raise Refused(str(forbidden)) from None


def _may_read(path: str) -> bool:
    """Return whether a tap may read a file: ours hold keys, and who reaches us from elsewhere
    must not read this machine's."""
    data = str(django.DATA_DIR.resolve())
    return bool(django.REACH.local) and path != data and not path.startswith(f"{data}/")


def connector(tap: Tap, settings: Mapping[str, str]) -> Connector:
    """Return a tap's connector, not connected.  raises  BadSettings"""
    return buses.connector(tap.bus, shaping.split(settings)[0], around(alias(tap)))


def unsaved(system: int, name: str, bus: str, settings: Mapping[str, str]) -> Connector:
    """Return the connector of a tap that may not be there yet.  raises  BadSettings"""
    return buses.connector(bus, shaping.split(settings)[0], around(f"{name}-{system}"))


def form(system: int, name: str, settings: Mapping[str, str]) -> Form:
    """Return how a tap reads its records.  raises  BadSettings"""
    return shaping.form(
        name, shaping.split(settings)[1],
        key=vault.key_for(django.SECRET_KEY, f"redaction of {system}"),
        limits=Limits(event=django.MAX_EVENT), around=around(name),
    )  # fmt: skip


def validate(line: Line, name: str, bus: str, settings: Mapping[str, str]) -> None:
    """Raise BadSettings where a tap with these settings could not run."""
    unsaved(line.system, name, bus, settings)
    form(line.system, name, settings)


def _now() -> int:
    return time.time_ns() // 1000
