"""Runs the scripts' own tests with node, where there is one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests import services

HERE = Path(__file__).parent
OLDEST = 20


def node() -> str:
    """Return the path of a node that can run tests; skip without one, fail where it is required."""
    path = shutil.which("node")
    said = (
        subprocess.run([path, "--version"], capture_output=True, text=True).stdout if path else ""
    )
    if path and int(said.lstrip("v").partition(".")[0] or 0) >= OLDEST:
        return path
    missing = f"node {OLDEST} or newer is not on PATH ({said.strip() or 'there is none'})"
    if services.required():
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)


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
