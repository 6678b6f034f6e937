"""The recipe of a sandbox on its page: edits in words, forms to add one, the code choices."""

from __future__ import annotations

from typing import Any

import msgspec
from django.http import HttpRequest

from apps.eventlog.envelope import Undecodable
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.pages.queries import sandboxes as shown
from apps.pages.queries.edited import edits_shown
from apps.pages.views.frame import Frame, whole
from apps.projections.queries import sources
from apps.sandbox import edits as recipes
from apps.sandbox.commands import forks
from apps.sandbox.commands.prepare import FAULTS
from apps.sandbox.errors import BadRecipe
from apps.sandbox.queries import code as codes
from apps.sandbox.queries import previews, targets
from apps.sandbox.queries.forks import Fork

OPS = (
    ("skip", "skip", "Skip"), ("change", "edit", "Edit"), ("insert", "insert", "Insert"),
    ("move", "reorder", "Reorder"), ("delay", "delay", "Delay"), ("repeat", "dup", "Repeat"),
)  # fmt: skip
LENGTH = 200_000


def recipe(request: HttpRequest, frame: Frame, fork: Fork) -> dict[str, Any]:
    """Return what the recipe shows."""
    line = log.line(frame.slug)
    edits = recipes.read(fork.edits)
    last = fork.runs.order_by("-number").first()
    is_run = last is not None and last.edits == fork.edits and not last.check_of
    ahead = None if is_run else previews.preview(line, fork)
    told = codes.told_of()
    services = sorted({service for service, _ in told.handlers} | set(fork.code))
    services = [name for name in services if name != "*"] + ["*"] * ("*" in fork.code)
    return {
        "edits": edits_shown(line, edits), "on": sum(edit.on for edit in edits), "ops": OPS,
        "services": [_service(fork, name, told.sources.get(name, "")) for name in services],
        "ahead": None if ahead is None else shown.fields_shown(ahead),
        "projections": sorted(sources.projections(line)[0]),
        "projection": fork.options.get("projection", ""), "faults": list(FAULTS.items()),
        "code_error": told.error, "missing": fork.options.get("missing", "stop"),
        "drop_orphans": fork.options.get("drop_orphans", False),
    }  # fmt: skip


def _service(fork: Fork, name: str, source: str) -> dict[str, Any]:
    choice = fork.code.get(name) or {}
    how = "recorded" if choice == "recorded" else next(iter(choice), "disk")
    choice = {} if choice == "recorded" else choice
    return {
        "name": name, "how": how, "source": choice["source"] if how == "source" else source,
        "module": choice.get("module", "") if how == "module" else "",
        "by": codes.runs_by(choice["source"]) if how == "source" else "",
        "place": targets.place(choice) if targets.is_target(choice) else "",
        "revision": f"{choice['name']} ({choice['git'][:9]})" if how == "git" else "",
    }  # fmt: skip


def draft(request: HttpRequest, frame: Frame, fork: Fork) -> dict[str, Any]:
    """Return the form of an edit that is being made, filled with what is there, or was typed."""
    op = request.POST.get("op", "") or request.GET.get("op", "")
    if op not in recipes.OPS:
        return {"draft": None}
    if request.method == "POST":
        typed = {name: request.POST.get(name, "")[:80] for name in ("position", "after", "ms")}
        text = request.POST.get("event" if op == "insert" else "data", "")[:LENGTH]
        return {"draft": {"op": op, "text": text, "entry": True, **typed}}
    asked = whole(request.GET.get("p", ""))
    entry = log.event(log.line(frame.slug), asked) if asked else None
    position = asked or min(fork.base + 1, fork.until)  # a sandbox begins with what it is about
    text = ""
    if entry is not None and op == "change":
        try:
            text = msgspec.json.format(msgspec.json.encode(entry.value()), indent=2).decode()
        except Undecodable:
            text = ""
    made = {"op": op, "position": position, "text": text[:LENGTH], "entry": entry, "ms": "2000"}
    return {"draft": made | {"after": asked or fork.base if op == "insert" else ""}}


def changed(request: HttpRequest, line: Line, fork: Fork) -> None:
    """Do what a form of the recipe asks for.

    raises  BadRecipe
    """
    what, edits = request.POST.get("do", ""), list(fork.edits)
    index = whole(request.POST.get("index", ""))
    if what in ("switch", "remove"):
        if index is None or not 0 <= index < len(edits):
            raise BadRecipe("There is no such edit any more.")
        if what == "remove":
            del edits[index]
        else:
            edits[index] = {**edits[index], "on": not edits[index].get("on", True)}
        forks.change(line, fork, edits=edits)
    elif what == "add":
        forks.change(line, fork, edits=[*edits, _added(request)])
    elif what == "code":
        forks.change(line, fork, code=_code(request, fork))
    elif what == "options":
        options = fork.options | {
            "missing": request.POST.get("missing", "stop"),
            "drop_orphans": bool(request.POST.get("drop_orphans")),
            "projection": request.POST.get("projection", "")[:200],
        }
        forks.change(line, fork, options=options)
    elif what == "name":
        forks.change(line, fork, name=request.POST.get("name", ""))
    else:
        raise BadRecipe("This form asks for nothing that is known.")


def _added(request: HttpRequest) -> dict[str, Any]:
    op = request.POST.get("op", "")
    edit: dict[str, Any] = {"op": op}
    for name in sorted(recipes.FIELDS.get(op, ())):
        text = request.POST.get(name, "")[:LENGTH].strip()
        if name in ("position", "after", "ms"):
            number = whole(text.removeprefix("#").replace("\u202f", "").replace(" ", ""))
            if number is None:
                raise BadRecipe(f"{name} is a whole number, not {text[:40]!r}.")
            edit[name] = number
        elif name == "data":
            edit[name] = _json(text, "The payload")
        else:
            edit[name] = _json(text, "The event")
    return edit


def _json(text: str, what: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRecipe(f"{what} is not JSON: {error}") from error


def _code(request: HttpRequest, fork: Fork) -> dict[str, Any]:
    service, how = request.POST.get("service", "")[:200], request.POST.get("how", "disk")
    code = dict(fork.code)
    code.pop(service, None)
    if how == "recorded":
        code[service] = "recorded"
    elif how == "source":
        text = request.POST.get("source", "").replace("\r\n", "\n")
        code[service] = {"source": text or codes.told_of().sources.get(service, "") or "#"}
    elif how == "module":
        code[service] = {"module": request.POST.get("module", "")[:200].strip()}
    elif how == "kept" and service in fork.code:
        code[service] = fork.code[service]
    elif how == "git":
        code[service] = {"git": request.POST.get("revision", "")[:200].strip()}
    elif how in targets.KINDS:
        code[service] = _target(request, how)
    return code


def _target(request: HttpRequest, how: str) -> dict[str, Any]:
    """Return where a copy is, as the form says."""
    made: dict[str, Any] = {how: request.POST.get("outside", "")[:2000].strip()}
    if how != "http":
        made["stream"] = request.POST.get("stream", "")[:500].strip()
    types = request.POST.get("types", "")[:20_000].replace(",", " ").split()
    return made | ({"types": types} if types else {})
