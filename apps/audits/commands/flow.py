"""Adding and removing rules of flows."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from apps.access.actor import Actor
from apps.access.commands.trail import note
from apps.access.errors import NotVisible
from apps.audits.models import Flow
from apps.audits.stuck import BadFlow, Rule
from apps.eventlog.places import Line

MOST = 50  # of one system


def add(line: Line, rule: Rule, *, by: Actor) -> Flow:
    """Have a system's flows looked at for a rule.

    raises  BadFlow for one too many, or one there is already
    """
    if Flow.objects.filter(system=line.system).count() >= MOST:
        raise BadFlow(f"There are {MOST} rules, which is the most. Remove one first.")
    row = Flow(
        system=line.system, begins=rule.begins, ends=list(rule.ends), within=rule.within,
        by=rule.by, digest=rule.digest,
    )  # fmt: skip
    try:
        with transaction.atomic():
            row.save()
            note(by, "flow.add", str(row), system_id=line.system)
    except IntegrityError:
        raise BadFlow("There is that rule already.") from None
    return row


def remove(line: Line, number: int, *, by: Actor) -> None:
    """Remove a rule.  raises  NotVisible where the system has none of that number"""
    with transaction.atomic():
        found = Flow.objects.filter(system=line.system, pk=number).first()
        if found is None:
            raise NotVisible
        note(by, "flow.remove", str(found), system_id=line.system)
        found.delete()
