"""Exporting a run as a folder, and running a folder without a database.

What is expected of a folder is worked out from what is in it: a payload that was redacted is
redacted to the handlers, too.
"""

from __future__ import annotations

import io
import secrets
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings

from apps.eventlog.envelope import Envelope, Recorded
from apps.ingest.redact import NOTHING, BadRule, Redactor, parse
from apps.projections import exact
from apps.projections.diff import changes, jsonable
from apps.projections.exact import MISSING
from apps.projections.queries.batches import states_at
from apps.sandbox import edits as recipes
from apps.sandbox import folder as files
from apps.sandbox import recalled
from apps.sandbox.commands.forks import checked
from apps.sandbox.commands.jobs import journal
from apps.sandbox.commands.prepare import Prepared, prepare
from apps.sandbox.compare import COMPARED, Comparison, Entry, compare
from apps.sandbox.edits import BadEdit
from apps.sandbox.emissions import Emission, Stopped
from apps.sandbox.errors import BadRecipe, NotNow
from apps.sandbox.folder import BadFolder as BadFolder
from apps.sandbox.folder import Difference, Expected, Folder, Recipe
from apps.sandbox.known import States
from apps.sandbox.models import REPLAYS, Fork, Run
from apps.sandbox.parts import Parts
from apps.sandbox.queries import code as codes
from apps.sandbox.queries import targets
from apps.sandbox.queries.code import Hosts
from apps.sandbox.queries.forks import original
from apps.sandbox.recalled import KEPT, Kept, Recalled, is_kept, parted
from apps.sandbox.recording import Recording
from apps.sandbox.redacted import redacted

ENTITIES, CHANGES, DIFFERENCES = 200, 50, 10_000
ZIPPED = 20_000  # entries of a run that is exported while somebody waits


def export(run: Run, path: Path, redactor: Redactor = NOTHING) -> Expected:
    """Write a finished run as a folder and return what is expected of it.

    raises  NotNow, BadRecipe, BadFolder
    """
    if run.status != "finished" or run.check_of not in (*REPLAYS, "shrink"):
        raise NotNow("Only a finished run that replays events can be exported.")
    if run.check_of == "shrink":
        run = _least(run)
    kept = _kept(run)
    with prepare(run, (), copies=Recalled(kept)) as prepared:
        if shrunk := (run.result or {}).get("shrunk"):
            prepared.recording = Parts(prepared.recording).kept(shrunk["inputs"])
        folder = _taken(run, prepared)
    folder = redacted(msgspec.structs.replace(folder, kept=kept), redactor)
    copies = Recalled(folder.kept, by_id=True)
    with _ready(folder, copies) as prepared:
        folder.expected = come_to(prepared)
    folder.kept = copies.done
    files.write(folder, path)
    return folder.expected


def zipped(run: Run, rules: str = "") -> bytes:
    """Return a finished run as a folder in a ZIP archive, without what rules of redaction take.

    raises  NotNow, BadRecipe, also for a run that is too long to be exported while one waits
    """
    if run.total > ZIPPED:
        raise BadRecipe(
            f"The run covers {run.total} entries; {ZIPPED} are exported from here. Do it with"
            " manage.py replay --export, or shrink it before."
        )
    try:
        redactor = Redactor(parse(rules), secrets.token_bytes(32))
    except BadRule as error:
        raise BadRecipe(f"Redaction: {error}") from error
    with tempfile.TemporaryDirectory(prefix="evdebug-export-") as made:
        path = Path(made) / "run"
        export(run, path, redactor)
        raw = io.BytesIO()
        with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(path.iterdir()):
                archive.write(file, f"run/{file.name}")
        return raw.getvalue()


def _least(run: Run) -> Run:
    """Return the run of what a reduction left: its history is cut when it is there."""
    options = {name: value for name, value in run.options.items() if name != "fails"}
    return Run(
        fork=run.fork, code=run.code, edits=(run.result or {})["shrunk"]["edits"],
        options=options | {"missing": "nearest"}, result=run.result,
    )  # fmt: skip


def _kept(run: Run) -> list[Kept]:
    """Return what copies outside did, from the journal: none of them is asked."""
    kept: list[Kept] = []
    if outside := targets.of(run.code):
        with prepare(run, journal(run), copies=Recalled()) as prepared:
            engine = prepared.engine
            engine.heard = lambda task, outcome: (
                kept.append(recalled.kept(task, outcome)) if task.service in outside else None
            )
            come_to(prepared)
    return kept


def _taken(run: Run, prepared: Prepared) -> Folder:
    """Return a run as a folder, with every state that its handlers ask for."""
    recording, fork, before = prepared.recording, run.fork, prepared.before
    streams = {e.stream for e in recording.entries.values() if e.stream} - _new(recording)
    states = {
        stream: _plain(state)
        for stream, state in states_at(original(fork), sorted(streams), at=fork.base).items()
    }

    def asked(stream: str) -> Any:
        if stream not in states:
            states[stream] = _plain(before(stream))
        return MISSING if states[stream] is None else states[stream]

    prepared.before = asked
    prepared.engine = prepared.make()
    come_to(prepared)
    recipe = Recipe(
        files.FORMAT, fork.name, fork.base, fork.until, run.check_of, run.edits,
        _portable(run.code, recording), run.options,
        {name: sorted(types) for name, types in prepared.hosts.handlers.items()},
    )  # fmt: skip
    entries = list(recording.entries.values())
    return Folder(recipe, entries, list(recording.earlier.values()), states)


def _portable(code: dict[str, Any], recording: Recording) -> dict[str, Any]:
    """Return code choices without where copies were."""
    outside = targets.of(code)
    return code | {s: {KEPT: sorted(recording.handlers.get(s, ()))} for s in outside}


def _plain(state: Any) -> Any:
    return None if state is MISSING else msgspec.json.decode(exact.encode(state))


def _new(recording: Recording) -> frozenset[str]:
    """Return the streams that begin in the stretch."""
    return frozenset(e.stream for e in recording.entries.values() if e.revision == 0 and e.stream)


def rerun(path: Path, *, code: str | None = None) -> tuple[Expected | None, Expected]:
    """Run a folder and return what was expected of it, None for nothing, and what it comes to.

    code    a module whose handlers replace those there are, and copies outside where it has theirs
    raises  BadFolder, BadRecipe
    """
    folder = files.read(path, most=settings.SANDBOX_EVENTS)
    if code:
        kept = {s: c for s, c in folder.recipe.code.items() if is_kept(c)}
        folder.recipe.code = kept | codes.checked(code)
    with _ready(folder, Recalled(folder.kept), replaced=bool(code)) as prepared:
        return folder.expected, come_to(prepared)


@contextmanager
def _ready(folder: Folder, copies: Recalled, *, replaced: bool = False) -> Iterator[Prepared]:
    """Make the run of a folder ready; nothing of it is in the database.

    replaced  whether other code, where there is some, goes before what copies did
    """
    recipe = folder.recipe
    if recipe.check not in REPLAYS:
        raise BadRecipe(f"recipe.json: there is no check {recipe.check[:40]!r}.")
    chosen, kept = parted(recipe.code)
    run = Run(
        fork=Fork(base=recipe.base, until=recipe.until, name=recipe.name), check_of=recipe.check,
        edits=recipe.edits, code=codes.checked(chosen), options=checked(recipe.options),
    )  # fmt: skip
    hosts = Hosts(run.code, copies)
    try:
        told = hosts.children[-1].describe().handlers if replaced else []
        for service, types in kept.items():
            if service not in {name for name, _ in told}:
                hosts.stand_in(service, types, copies)
        for service, wanted in recipe.services.items():
            if lost := sorted(set(wanted) - set(hosts.handlers.get(service, ()))):
                raise BadRecipe(
                    f"There is no handler of {service} for {lost[0]} here. Name its module in"
                    " EVDEBUG_CODE or with --code."
                )
        recording = Recording(
            folder.entries, base=recipe.base, until=recipe.until, handlers=hosts.handlers,
            earlier={e.position: e for e in folder.earlier},
        )  # fmt: skip
        _sound(recipe, recording)
        yield Prepared(run, hosts, recording, _known(folder.states))
    finally:
        hosts.close()


def _sound(recipe: Recipe, recording: Recording) -> None:
    try:
        read = recipes.read(recipe.edits)
        recipes.check(read, base=recipe.base, until=recipe.until, at=recording.entries.get)
    except BadEdit as error:
        raise BadRecipe(f"recipe.json: {error}") from error


def _known(states: dict[str, Any]) -> Callable[[str], Any]:
    def before(stream: str) -> Any:
        state = states.get(stream)
        return MISSING if state is None else state

    return before


def come_to(prepared: Prepared) -> Expected:
    """Run to the end and return what came of it.

    raises  BadRecipe where it stops before
    """
    recording, engine = prepared.recording, prepared.engine
    try:
        emissions = list(engine.run())
    except Stopped as stopped:
        raise BadRecipe(f"The run stops after #{engine.head}: {stopped.text}") from stopped
    first = recording.base + 1

    def expected(then: int | None, here: int | None) -> bool:
        return emissions[here - first].descends if here else engine.gone.get(then or 0, False)

    made = [_entry(e.envelope, n) for n, e in enumerate(emissions, start=first)]
    found = compare(
        [_entry(e, e.position) for e in recording.entries.values() if e.kind in COMPARED],
        [e for e in made if e.kind in COMPARED], expected,
    )  # fmt: skip
    differences = _differences(found, recording, emissions)
    return Expected(
        _digest(emissions), found.same, found.changed, found.missing, found.new, found.unexpected,
        differences[:DIFFERENCES], _states(prepared, differences),
    )  # fmt: skip


def _entry(e: Recorded | Envelope, position: int) -> Entry:
    content = e.stream, blake2b(e.data or b"", digest_size=8).digest()
    return Entry(position, e.id, e.source, e.type, e.stream, e.cause, content, e.kind)


def _differences(
    found: Comparison, recording: Recording, emissions: Sequence[Emission]
) -> list[Difference]:
    first, rows = recording.base + 1, []
    for pair in found.pairs:
        if pair.verdict != "same":
            event: Recorded | Envelope = (
                recording.entries[pair.original]
                if pair.original
                else emissions[(pair.sandbox or first) - first].envelope
            )
            rows.append(Difference(
                pair.verdict, event.type, event.stream, pair.original or 0, pair.unexpected
            ))  # fmt: skip
    return rows


def _states(
    prepared: Prepared, differences: Sequence[Difference]
) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return what differs at the end, by entity."""
    recording, here = prepared.recording, prepared.engine.states
    then = States(prepared.before, _new(recording))
    for entry in recording.entries.values():
        if entry.kind == "event" and entry.stream:
            then.apply(entry.stream, entry.data or b"")
    streams = Counter(d.stream for d in differences if d.stream)
    steps = ((s, changes(then.state(s), here.state(s))) for s in list(streams)[:ENTITIES])
    return [(s, [jsonable(step) for step in found[:CHANGES]]) for s, found in steps if found]


def _digest(emissions: Sequence[Emission]) -> str:
    total = blake2b(digest_size=16)
    for each in emissions:
        e = each.envelope
        total.update(msgspec.msgpack.encode(
            (each.ref, e.id, e.kind, e.type, e.source, e.stream, e.time, e.cause, e.data)
        ))  # fmt: skip
    return total.hexdigest()
