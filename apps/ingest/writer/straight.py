"""Requests that came whole, from the connection straight to the writer and back.

Most requests are one small event each. A coroutine, a task and a future for each of them cost more
than reading the event does; here a request is a callback. It is answered as `door.application`
would answer it: what is out of the ordinary, before its body is looked at, is left to that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

from django.conf import settings

from apps.access import tokens
from apps.access.errors import AccessError
from apps.access.queries import keys
from apps.ingest import answers, bodies, decode, door, figures, marks, media
from apps.ingest.failpoints import reached
from apps.ingest.jobs import Job, Stored
from apps.ingest.problems import Refused
from apps.ingest.writer import queue

logger = logging.getLogger(__name__)

Tell = Callable[[int, answers.Headers, bytes], None]
JSON = [(b"content-type", b"application/json")]
LARGEST = min(door.IN_A_THREAD, settings.MAX_BODY)


class Head(Protocol):
    """A request's head; equal heads are the same object, for which `plan` is kept."""

    scope: dict[str, Any]
    plan: Any


class Plan(NamedTuple):
    """What the head of a request leaves to be done."""

    key: str  # its digest
    door: door.Door
    mode: media.Mode
    headers: answers.Headers


def at_once(head: Head, body: bytes, tell: Tell) -> bool:
    """Begin to answer a request; False where only `door.application` can, and nothing is done."""
    plan: Plan | bool | None = head.plan
    if plan is None:
        plan = head.plan = _plan(head.scope) or False
    if not isinstance(plan, Plan) or not 0 < len(body) <= LARGEST or marks.NAME in body:
        return False
    try:
        grant = keys.remembered(plan.key, scope="ingest")
    except AccessError:
        return False
    if grant is None:
        return False
    try:
        door.RATES.take(grant.key_id)
        queue.check()
        reached("received")
        found = door.decoded(body, plan.mode, plan.headers, plan.door)
        loop = asyncio.get_running_loop()
        events = found.sound()
        if any(map(marks.is_marked, events)):
            return False  # its name was hidden in escapes
        job = Job(grant.timeline, events, partial(_stored, tell, found), (), loop)
        queue.current().submit(job)
    except Refused as refused:
        _tell(tell, answers.bad(refused))
    return True


def _plan(scope: dict[str, Any]) -> Plan | None:
    """Return what equal heads have in common; None where each must be looked at."""
    way = door.DOORS.get(scope["path"])
    if way is None or scope["method"] != "POST":
        return None
    said = door.Said(scope["headers"])
    try:
        bearer = door.bearer_of(said.keys)
        mode = media.mode(way.is_report, tuple(said.types), said.attributes, empty=False)
        plain = bodies.decoder(said.encodings) is bodies.PLAIN
    except (AccessError, Refused):
        return None
    marked = said.mark or any(marks.NAME in name for name, _ in said.headers)
    if marked or mode == "lines" or not plain or not tokens.is_key(bearer):
        return None
    return Plan(tokens.digest(bearer), way, mode, said.headers)


def _stored(tell: Tell, found: decode.Decoded, outcome: Stored | Exception) -> None:
    """Answer with what became of a request's events. Never fails: its neighbours wait for it."""
    try:
        if isinstance(outcome, Exception):
            raise outcome
        report = answers.report_on(found, outcome)
        figures.taken(report)
        _tell(tell, answers.good(report))
    except Refused as refused:
        _tell(tell, answers.bad(refused))
    except Exception:
        logger.exception("A request could not be answered")
        _tell(tell, answers.bad(queue.UNKNOWN))


def _tell(tell: Tell, answer: tuple[int, answers.Headers, bytes]) -> None:
    status, headers, body = answer
    figures.answered(status)
    tell(status, JSON + headers if headers else JSON, body)
