"""The shape of the project, kept true by reading its imports.

1. Apps import downwards only (LAYERS); apps on one line do not know each other.
2. From another app you may import its public rooms or its plain modules, never models or views.
3. A file with a Django name may use Django. A file with a name of its own may not.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
APPS = ROOT / "apps"
LAYERS = [
    {"eventlog"},
    {"access"},
    {"ingest", "traces", "projections", "audits", "live"},
    {"sandbox"},
    {"pages"},
]
DJANGO_NAMES = {
    "admin", "api", "apps", "checks", "commands", "consumers", "context_processors", "door",
    "forms", "management", "middleware", "migrations", "models", "queries", "receivers",
    "routing", "signals", "store", "tasks", "templatetags", "urls", "views", "writer",
}  # fmt: skip
PUBLIC_DJANGO_NAMES = {"commands", "queries", "signals"}
FRAMEWORKS = {"django", "channels", "celery", "asgiref", "django_htmx", "ninja"}

FILES = [p for p in sorted(APPS.rglob("*.py")) if "migrations" not in p.parts]


def room(module: str) -> str:
    """apps.eventlog.management.commands.tail -> management"""
    return module.split(".")[2]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            if node.module.count(".") == 1 and node.module.startswith("apps."):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                yield node.module


def level(app: str) -> int:
    return next(n for n, apps in enumerate(LAYERS) if app in apps)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(APPS)))
def test_imports(path: Path) -> None:
    parts = path.relative_to(APPS).with_suffix("").parts
    if parts[-1] == "__init__":
        assert not list(imports(path)), "keep package files empty"
        return
    assert len(parts) > 1, "put it into the app it belongs to"
    app, own_room = parts[0], parts[1]
    for name in imports(path):
        if own_room not in DJANGO_NAMES:
            assert name.split(".")[0] not in FRAMEWORKS, f"{own_room}.py is plain Python: {name}"
        assert name.split(".")[0] != "evdebug" or name.startswith("evdebug.sdk"), (
            "wiring imports us"
        )
        if not name.startswith("apps."):
            continue
        other = name.split(".")[1]
        if own_room not in DJANGO_NAMES:
            assert room(name) not in DJANGO_NAMES, f"{own_room}.py is plain Python: {name}"
        if other != app:
            assert level(other) < level(app), f"{app} may not know {other}"
            assert room(name) not in DJANGO_NAMES - PUBLIC_DJANGO_NAMES, f"private room: {name}"


def test_every_room_has_a_level() -> None:
    rooms = {p.name for p in APPS.iterdir() if p.is_dir() and not p.name.startswith("__")}
    assert rooms <= set().union(*LAYERS)
