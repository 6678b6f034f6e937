"""Sign-in links: made at the console, used once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import transaction

from apps.access import tokens
from apps.access.actor import Actor
from apps.access.commands.trail import note
from apps.access.errors import BadLink, Refused
from apps.access.models import SignInLink, User

LASTS = timedelta(minutes=15)


@transaction.atomic
def make_link(user: User, *, by: Actor) -> str:
    """Return a token that signs `user` in, once, within 15 minutes.

    raises  Refused for a person who is locked out
    """
    if not user.is_active:
        raise Refused(f"User {user.username!r} is locked out and cannot sign in.")
    token = tokens.new_link()
    SignInLink.objects.create(
        user=user, hash=tokens.digest(token), expires_at=datetime.now(UTC) + LASTS
    )
    note(by, "made sign-in link", user.username)
    return token


@transaction.atomic
def redeem_link(token: str, *, ip: str) -> User:
    """Return the person a token signs in, and use it up.

    raises  BadLink; the same for a token that is unknown, used, expired, or of one locked out
    """
    if not tokens.is_link(token):
        raise BadLink
    now = datetime.now(UTC)
    link = SignInLink.objects.filter(hash=tokens.digest(token))
    # One statement decides, so that of two who open the link at once only one gets in. Without a
    # join: PostgreSQL would look at the joined rows as they were before the other one's update.
    if not link.filter(used_at=None, expires_at__gt=now).update(used_at=now):
        raise BadLink
    user = link.select_related("user").get().user
    if not user.is_active:
        raise BadLink
    note(Actor(user.username, user.pk, ip), "signed in by link", user.username)
    return user


@transaction.atomic
def revoke_links(user: User, *, by: Actor) -> int:
    """Make every unused link of a person void; return how many there were."""
    gone, _ = SignInLink.objects.filter(user=user, used_at=None).delete()
    note(by, "revoked sign-in links", user.username)
    return gone
