"""What the edits of a sandbox do to states, before a run, where no handler has a say in it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from functools import partial
from typing import Any

from django.conf import settings

from apps.eventlog.places import Line
from apps.projections.diff import changes, jsonable
from apps.sandbox import edits as recipes
from apps.sandbox.models import Fork
from apps.sandbox.queries import recordings
from apps.sandbox.switching import Switching

COVERED = 20_000  # entries that are read for it
KEPT, CHANGES, STREAMS = 2, 50, 40
_kept: OrderedDict[tuple[int, bool], Switching] = OrderedDict()
_lock = threading.Lock()


def preview(line: Line, fork: Fork) -> list[tuple[str, list[dict[str, Any]]]] | None:
    """Return what differs at the end by entity, None where only a run can tell.

    The history is read once; after that a switch costs the streams it touches.
    """
    on = [edit for edit in recipes.read(fork.edits) if edit.on]
    if not on or settings.CODE or any(fork.code.values()) or fork.until - fork.base > COVERED:
        return None
    with _lock:
        switching = _switching(line, fork)
        found = {s: (switching.recorded(s), state) for s, state in switching.states(on).items()}
    steps = ((s, changes(then, here)) for s, (then, here) in list(found.items())[:STREAMS])
    return [(s, [jsonable(step) for step in some[:CHANGES]]) for s, some in steps if some]


def _switching(line: Line, fork: Fork) -> Switching:
    key = fork.pk, bool(fork.options.get("drop_orphans"))
    if key not in _kept:
        recording = recordings.recording(line, base=fork.base, until=fork.until, handlers={})
        before = partial(recordings.before, line, base=fork.base)
        _kept[key] = Switching(recording, before, drop_orphans=key[1])
    _kept.move_to_end(key)
    while len(_kept) > KEPT:
        _kept.popitem(last=False)
    return _kept[key]
