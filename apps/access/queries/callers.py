"""Who asks, be it a person's session or a program's key, and what they may see."""

from __future__ import annotations

from typing import NamedTuple

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest

from apps.access.actor import Actor
from apps.access.errors import BadKey, NotVisible, WrongScope
from apps.access.models import User
from apps.access.queries import keys, people
from apps.access.roles import SCOPE_FOR
from apps.eventlog.errors import UnknownSystem
from apps.eventlog.places import Line
from apps.eventlog.queries import log


class Caller(NamedTuple):
    """Whoever sent a request: a person, or a key. Neither means nobody is signed in."""

    user: User | None = None
    key: keys.KeyGrant | None = None

    def __bool__(self) -> bool:
        return bool(self.user or self.key)


def caller(request: HttpRequest, *, scope: str = "read") -> Caller:
    """Return who asks. A request with an Authorization header is judged by that alone.

    scope   what a key must be good for
    raises  BadKey, WrongScope, LogUnavailable as `keys.authenticate`
    """
    bearer = bearer_of(request)
    if bearer is not None:
        return Caller(key=keys.authenticate(bearer, scope=scope))
    user = request.user
    return Caller(user=user if isinstance(user, User) and user.is_active else None)


def bearer_of(request: HttpRequest) -> str | None:
    """Return the bearer token of a request, "" for another kind of Authorization, None for none."""
    header = request.headers.get("Authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def line_for(
    request: HttpRequest, slug: str, *, role: str = "viewer", timeline: int | None = None
) -> Line:
    """Return a system's line if whoever asks may see it, and may do what `role` may.

    A key needs the scope that stands for the role; no key stands for an administrator.
    raises  BadKey when nobody is signed in or the key is not good
            NotVisible for a system the caller may not see, the same as for one there is not
            NotAllowed, WrongScope where the caller sees the system but may not do this
            UnknownTimeline for a timeline the system has not
    """
    who = caller(request, scope=SCOPE_FOR.get(role, "read"))
    if not who:
        raise BadKey
    try:
        if not slug.isascii() or not slug.isprintable():  # what a database may choke on
            raise NotVisible
        line = log.line(slug)
    except UnknownSystem:
        raise NotVisible from None
    if who.key:
        if who.key.system_id != line.system:
            raise NotVisible
        if role not in SCOPE_FOR:
            raise WrongScope(needed=role, scopes=who.key.scopes)
    else:
        people.require(who.user or AnonymousUser(), line.system, role=role)
    return line if timeline is None else log.line(slug, timeline=timeline)


def actor(request: HttpRequest) -> Actor:
    """Return who asks, as the trail names them."""
    ip = request.META.get("REMOTE_ADDR") or ""
    who = caller(request)
    if who.key:
        return Actor(f"key {who.key.key_id}", ip=ip)
    return Actor(who.user.username, who.user.pk, ip) if who.user else Actor("nobody", ip=ip)
