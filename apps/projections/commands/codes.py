"""Keeping reducers that were typed in the browser."""

from __future__ import annotations

import hashlib
import re

from django.db import transaction

from apps.eventlog.places import Line
from apps.projections import typed
from apps.projections.errors import BadCode
from apps.projections.models import Code

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,59}")
PATTERNS, MOST = 20, 100  # of one projection; projections of one system


def keep_code(line: Line, name: str, source: str, *, streams: str, owner: int) -> Code:
    """Keep a reducer under a name; what it was before stays usable by its fingerprint.

    source   Python with a function `reducer(state, event)`
    streams  which streams feed it: names, or beginnings that end with *, between spaces
    raises   BadCode with the line that is wrong
    """
    patterns = streams.split()
    if not NAME.fullmatch(name) or name == "merge":
        raise BadCode("A name has small letters, digits, dots and dashes, and is not 'merge'.")
    if not patterns or len(patterns) > PATTERNS:
        raise BadCode(f"Say which streams feed it, such as order-*; at most {PATTERNS}.")
    if Code.objects.filter(system=line.system, current=True).exclude(name=name).count() >= MOST:
        raise BadCode(f"There are {MOST} projections already.")
    try:
        typed.check(source, "reducer")
    except typed.BadCode as bad:
        raise BadCode(bad.text, line=bad.line) from bad
    digest = hashlib.sha256("\0".join([name, *patterns, source]).encode()).hexdigest()
    with transaction.atomic():
        Code.objects.filter(system=line.system, name=name).update(current=False)
        kept, _ = Code.objects.update_or_create(
            system=line.system, fingerprint=f"{name}@{digest[:12]}",
            defaults={"name": name, "streams": patterns, "source": source, "current": True,
                      "owner": owner},
        )  # fmt: skip
    return kept


def retire_code(line: Line, name: str) -> None:
    """Offer a typed projection no more; its versions stay usable by their fingerprints."""
    Code.objects.filter(system=line.system, name=name).update(current=False)
