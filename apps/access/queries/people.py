"""Who may see which system, and with which role."""

from __future__ import annotations

from typing import NamedTuple

from django.contrib.auth.models import AnonymousUser

from apps.access import roles
from apps.access.errors import NotAllowed, NotVisible
from apps.access.models import Membership, User
from apps.eventlog.places import Line
from apps.eventlog.queries import log


class Seat(NamedTuple):
    """A system a person may see, and their role in it."""

    line: Line
    role: str


class Member(NamedTuple):
    """A person of a system; `everywhere` marks the administrators of all systems."""

    user: User
    role: str
    everywhere: bool


def role_of(user: User | AnonymousUser, system_id: int) -> str:
    """Return the role a person has in a system; "" for none, and for whoever is not signed in."""
    if not isinstance(user, User) or not user.is_active:
        return ""
    if user.is_superuser:
        return "admin"
    found = Membership.objects.filter(user=user, system_id=system_id).values_list("role", flat=True)
    return found.first() or ""


def require(user: User | AnonymousUser, system_id: int, *, role: str = "viewer") -> str:
    """Return the role a person has in a system, if it includes `role`.

    raises  NotVisible for whoever is no member: they may not learn that the system exists
            NotAllowed for a member whose role is too low
    """
    has = role_of(user, system_id)
    if not has:
        raise NotVisible
    if not roles.includes(has, role):
        raise NotAllowed(needed=role, role=has)
    return has


def systems_of(user: User | AnonymousUser) -> list[Seat]:
    """Return the systems a person may see, by slug."""
    if not isinstance(user, User) or not user.is_active:
        return []
    if user.is_superuser:
        return [Seat(line, "admin") for line in log.lines()]
    held = dict(Membership.objects.filter(user=user).values_list("system_id", "role"))
    return [Seat(line, held[line.system]) for line in log.lines() if line.system in held]


def members_of(system_id: int) -> list[Member]:
    """Return who may see a system, by name; the administrators of all systems among them."""
    held = Membership.objects.filter(system_id=system_id).select_related("user")
    members = [Member(m.user, m.role, False) for m in held if not m.user.is_superuser]
    members += [Member(u, "admin", True) for u in User.objects.filter(is_superuser=True)]
    return sorted(members, key=lambda member: member.user.username)


def user_named(username: str) -> User | None:
    """Return the person of this name, None where there is none."""
    return User.objects.filter(username=username).first()
