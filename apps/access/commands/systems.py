"""Making systems, with the trail, and under names the addresses can tell apart."""

from __future__ import annotations

from django.db import transaction

from apps.access.actor import Actor
from apps.access.commands.trail import note
from apps.access.errors import Refused
from apps.eventlog.commands import systems
from apps.eventlog.places import Line

# First parts of addresses that mean something else: /api/events could not be a system's page.
TAKEN = frozenset(
    {"account", "admin", "api", "healthz", "keyboard", "metrics", "readyz", "signin", "signout"}
    | {"static", "v1", "welcome", "ws"}
)


@transaction.atomic
def create_system(slug: str, *, by: Actor, name: str = "") -> Line:
    """Make a system and return its line. Administrators of all systems see it at once.

    raises  Refused for a name the addresses need, EventLogError for one that is taken or unusable
    """
    if slug in TAKEN:
        raise Refused(f"{slug!r} means something else in addresses. Choose another name.")
    line = systems.create_system(slug, name=name)
    note(by, "created system", line.slug, system_id=line.system)
    return line
