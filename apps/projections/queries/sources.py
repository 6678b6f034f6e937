"""Which projections there are: of modules, typed in a browser, and those of code that was before.

A projection is named by its name, `order`, which is the code as it is now, or by its fingerprint,
`order@a41f…`, which stays what it was.
"""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from django.conf import settings
from django.db import DatabaseError, transaction

from apps.eventlog.places import Line
from apps.projections import typed
from apps.projections.errors import BrokenCode, UnknownProjection
from apps.projections.fingerprints import contents, relative
from apps.projections.models import Code
from apps.projections.runner import Answer, Described, Keys, Runner
from evdebug.sdk.registry import fits

EARLIER = 20  # versions of a projection that are offered; all stay usable by fingerprint
MODULES = 0  # the system of code that belongs to none


class Projection(NamedTuple):
    """One way to make states. `ask` folds a batch; see `child.answer`.

    keys  returns the entities of events, where the projection has a key of its own
    """

    shape: Described
    ask: Callable[[dict[str, Any]], Answer]
    keys: Callable[[str, list[dict[str, Any]]], Keys] | None = None


_runners: dict[tuple[str, ...], Runner] = {}
_kept: set[str] = set()  # fingerprints this process knows to be stored


def runner() -> Runner | None:
    """Return the child for the modules of EVDEBUG_CODE, None where there are none."""
    modules = tuple(settings.CODE)
    if not modules:
        return None
    if modules not in _runners:
        _runners[modules] = Runner(modules, folders(), hidden=hidden())
    return _runners[modules]


def folders() -> list[str]:
    """Return where modules are looked for: here, and in PYTHONPATH."""
    more = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return list(dict.fromkeys([os.getcwd(), *(path for path in more if path)]))


def hidden() -> list[str]:
    """Return the files no child may read: the log, the secret key, and what else is ours alone."""
    names = [str(settings.DATA_DIR)]
    for database in settings.DATABASES.values():
        if database["ENGINE"].endswith("sqlite3"):
            names += [f"{database['NAME']}{end}" for end in ("", "-wal", "-shm")]
    return names


def missing() -> list[str]:
    """Return the walls this platform does not put around the modules, [] where all stand."""
    found = runner()
    return [wall for wall, stands in found.held.items() if not stands] if found else []


def projections(line: Line) -> tuple[dict[str, Described], str]:
    """Return the projections there are by name, and what is wrong with the modules, "" for nothing.

    One typed in the browser stands back where a module has one of the same name.
    """
    shapes = {code.name: _shape(code) for code in _typed(line).filter(current=True)}
    found = runner()
    if found is None:
        return shapes, ""
    ours = found.describe()
    _keep(found, ours)
    return shapes | ours, found.error


def fitting(line: Line, stream: str) -> list[Described]:
    """Return the projections that make a state of this stream alone."""
    known = projections(line)[0].values()
    return [p for p in known if p.by == "stream" and fits(p.streams, stream)]


def models(line: Line) -> list[Described]:
    """Return the projections that make states across streams, by name."""
    known = projections(line)[0]
    return [known[name] for name in sorted(known) if known[name].by != "stream"]


def earlier(line: Line, name: str) -> list[str]:
    """Return the fingerprints of code a projection was made by before, newest first."""
    now = projections(line)[0].get(name)
    rows = Code.objects.filter(system__in=(MODULES, line.system), name=name).order_by("-pk")
    every = rows.values_list("fingerprint", flat=True)[: EARLIER + 1]
    return [each for each in every if now is None or each != now.fingerprint][:EARLIER]


def mark(line: Line, name: str) -> str:
    """Return a short text that changes whenever the code of a projection does, errors among it."""
    known, error = projections(line)
    if name in known:
        return known[name].fingerprint
    return hashlib.sha256(f"{name} {error}".encode()).hexdigest()[:12]


def typed_source(line: Line, name: str) -> Code | None:
    """Return what was typed for a projection, None where it was not typed in the browser."""
    found: Code | None = _typed(line).filter(name=name, current=True).first()
    return found


def projection(line: Line, name: str) -> Projection:
    """Return a projection by name or fingerprint.

    raises  UnknownProjection; BrokenCode when its module cannot be run
    """
    known, error = projections(line)
    by_fingerprint = {shape.fingerprint: shape for shape in known.values()}
    shape = known.get(name) or by_fingerprint.get(name)
    row = _typed(line).filter(fingerprint=shape.fingerprint if shape else name).first()
    if row is not None:
        return Projection(_shape(row), functools.partial(typed.folded, row.source))
    if shape is not None:
        child = runner()
        assert child is not None, "a module described it"
        return Projection(shape, child.ask, child.keys)
    kept = Code.objects.filter(system=MODULES, fingerprint=name).first()
    if kept is not None:
        return _before(kept)
    if error:
        raise BrokenCode(error)
    raise UnknownProjection(name, ["merge", *known])


def _typed(line: Line) -> Any:
    return Code.objects.filter(system=line.system)


def _shape(code: Code) -> Described:
    return Described(
        code.name, tuple(code.streams), code.version, code.by, tuple(code.kinds), code.fingerprint
    )


def _keep(child: Runner, shapes: dict[str, Described]) -> None:
    """Store the files of modules that are new, so that they stay usable once they change."""
    new = [shape for shape in shapes.values() if shape.fingerprint not in _kept]
    if not new:
        return
    files = contents(child.told.files, new[0].name, new[0].version, new[0].fingerprint)
    if files is None:
        return  # they changed while we looked; the next look finds them settled
    source = msgspec.json.encode([child.modules, relative(files, child.folders)]).decode()
    rows = [
        Code(
            system=MODULES, name=shape.name, fingerprint=shape.fingerprint, by=shape.by,
            streams=list(shape.streams), kinds=list(shape.kinds), version=shape.version,
            source=source,
        )
        for shape in new
    ]  # fmt: skip
    try:
        with transaction.atomic():
            Code.objects.bulk_create(rows, ignore_conflicts=True)
    except DatabaseError:
        return
    if not transaction.get_connection().in_atomic_block:  # else it may be rolled back
        _kept.update(shape.fingerprint for shape in new)


def _before(code: Code) -> Projection:
    """Return a projection of code as it was, in a child of its own."""
    modules, files = msgspec.json.decode(code.source)
    key = (code.source,)
    if key not in _runners:
        folder = Path(tempfile.mkdtemp(prefix="evdebug-code-"))
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, newline="")
        _runners[key] = Runner(modules, [str(folder), *folders()], hidden=hidden())
    shape = _runners[key].describe().get(code.name)
    if shape is None:
        raise BrokenCode(_runners[key].error or f"{code.fingerprint} cannot be run any more.")
    wanted = msgspec.structs.replace(shape, fingerprint=code.fingerprint)
    return Projection(wanted, _runners[key].ask, _runners[key].keys)
