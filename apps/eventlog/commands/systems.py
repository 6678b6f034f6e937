"""Making systems and forks."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from apps.eventlog.errors import EventLogError
from apps.eventlog.models import System, Timeline
from apps.eventlog.places import Line
from apps.eventlog.queries import log


class BadSystem(EventLogError):
    """A system cannot have this slug: choose another."""

    code = "bad_system"


def create_system(slug: str, *, name: str = "") -> Line:
    """Make a system with an empty original timeline and return it.

    raises  BadSystem for a slug that is taken or is not lower-case letters, digits and '-'
    """
    system = System(slug=slug, name=name[:255])
    try:
        system.clean_fields(exclude=["name"])
        with transaction.atomic():
            system.save()
            Timeline.objects.create(system=system)
    except ValidationError as error:
        raise BadSystem(
            f"{slug!r} cannot be a system's name: lower-case letters, digits and '-', "
            "at most 63 characters, starting with a letter or digit."
        ) from error
    except IntegrityError as error:
        raise BadSystem(f"There is a system {slug!r} already. Choose another name.") from error
    return log.line(slug)


def fork(line: Line, *, base: int, name: str = "") -> Line:
    """Make a timeline that shares `line`'s past up to `base` and return it; nothing is copied.

    raises  EventLogError for a base the line does not reach
    """
    if not 0 <= base <= line.head:
        raise EventLogError(
            f"A fork's base must be between 0 and the head #{line.head}, not {base}."
        )
    at = log.time_at(line, base)
    made = Timeline.objects.create(
        system_id=line.system, parent_id=line.timeline, name=name, base=base, head=base, log_time=at
    )
    return log.line(line.slug, timeline=made.pk)
