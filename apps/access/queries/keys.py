"""Which key this is, what it opens, and which keys a system has."""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.db import DatabaseError, connection, connections

from apps.access import tokens
from apps.access.errors import BadKey, WrongScope
from apps.access.models import ApiKey
from apps.access.roles import covered
from apps.eventlog.errors import LogUnavailable
from apps.eventlog.queries import log

logger = logging.getLogger(__name__)

REMEMBERED_S = 3.0  # a revoked key works this much longer in another process; promised are 5
CAPACITY = 4096  # keys remembered, so that guesses cannot fill the memory
USED_EVERY = timedelta(minutes=1)


class KeyGrant(NamedTuple):
    """What a key opens: one system, at its original timeline, for these scopes."""

    key_id: int
    system: str
    timeline: int
    scopes: frozenset[str]  # with those they include: write holds read
    system_id: int
    name: str


class _Known(NamedTuple):
    """A grant as of `at`, or None for a key that opens nothing."""

    at: float
    grant: KeyGrant | None
    expires_at: datetime | None = None


_known: dict[str, _Known] = {}
_touching = threading.Lock()


def authenticate(bearer: str, *, scope: str) -> KeyGrant:
    """Return what the key `bearer` opens, if it may do `scope`.

    Remembered for seconds, so that most calls do not touch the database; a key revoked elsewhere
    is refused within 5 s.
    raises  BadKey, WrongScope, LogUnavailable when the database cannot be asked
    """
    if not tokens.is_key(bearer):
        raise BadKey
    digest = tokens.digest(bearer)
    known = _remembered(digest) or _remember(digest, _look_up(bearer[: tokens.PREFIX], digest))
    return _checked(known, scope)


def recall(bearer: str, *, scope: str) -> KeyGrant | None:
    """Return what `authenticate` would, or None where that would have to ask the database.

    For callers on an event loop: they go to a thread only when this returns None.
    raises  BadKey, WrongScope
    """
    if not tokens.is_key(bearer):
        raise BadKey
    return remembered(tokens.digest(bearer), scope=scope)


def remembered(digest: str, *, scope: str) -> KeyGrant | None:
    """Return what `recall` would for the key of a digest (`tokens.digest`); raises as it does."""
    known = _remembered(digest)
    return _checked(known, scope) if known else None


def forget(digest: str = "") -> None:
    """Drop what this process remembers of one key, or of all."""
    if digest:
        _known.pop(digest, None)
    else:
        _known.clear()


def keys_of(system_id: int) -> list[ApiKey]:
    """Return the keys of a system, newest first, revoked and expired ones too."""
    return list(
        ApiKey.objects.filter(system_id=system_id).select_related("created_by").order_by("-id")
    )


def _remembered(digest: str) -> _Known | None:
    known = _known.get(digest)
    return known if known and time.monotonic() - known.at < REMEMBERED_S else None


def _remember(digest: str, known: _Known) -> _Known:
    if len(_known) >= CAPACITY:
        _known.clear()
    _known[digest] = known
    return known


def _checked(known: _Known, scope: str) -> KeyGrant:
    grant = known.grant
    if grant is None or (known.expires_at and known.expires_at <= datetime.now(UTC)):
        raise BadKey
    if scope not in grant.scopes:
        raise WrongScope(needed=scope, scopes=grant.scopes)
    return grant


def _look_up(prefix: str, digest: str) -> _Known:
    at = time.monotonic()  # before the reading, or a revocation during it would be seen late
    try:
        # By prefix, and compared here in constant time: an index on the hash would answer sooner
        # for a guess that shares its beginning.
        rows = ApiKey.objects.filter(prefix=prefix, revoked_at=None)
        row = next((row for row in rows if hmac.compare_digest(row.hash, digest)), None)
        lines = {line.system: line for line in log.lines()} if row else {}
    except DatabaseError as error:
        raise LogUnavailable("The database cannot be read now. Wait and retry.") from error
    if row is None or row.system_id not in lines:
        return _Known(at, None)
    _note_use(row)
    line = lines[row.system_id]
    scopes = covered(row.scopes.split())
    grant = KeyGrant(row.pk, line.slug, line.timeline, scopes, row.system_id, row.name)
    return _Known(at, grant, row.expires_at)


def _note_use(row: ApiKey) -> None:
    """Write down that the key was used, at most once a minute and never in the caller's time.

    The write may have to wait for a long append, and the caller is a request. Within a caller's
    transaction it is done at once: another connection could not see the key yet.
    """
    now = datetime.now(UTC)
    if row.last_used_at and now - row.last_used_at < USED_EVERY:
        return
    if connection.in_atomic_block:
        _touch(row.pk, now)
    elif _touching.acquire(blocking=False):
        threading.Thread(target=_apart, args=(_touch, row.pk, now), daemon=True).start()


def _apart(touch: Callable[[int, datetime], None], key_id: int, now: datetime) -> None:
    try:
        touch(key_id, now)
    except DatabaseError as error:
        logger.warning("The last use of key %s could not be written: %s", key_id, error)
    finally:
        connections.close_all()
        _touching.release()


def _touch(key_id: int, now: datetime) -> None:
    ApiKey.objects.filter(pk=key_id).update(last_used_at=now)
