"""The same packages on every machine: whatever is installed has its exact version written down."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
FILES = ("requirements.txt", "requirements-test.txt", "constraints.txt")
PIN = re.compile(r"([A-Za-z0-9._-]+)(\[[a-z,]+\])?==([0-9][^\s;]*)")


def lines(name: str) -> Iterator[str]:
    for line in (ROOT / name).read_text().splitlines():
        if line and not line.startswith(("#", "-r ")):
            yield line


def pins(*names: str) -> dict[str, str]:
    found = (PIN.fullmatch(line) for name in names for line in lines(name))
    return {canonicalize_name(pin[1]): pin[3] for pin in found if pin}


def needed(requirement: Requirement, seen: set[tuple[str, str]]) -> Iterator[str]:
    """Yield the packages a requirement brings along, itself included, as installed here."""
    key = (canonicalize_name(requirement.name), ",".join(sorted(requirement.extras)))
    if key in seen:
        return
    seen.add(key)
    try:
        requires = distribution(requirement.name).requires or []
    except PackageNotFoundError:
        return  # for another platform or Python
    yield key[0]
    for text in requires:
        inner = Requirement(text)
        extras = requirement.extras or {""}
        if inner.marker is None or any(inner.marker.evaluate({"extra": e}) for e in extras):
            yield from needed(inner, seen)


@pytest.mark.parametrize("name", FILES)
def test_each_line_is_an_exact_version(name: str) -> None:
    assert [line for line in lines(name) if not PIN.fullmatch(line)] == []


def test_everything_that_is_installed_is_pinned() -> None:
    seen: set[tuple[str, str]] = set()
    wanted = [Requirement(line) for name in FILES[:2] for line in lines(name)]
    packages = {package for requirement in wanted for package in needed(requirement, seen)}

    assert packages - pins(*FILES).keys() == set()
    for package in packages:
        assert distribution(package).version == pins(*FILES)[package], package


def test_nothing_is_pinned_twice() -> None:
    assert pins(*FILES[:2]).keys() & pins(FILES[2]).keys() == set()
