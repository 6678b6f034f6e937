"""Making sandboxes and changing their recipes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from apps.eventlog.commands.systems import fork as fork_line
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.projections.errors import BadExpression
from apps.projections.queries.finding import read_expression
from apps.sandbox import edits as recipes
from apps.sandbox import nuls
from apps.sandbox.answers import POLICIES
from apps.sandbox.commands.prepare import FAULTS
from apps.sandbox.edits import BadEdit
from apps.sandbox.errors import BadRecipe, NotNow
from apps.sandbox.models import CHECKS, REPLAYS, Fork, Run
from apps.sandbox.queries import code as codes
from apps.sandbox.queries import targets
from apps.sandbox.queries.recordings import bounded

STUBS = 100
SPEEDS = ("fast", "recorded", "step")


def create(
    line: Line, *, base: int, until: int | None = None, name: str = "", edits: Sequence[Any] = (),
    code: Any = None, options: Mapping[str, Any] | None = None, by: int | None = None,
) -> Fork:  # fmt: skip
    """Make a sandbox of a system after a position; nothing is copied.

    raises  BadRecipe
    """
    if line.parent is not None:
        raise BadRecipe("A sandbox is made of the system's own timeline.")
    until = line.head if until is None else until
    if not 0 <= base < until <= line.head:
        raise BadRecipe(
            f"base #{base} and until #{until}: expected 0 <= base < until <= the head #{line.head}."
        )
    bounded(base, until)
    kept = _edits(line, base, until, edits)
    with transaction.atomic():
        made = fork_line(line, base=base, name=name[:200])
        return Fork.objects.create(
            system=line.system, timeline=made.timeline, name=_name(name, base), base=base,
            until=until, edits=kept, code=_kept(codes.checked(code)),
            options=checked(options or {}), created_by=by,
        )  # fmt: skip


def duplicate(
    line: Line, fork: Fork, *, base: int | None = None, until: int | None = None,
    by: int | None = None,
) -> Fork:  # fmt: skip
    """Make a sandbox with the recipe of another, over the same stretch or one that is given.

    raises  BadRecipe, also where an edit that is on is not in the stretch
    """
    return create(
        line, base=fork.base if base is None else base, name=fork.name,
        until=fork.until if until is None else until, edits=fork.edits, code=fork.code,
        options=fork.options, by=by,
    )  # fmt: skip


def move(line: Line, fork: Fork, *, base: int, until: int, by: int | None = None) -> Fork:
    """Move a sandbox to another stretch and return it: a copy, as its runs stay where they are.

    One that never ran is put away for it.
    raises  BadRecipe
    """
    with transaction.atomic():
        made = duplicate(line, fork, base=base, until=until, by=by)
        if not fork.runs.exists():
            discard(fork)
    return made


def most() -> int:
    """Return how many entries a sandbox may cover."""
    return int(settings.SANDBOX_EVENTS)


def change(line: Line, fork: Fork, **fields: Any) -> Fork:
    """Change a recipe: name, edits, code or options. Runs made before keep theirs.

    raises  BadRecipe
    """
    if "name" in fields:
        fork.name = _name(fields["name"], fork.base)
    if "edits" in fields:
        fork.edits = _edits(line, fork.base, fork.until, fields["edits"])
    if "code" in fields:
        fork.code = _kept(codes.checked(fields["code"]))
    if "options" in fields:
        fork.options = checked(fields["options"])
    fork.save()
    return fork


def discard(fork: Fork) -> None:
    """Put a sandbox away: it is no longer listed, and what runs is cancelled."""
    fork.runs.exclude(status__in=("finished", "failed", "cancelled")).update(want="cancel")
    fork.discarded = True
    fork.save(update_fields=["discarded"])


def start(line: Line, fork: Fork, *, check: str = "", steps: int = 0) -> Run:
    """Queue a run of the recipe as it is now, on a timeline of its own; the first has the fork's.

    check   "" for the recipe; twice, swapped, failing or folds for one of the checks; dry to see
            what would be handed to copies outside, which comes first where there are any; shrink
            for the smallest part of it that still fails: where `stop_when` holds, else `fails`
    raises  BadRecipe, NotNow
    """
    if check not in CHECKS:
        raise BadRecipe(
            f"There is no check {str(check)[:40]!r}; there are {', '.join(CHECKS[1:])}."
        )
    if fork.discarded:
        raise NotNow("This sandbox was discarded.")
    _edits(line, fork.base, fork.until, fork.edits)
    if check in REPLAYS:
        _seen(fork)
    if not check and fork.options.get("speed") == "step":
        steps = steps or 1
    with transaction.atomic():
        Fork.objects.select_for_update().get(pk=fork.pk)
        number = (fork.runs.aggregate(last=Max("number"))["last"] or 0) + 1
        timeline = fork.timeline
        if number > 1:
            name = f"{fork.name} {number}"[:255]
            timeline = fork_line(line, base=fork.base, name=name).timeline
        return Run.objects.create(
            fork=fork, number=number, timeline=timeline, check_of=check, edits=fork.edits,
            code=fork.code, options=fork.options, total=fork.until - fork.base, steps=steps,
            want="run",
        )  # fmt: skip


def is_seen(fork: Fork) -> bool:
    """Return whether a dry run has shown what this recipe hands to its copies outside."""
    wanted = targets.of(fork.code)
    if not wanted:
        return True
    dry = fork.runs.filter(check_of="dry", status="finished").order_by("-number")
    return any(targets.of(code) == wanted for code in dry.values_list("code", flat=True)[:20])


def _seen(fork: Fork) -> None:
    if not is_seen(fork):
        places = ", ".join(targets.place(choice) for choice in targets.of(fork.code).values())
        raise NotNow(f"Events would be sent to {places}. A dry run comes first: it shows which.")


def _name(name: str, base: int) -> str:
    text = "".join(c for c in str(name) if c.isprintable()).strip()[:200]
    return text or f"After #{base}"


def _edits(line: Line, base: int, until: int, edits: Sequence[Any]) -> list[dict[str, Any]]:
    """Return edits as they are kept.

    raises  BadRecipe for those that cannot be meant
    """
    if not isinstance(edits, list | tuple):
        raise BadRecipe("edits is a list.")
    try:
        read = recipes.read(edits)
        named = {e.position for e in read if e.on and base < e.position <= until}
        found = {e.position: e for e in log.events_at(line, named)}
        recipes.check(read, base=base, until=until, at=found.get)
    except BadEdit as error:
        raise BadRecipe(str(error)) from error
    return [_kept(recipes.plain(edit)) for edit in read]


def _kept(value: Any) -> Any:
    """Return a value that is to be kept. raises  BadRecipe for what no database keeps"""
    if nuls.has(value):
        raise BadRecipe("A text of this recipe holds a NUL character, which cannot be kept.")
    return value


def checked(options: Any) -> dict[str, Any]:
    """Return options as they are kept.

    raises  BadRecipe
    """
    if not isinstance(options, Mapping):
        raise BadRecipe("options is an object.")
    known = {
        "missing",
        "stubs",
        "drop_orphans",
        "stop_when",
        "speed",
        "factor",
        "fails",
        "projection",
    }
    if more := sorted(set(options) - known):
        raise BadRecipe(
            f"options knows no {str(more[0])[:40]!r}; it takes {', '.join(sorted(known))}."
        )
    kept = dict(options)
    if kept.get("missing", "stop") not in POLICIES:
        raise BadRecipe(f"missing is one of {', '.join(POLICIES)}.")
    if kept.get("speed", "fast") not in SPEEDS:
        raise BadRecipe(f"speed is one of {', '.join(SPEEDS)}.")
    factor = kept.get("factor", 1)
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor <= 10_000:
        raise BadRecipe("factor is a number above 0, at most 10000.")
    if kept.get("fails", "differs") not in FAULTS:
        raise BadRecipe(f"fails is one of {', '.join(FAULTS)}.")
    if not isinstance(kept.get("projection", ""), str):
        raise BadRecipe("projection is the name of one, by which states are compared.")
    if not isinstance(kept.get("drop_orphans", False), bool):
        raise BadRecipe("drop_orphans is true or false.")
    _stubs(kept.get("stubs", []))
    _expression(kept.get("stop_when", ""))
    return dict(_kept(kept))


def _stubs(stubs: Any) -> None:
    if not isinstance(stubs, list) or len(stubs) > STUBS:
        raise BadRecipe(f"stubs is a list of at most {STUBS}.")
    for stub in stubs:
        fits = isinstance(stub, Mapping) and {"call", "response"} <= set(stub) <= {
            "call", "response", "request"
        }  # fmt: skip
        if not fits or not isinstance(stub["call"], str):
            raise BadRecipe('A stub is {"call", "response"} and may have "request", its fields.')
        if not isinstance(stub.get("request", {}), Mapping):
            raise BadRecipe("A stub's request is an object: the fields that must be so.")


def _expression(text: Any) -> None:
    if not isinstance(text, str):
        raise BadRecipe("stop_when is an expression.")
    if text.strip():
        try:
            read_expression(text)
        except BadExpression as error:
            raise BadRecipe(f"stop_when: {error.message} (column {error.column + 1}).") from error
