"""Which code handles what in a run: as it is on disk, another module, or source that was typed."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings

from apps.projections.queries.sources import hidden
from apps.projections.typed import BadCode
from apps.sandbox.errors import BadRecipe
from apps.sandbox.interpreted import Interpreted
from apps.sandbox.jailed import Jailed, Told
from apps.sandbox.outcome import Host, Outcome, Task, World
from apps.sandbox.queries import targets
from apps.sandbox.queries.targets import Copies
from apps.sandbox.revisions import NoRevision, Repository
from apps.sandbox.rewriting import NotTyped, rewritten

RECORDED = "recorded"
SOURCE = 200_000  # letters of source that was typed
WALLS = ("files", "calls", "network", "memory", "processor")

_described: dict[tuple[str, ...], tuple[Told, list[int]]] = {}


class Hosts:
    """The children of one run. Close it."""

    def __init__(self, code: Mapping[str, Any], outside: Copies | None = None) -> None:
        """outside  reaches copies of services; without it there are none
        raises   BadRecipe where the code cannot be used"""
        self.outside = outside
        self.children: list[Jailed] = []
        self.targets: dict[str, Host] = {}
        self.handlers: dict[str, set[str]] = {}
        self.other: set[str] = set()  # services whose code is another one
        self.fingerprints: list[str] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._by: dict[tuple[str, str], Jailed | Interpreted] = {}
        try:
            self._choose(code)
        except BaseException:
            self.close()
            raise

    def _choose(self, code: Mapping[str, Any]) -> None:
        base = tuple(settings.CODE)
        if base:
            self._add(self._child(list(base)), None)
        for service, choice in sorted(code.items()):
            if choice == RECORDED:
                self.handlers.pop(service, None)
            elif targets.is_target(choice):
                self._target(service, choice)
            elif choice:
                self._other(service, choice)

    def _target(self, service: str, choice: Mapping[str, Any]) -> None:
        """Have a copy outside handle what it is said to, else what is handled here.

        Where neither says, `handlers` has nothing of it: what it was delivered tells.
        """
        if self.outside is None:
            raise BadRecipe(f"{service} runs outside; choose other code for it to run here alone.")
        types = set(choice.get("types", ())) or self.handlers.get(service, set())
        self.stand_in(service, types, self.outside.host(choice))

    def stand_in(self, service: str, types: set[str], host: Host) -> None:
        """Have another host do all of a service."""
        self.targets[service] = host
        self.other.add(service)
        self.handlers[service] = types

    def _other(self, service: str, choice: Mapping[str, Any]) -> None:
        if "git" in choice:
            host: Jailed | Interpreted = _allowed(self._at_revision(str(choice["git"])))
        elif "module" in choice:
            host = _allowed(self._child([str(choice["module"])]))
        else:
            host = self._typed(str(choice["source"]))
        wanted = None if service == "*" else service
        if not self._add(host, wanted):
            raise BadRecipe(f"The code has no handler of {service}.")

    def _typed(self, source: str) -> Jailed | Interpreted:
        """Return what runs source that was typed: the interpreter, where that has all it wants."""
        try:
            made = Interpreted(source)
            self.fingerprints.append(hashlib.sha256(source.encode()).hexdigest()[:12])
            return made
        except NotTyped as wanted:
            why = str(wanted)
        except BadCode as bad:
            why = bad.text + (f" (line {bad.line})" if bad.line else "")
        child = self._child(list(settings.CODE), source)
        if missing := _missing(child):
            raise BadRecipe(
                f"This platform cannot hold code from the browser ({', '.join(missing)}), but for"
                f" what the interpreter runs: {why}. Put it into a module of EVDEBUG_CODE."
            )
        return child

    def _at_revision(self, commit: str) -> Jailed:
        """Return what runs the modules of EVDEBUG_CODE as they were at a commit."""
        folder = self._folder or tempfile.TemporaryDirectory(prefix="evdebug-revision-")
        self._folder = folder
        try:
            repository = Repository(os.getcwd())
            path = repository.write(commit, Path(folder.name) / commit)
        except (NoRevision, OSError) as error:
            raise BadRecipe(f"{error}") from error
        for module in settings.CODE:
            place = path.joinpath(*module.split("."))
            if not (place.is_dir() or place.with_suffix(".py").is_file()):
                raise BadRecipe(f"There was no module {module} at {commit[:12]}.")
        return self._child(list(settings.CODE), first=str(path))

    def _child(
        self, modules: list[str], source: str | None = None, *, first: str = ""
    ) -> Jailed:  # fmt: skip
        paths = [] if first else [os.getcwd()]
        child = Jailed(modules, paths=paths, hidden=hidden(), source=source, first=first)
        self.children.append(child)
        told = child.describe()
        if told.error:
            raise BadRecipe(told.error)
        self.fingerprints.append(told.fingerprint)
        return child

    def _add(self, host: Jailed | Interpreted, service: str | None) -> int:
        """Have a host handle what it can, of one service or of all; return of how many types."""
        first = not self._by and service is None
        count = 0
        told = host.handlers if isinstance(host, Interpreted) else host.describe().handlers
        for name, type in told:
            if service is None or name == service:
                self.handlers.setdefault(name, set()).add(type)
                self._by[name, type] = host
                count += 1
                if not first:
                    self.other.add(name)
        return count

    def run(self, task: Task, world: World) -> Outcome:
        """Run the handler of a task in the child that has it."""
        if target := self.targets.get(task.service):
            return target.run(task, world)
        return self._by[task.service, task.event["type"]].run(task, world)

    def close(self) -> None:
        """End the children."""
        for child in self.children:
            child.close()
        if self.outside is not None:
            self.outside.close()
        if self._folder is not None:
            self._folder.cleanup()


def checked(code: Any) -> dict[str, Any]:
    """Return code choices as they are kept.

    raises  BadRecipe for what is not made so
    """
    if code in (None, ""):
        return {}
    if isinstance(code, str):
        code = {"*": {"module": code}}
    if not isinstance(code, Mapping):
        raise BadRecipe("code is the name of a module, or an object by service.")
    return {str(service)[:200]: _choice(service, choice) for service, choice in code.items()}


def _choice(service: str, choice: Any) -> Any:
    if choice in (RECORDED, {}, "", None):
        return choice or {}
    if targets.is_target(choice):
        return targets.checked(service, choice)
    if isinstance(choice, Mapping) and set(choice) == {"git", "name"}:
        return _revision(str(choice["git"])) | {"name": str(choice["name"])[:200]}
    if isinstance(choice, Mapping) and len(choice) == 1:
        ((kind, text),) = choice.items()
        parts = str(text).split(".")
        if kind == "module" and isinstance(text, str) and all(p.isidentifier() for p in parts):
            return {"module": text}
        if kind == "source" and isinstance(text, str) and 0 < len(text) <= SOURCE:
            return {"source": text}
        if kind == "git" and isinstance(text, str):
            return _revision(text)
    raise BadRecipe(
        f'code of {str(service)[:80]!r}: expected "recorded", {{"module": NAME}}, {{"git":'
        f' REVISION}} or {{"source": PYTHON}} of at most {SOURCE} letters.'
    )


def _revision(name: str) -> dict[str, str]:
    """Return a revision as it is kept: by the id of its commit, which names the same for good."""
    if not settings.CODE:
        raise BadRecipe("Name the modules of which a revision is wanted in EVDEBUG_CODE.")
    try:
        return {"git": Repository(os.getcwd()).commit(name), "name": name}
    except NoRevision as error:
        raise BadRecipe(str(error)) from error


def _missing(child: Jailed) -> list[str]:
    """Return the walls that do not stand around a child that was started."""
    return [wall for wall in WALLS if not child.held.get(wall)]


def _allowed(child: Jailed) -> Jailed:
    """Return a child with code from disk that somebody chose for a run.  raises  BadRecipe

    The modules of EVDEBUG_CODE an administrator has named; these not.
    """
    missing = _missing(child)
    if missing and not settings.CODE_UNCONFINED:
        raise BadRecipe(
            f"This platform cannot hold other code from disk ({', '.join(missing)}). An"
            " administrator can let it run all the same with EVDEBUG_CODE_UNCONFINED=1."
        )
    return child


def runs_by(source: str) -> str:
    """Return in words what runs source that was typed."""
    try:
        rewritten(source)
    except NotTyped as wanted:
        return f"in a process with walls: {wanted}"
    return "in the interpreter"


def known() -> tuple[dict[str, list[str]], str]:
    """Return the services that can be under test with what they handle, and what is wrong."""
    told = told_of()
    found: dict[str, list[str]] = {}
    for service, type in told.handlers:
        found.setdefault(service, []).append(type)
    return found, told.error


def told_of() -> Told:
    """Return what the modules of EVDEBUG_CODE hold, of the files as they are now."""
    modules = tuple(settings.CODE)
    if not modules:
        return Told()
    kept = _described.get(modules)
    if kept is None or kept[1] != _changed_at(kept[0]):
        child = Jailed(list(modules), paths=[os.getcwd()], hidden=hidden())
        told = child.describe()
        child.close()
        kept = _described[modules] = told, _changed_at(told)
    return kept[0]


def _changed_at(told: Told) -> list[int]:
    return [os.stat(p).st_mtime_ns if os.path.exists(p) else 0 for p in told.watched]
