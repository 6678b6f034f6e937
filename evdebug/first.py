"""What a start needs to find in the database, made where it is missing."""

from __future__ import annotations

from apps.access.actor import Actor
from apps.access.commands.keys import create_key, renew_key
from apps.access.commands.links import make_link
from apps.access.commands.people import create_user
from apps.access.commands.systems import create_system
from apps.access.models import User
from apps.access.queries.keys import keys_of
from apps.access.queries.people import user_named
from apps.eventlog.errors import UnknownSystem
from apps.eventlog.places import Line
from apps.eventlog.queries import log

START = Actor("up")
ADMIN = "admin"
FIRST_KEY, SHOP_KEY = "first steps", "demo shop"  # the names of the keys a start makes


def system(slug: str) -> Line:
    """Return the system of this name, made if it is not there."""
    try:
        return log.line(slug)
    except UnknownSystem:
        return create_system(slug, by=START)


def link() -> str:
    """Return a fresh sign-in token for the administrator, who is made if not there.

    Without a password: whoever may start evdebug gets in by the link and can set one.
    raises  Refused when somebody locked the administrator out
    """
    return make_link(_administrator(), by=START)


def _administrator() -> User:
    return user_named(ADMIN) or create_user(ADMIN, by=START, everywhere=True)


def first_key(line: Line) -> str:
    """Return a key to send the first events to a system with; "" once any system has events.

    A secret cannot be shown twice, so each start makes one; the one before is void, if nobody
    used it.
    """
    if any(each.head for each in log.lines()):
        return ""
    return _key(line, FIRST_KEY, "ingest", keep_used=True)


def shop_key(line: Line) -> str:
    """Return a key for the demo shop of this start; that of the start before is void."""
    return _key(line, SHOP_KEY, "ingest", "read", keep_used=False)


def _key(line: Line, name: str, *scopes: str, keep_used: bool) -> str:
    for key in keys_of(line.system):
        is_ours = key.name == name and key.created_by is None and key.revoked_at is None
        if is_ours and not (keep_used and key.last_used_at):
            return renew_key(key.pk, by=START).secret
    return create_key(line.system, scopes=scopes, name=name, by=START).secret
