"""Sandboxes in the JSON API. Who may do what is decided where this is mounted, and in `_may`."""

from __future__ import annotations

from typing import Any, cast

import msgspec
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from ninja import Path, Router
from ninja.errors import HttpError

from apps.access.commands.trail import note
from apps.access.queries import callers
from apps.eventlog.places import Line
from apps.projections import answers
from apps.sandbox.commands import control, forks, portable
from apps.sandbox.errors import BadRecipe, UnknownSandbox
from apps.sandbox.models import Fork, Run
from apps.sandbox.queries import comparison as comparisons
from apps.sandbox.queries import forks as found

router = Router(tags=["sandboxes"])

_Path: Any = Path
SYSTEM = _Path(..., description="The system's name, as in addresses.")
SANDBOX = _Path(..., description="The sandbox's id.")
RUN = _Path(..., description="The run's id in its sandbox: 1 for the first.")


def _answer(value: Any, status: int = 200) -> HttpResponse:
    headers = {"Cache-Control": "private, no-store"}
    return HttpResponse(answers.encoded(value), "application/json", headers=headers, status=status)


def _line(request: HttpRequest) -> Line:
    return cast(Line, request.auth)  # type: ignore[attr-defined]


def _may(request: HttpRequest, system: str) -> None:
    callers.line_for(request, system, role="debugger")


def _fork(request: HttpRequest, number: int) -> Fork:
    try:
        return found.fork(_line(request), number)
    except UnknownSandbox as error:
        raise HttpError(404, str(error)) from error


def _run(request: HttpRequest, sandbox: int, number: int) -> Run:
    try:
        return found.run(_fork(request, sandbox), number)
    except UnknownSandbox as error:
        raise HttpError(404, str(error)) from error


def _body(request: HttpRequest, known: set[str]) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(request.body or b"{}")
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadRecipe(f"The body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise BadRecipe("The body is an object.")
    if more := sorted(set(body) - known):
        raise BadRecipe(f"There is no {more[0][:40]!r}; there are {', '.join(sorted(known))}.")
    return body


def _whole(body: dict[str, Any], name: str, *, needed: bool = False) -> int | None:
    value = body.get(name)
    if value is None and not needed:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRecipe(f"{name} is a position.")
    return value


@router.post("/{slug:system}/sandboxes")
def create_sandbox(request: HttpRequest, system: str = SYSTEM) -> Any:
    """Make a sandbox: `base`, and if wanted `until`, `name`, `edits`, `code`, `options`, `target`.

    A `target` is {"service", "http"} or {"service", "redis" or "tap", "stream"}: a copy outside.
    """
    _may(request, system)
    body = _body(request, {"name", "base", "until", "edits", "code", "options", "target"})
    by = callers.actor(request)
    with transaction.atomic():
        fork = forks.create(
            _line(request), base=_whole(body, "base", needed=True) or 0,
            until=_whole(body, "until"), name=str(body.get("name", "")),
            edits=body.get("edits", []), code=_code(body), options=body.get("options"),
            by=by.user_id,
        )  # fmt: skip
        note(by, "sandbox made", fork.name, system_id=fork.system)
    return _answer({"id": fork.pk, "timeline": fork.timeline}, 201)


def _code(body: dict[str, Any]) -> Any:
    """Return the code choices of a body, with its target among them."""
    code, target = body.get("code"), body.get("target")
    if not target:
        return code
    if not isinstance(target, dict) or not isinstance(target.get("service"), str):
        raise BadRecipe('target is {"service", "http"}, or has "redis" or "tap" and "stream".')
    if not isinstance(code or {}, dict):
        raise BadRecipe("With a target, code is an object by service.")
    where = {name: value for name, value in target.items() if name != "service"}
    return {**(code or {}), target["service"]: where}


@router.get("/{slug:system}/sandboxes")
def list_sandboxes(request: HttpRequest, system: str = SYSTEM) -> Any:
    """Return a system's sandboxes, the newest first."""
    return _answer({"sandboxes": [_shape(each) for each in found.forks(_line(request))]})


@router.get("/{slug:system}/sandboxes/{int:sandbox}")
def sandbox(request: HttpRequest, system: str = SYSTEM, sandbox: int = SANDBOX) -> Any:
    """Return a sandbox: its recipe and its runs."""
    fork = _fork(request, sandbox)
    return _answer(_shape(fork) | {"runs": [run_shape(run) for run in found.runs(fork)]})


@router.post("/{slug:system}/sandboxes/{int:sandbox}")
def change_sandbox(request: HttpRequest, system: str = SYSTEM, sandbox: int = SANDBOX) -> Any:
    """Change a recipe: any of `name`, `edits`, `code`, `options`, as a whole."""
    _may(request, system)
    body = _body(request, {"name", "edits", "code", "options"})
    return _answer(_shape(forks.change(_line(request), _fork(request, sandbox), **body)))


@router.post("/{slug:system}/sandboxes/{int:sandbox}/runs")
def create_run(request: HttpRequest, system: str = SYSTEM, sandbox: int = SANDBOX) -> Any:
    """Queue a run of the recipe, or with `check` one of twice, swapped, failing, folds and dry."""
    _may(request, system)
    body = _body(request, {"check"})
    fork = _fork(request, sandbox)
    run = forks.start(_line(request), fork, check=body.get("check") or "")
    control.ring()
    return _answer(run_shape(run), 202)


@router.get("/{slug:system}/sandboxes/{int:sandbox}/runs/{int:run}")
def run(request: HttpRequest, system: str = SYSTEM, sandbox: int = SANDBOX, run: int = RUN) -> Any:
    """Return a run's status: how many of how many recorded entries it is past."""
    return _answer(run_shape(_run(request, sandbox, run)))


@router.post("/{slug:system}/sandboxes/{int:sandbox}/runs/{int:run}")
def control_run(
    request: HttpRequest, system: str = SYSTEM, sandbox: int = SANDBOX, run: int = RUN
) -> Any:
    """Do one of pause, resume, step and cancel; resume takes `missing` and `stubs`."""
    _may(request, system)
    body = _body(request, {"do", "steps", "missing", "stubs"})
    kept = _run(request, sandbox, run)
    more: dict[str, Any] = {name: body[name] for name in ("missing", "stubs") if name in body}
    steps = _whole(body, "steps") or 1
    return _answer(run_shape(control.do(kept, str(body.get("do", "")), steps=steps, options=more)))


@router.get("/{slug:system}/sandboxes/{int:sandbox}/runs/{int:run}/comparison")
def comparison(
    request: HttpRequest, system: str = SYSTEM, sandbox: int = SANDBOX, run: int = RUN
) -> Any:
    """Return what differs between the recording and a finished run."""
    return _answer(comparisons.comparison(_run(request, sandbox, run)))


@router.get("/{slug:system}/sandboxes/{int:sandbox}/runs/{int:run}/export")
def export_run(
    request: HttpRequest, system: str = SYSTEM, sandbox: int = SANDBOX, run: int = RUN,
    redact: str = "",
) -> Any:  # fmt: skip
    """Return a finished run as a folder in a ZIP archive; `redact` has rules of redaction."""
    _may(request, system)
    raw = portable.zipped(_run(request, sandbox, run), redact[:10_000])
    return HttpResponse(raw, "application/zip", headers={"Cache-Control": "private, no-store"})


def _shape(fork: Fork) -> dict[str, Any]:
    return {
        "id": fork.pk, "name": fork.name, "timeline": fork.timeline, "base": fork.base,
        "until": fork.until, "edits": fork.edits, "code": fork.code, "options": fork.options,
    }  # fmt: skip


def run_shape(run: Run) -> dict[str, Any]:
    """Return a run's status as it is answered.

    repeats  there where a copy outside may have been sent that many events twice
    """
    shape = {
        "id": run.number, "status": run.status, "done": run.done, "total": run.total,
        "timeline": run.timeline, "check": run.check_of, "error": run.error,
    }  # fmt: skip
    if run.repeats:
        shape["repeats"] = run.repeats
    if run.wanted:
        shape["wanted"] = run.wanted
    if run.result:
        shape["verdict"] = run.result["verdict"]
    return shape
