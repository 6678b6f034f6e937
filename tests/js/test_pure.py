"""Runs the scripts' own tests with node, where there is one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests import services

HERE = Path(__file__).parent
OLDEST = (20, 19)  # from here on a script need not say elsewhere that it is a module


def node() -> str:
    """Return the path of a node that can run tests; skip without one, fail where it is required."""
    path = shutil.which("node")
    said = _version(path) if path else ""
    numbers = tuple(int(part) for part in said.lstrip("v").split(".")[:2] if part.isdigit())
    if path and numbers >= OLDEST:
        return path
    missing = f"node 20.19 or newer is not on PATH ({said or 'there is none'})"
    if services.required():
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)


def _version(path: str) -> str:
    return subprocess.run([path, "--version"], capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("file", sorted(HERE.glob("*.test.js")), ids=lambda path: path.stem)
def test_scripts(file: Path) -> None:
    done = subprocess.run([node(), "--test", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_script_is_small_and_says_what_it_is_for() -> None:
    scripts = sorted((HERE.parent.parent / "static" / "js").glob("*.js"))
    assert scripts
    for script in scripts:
        lines = script.read_text().splitlines()
        assert len(lines) <= 110, f"{script.name} has {len(lines)} lines"
        assert lines[0].startswith(("//", "/**")), f"{script.name} does not say what it is for"


@pytest.mark.parametrize(
    "word", ["innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "document.write"]
)
def test_no_script_writes_html(word: str) -> None:
    for script in (HERE.parent.parent / "static" / "js").glob("*.js"):
        assert word not in script.read_text(), script.name
