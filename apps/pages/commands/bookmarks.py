"""Keeping moments and queries under a name."""

from __future__ import annotations

from django.db import transaction

from apps.access.actor import Actor
from apps.access.commands.trail import note
from apps.access.errors import NotAllowed, NotVisible, Refused
from apps.access.roles import includes
from apps.eventlog.errors import QueryError
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.eventlog.query import parse
from apps.pages.models import Bookmark, SavedQuery

NAME_MAX = 200
MOST = 1000  # kept by one person in one system, of each kind


@transaction.atomic
def keep_moment(
    line: Line, position: int, *, name: str, shared: bool, by: Actor, role: str
) -> Bookmark:
    """Keep a moment of a line under a name.

    raises  Refused for a name that is empty or too long, a position the line has not, too many
            NotAllowed where the role may not share
    """
    if not 1 <= position <= line.head:
        raise Refused(f"There is no position {position}; the newest is {line.head}.")
    _may_share(shared, role)
    _room(Bookmark.objects.filter(system_id=line.system, made_by_id=by.user_id).count())
    made = Bookmark.objects.create(
        system_id=line.system,
        timeline_id=line.timeline,
        position=position,
        time=log.time_at(line, position) or 0,
        name=_named(name),
        shared=shared,
        made_by_id=by.user_id,
    )
    if shared:
        note(by, "shared moment", f"#{position} {made.name}", system_id=line.system)
    return made


@transaction.atomic
def keep_query(
    line: Line, text: str, *, name: str, columns: list[str], shared: bool, by: Actor, role: str
) -> SavedQuery:
    """Keep a query under a name.

    raises  Refused for a name that is empty or too long, a text that cannot be read, too many
            NotAllowed where the role may not share
    """
    try:
        parse(text)
    except QueryError as error:
        raise Refused(f"Column {error.column + 1}: {error.message}") from error
    _may_share(shared, role)
    _room(SavedQuery.objects.filter(system_id=line.system, made_by_id=by.user_id).count())
    made = SavedQuery.objects.create(
        system_id=line.system,
        name=_named(name),
        text=text.strip(),
        columns=columns,
        shared=shared,
        made_by_id=by.user_id,
    )
    if shared:
        note(by, "shared query", made.name, system_id=line.system)
    return made


@transaction.atomic
def change(kept: Bookmark | SavedQuery, *, name: str, shared: bool, by: Actor, role: str) -> None:
    """Rename what is kept, and share it or take it back.

    raises  as `keep_moment`; NotAllowed for what another person shared, unless an administrator
    """
    _may_change(kept, by, role)
    if shared and not kept.shared:
        _may_share(shared, role)
    kept.name, kept.shared = _named(name), shared
    kept.save(update_fields=["name", "shared"])


@transaction.atomic
def drop(kept: Bookmark | SavedQuery, *, by: Actor, role: str) -> None:
    """Delete what is kept. raises NotAllowed for another person's, unless an administrator."""
    _may_change(kept, by, role)
    if kept.shared:
        note(by, "deleted", f"{kept._meta.verbose_name} {kept.name}", system_id=kept.system_id)
    kept.delete()


def _may_change(kept: Bookmark | SavedQuery, by: Actor, role: str) -> None:
    if kept.made_by_id == by.user_id:
        return
    if not kept.shared:
        raise NotVisible
    if not includes(role, "admin"):
        raise NotAllowed(needed="admin", role=role)


def _may_share(shared: bool, role: str) -> None:
    if shared and not includes(role, "debugger"):
        raise NotAllowed(needed="debugger", role=role)


def _named(name: str) -> str:
    name = " ".join(name.split())
    if not name or "\0" in name:
        raise Refused("A name is missing. Say in a few words what there is to see.")
    if len(name) > NAME_MAX:
        raise Refused(f"The name has {len(name)} characters; {NAME_MAX} are the most.")
    return name


def _room(held: int) -> None:
    if held >= MOST:
        raise Refused(f"You keep {held} of these already, the most there may be. Delete some.")
