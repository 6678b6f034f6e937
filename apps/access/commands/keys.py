"""Making and revoking API keys."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import NamedTuple

from django.db import transaction

from apps.access import tokens
from apps.access.actor import Actor
from apps.access.commands.trail import note
from apps.access.errors import NotVisible, Refused
from apps.access.models import ApiKey
from apps.access.queries import keys
from apps.access.roles import SCOPES


class NewKey(NamedTuple):
    """A key just made. `secret` is shown to a person once and kept nowhere."""

    id: int
    secret: str


@transaction.atomic
def create_key(
    system_id: int,
    *,
    scopes: Collection[str],
    by: Actor,
    name: str = "",
    expires_at: datetime | None = None,
) -> NewKey:
    """Make a key for a system.

    name    1 to 100 characters, for people; "" takes the scopes' names
    raises  Refused for a scope there is not, none at all, a name too long, an expiry in the past
    """
    unknown = set(scopes) - set(SCOPES)
    if unknown or not scopes:
        found = ", ".join(sorted(unknown)) or "none"
        raise Refused(f"Scopes are {found}; expected one or more of {', '.join(SCOPES)}.")
    given = " ".join(scope for scope in SCOPES if scope in scopes)
    name = name.strip() or given
    if len(name) > 100 or not name.isprintable():
        raise Refused("A key's name is one line of at most 100 characters. Choose another.")
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise Refused(f"The key would have expired at {expires_at:%Y-%m-%d %H:%M} UTC already.")
    secret = tokens.new_key()
    key = ApiKey.objects.create(
        system_id=system_id,
        name=name,
        prefix=secret[: tokens.PREFIX],
        hash=tokens.digest(secret),
        scopes=given,
        created_by_id=by.user_id,
        expires_at=expires_at,
    )
    note(by, "created key", f"{key.pk} {key.prefix}… ({given})", system_id=system_id)
    return NewKey(key.pk, secret)


@transaction.atomic
def renew_key(key_id: int, *, by: Actor) -> NewKey:
    """Give a key another secret; the one before opens nothing, as after revoking.

    raises  NotVisible where there is no such key, or it is revoked
    """
    key = ApiKey.objects.select_for_update().filter(pk=key_id, revoked_at=None).first()
    if key is None:
        raise NotVisible
    before, secret = key.hash, tokens.new_key()
    key.prefix, key.hash = secret[: tokens.PREFIX], tokens.digest(secret)
    key.last_used_at = None
    key.save(update_fields=["prefix", "hash", "last_used_at"])
    note(by, "renewed key", f"{key.pk} {key.prefix}… ({key.scopes})", system_id=key.system_id)
    transaction.on_commit(lambda: keys.forget(before))
    return NewKey(key.pk, secret)


@transaction.atomic
def revoke_key(key_id: int, *, by: Actor, system_id: int | None = None) -> None:
    """Make a key open nothing: here at once, in other processes within 5 s. May be called twice.

    system_id  the only system the caller may change; None for whoever may change all
    raises     NotVisible where there is no such key
    """
    rows = ApiKey.objects.select_for_update().filter(pk=key_id)
    key = rows.filter(system_id=system_id).first() if system_id is not None else rows.first()
    if key is None:
        raise NotVisible
    if key.revoked_at is None:
        key.revoked_at = datetime.now(UTC)
        key.save(update_fields=["revoked_at"])
        note(by, "revoked key", f"{key.pk} {key.prefix}…", system_id=key.system_id)
    digest = key.hash
    transaction.on_commit(lambda: keys.forget(digest))
