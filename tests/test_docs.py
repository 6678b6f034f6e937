"""README and CHANGELOG say what is true: what can be checked, is."""

from __future__ import annotations

import re
import tomllib
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from evdebug.env import VARIABLES
from tests.test_architecture import LAYERS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
PAGES = ["README.md", "CHANGELOG.md"]


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading, without its own head."""
    text = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in lines
        if not line.startswith("|---")
    ][1:]


def test_every_setting_is_a_row_and_every_row_a_setting() -> None:
    expected = [[f"`{v.name}`", f"`{v.default}`" * bool(v.default), v.help] for v in VARIABLES]
    assert rows("Settings") == expected


def own_commands() -> dict[str, str]:
    """Return the name of each command of ours, and the app it is in."""
    ours = ("apps.", "evdebug")
    return {name: app for name, app in get_commands().items() if app.startswith(ours)}


def told_commands() -> dict[str, str]:
    """Return each command the table tells of, and all the table says of how it is called."""
    told: dict[str, str] = {}
    for row in rows("Commands"):
        for call in re.findall(r"`([^`]+)`", row[0]):
            told[call.split()[0]] = told.get(call.split()[0], "") + " " + call
    return told


def test_every_command_is_a_row_and_every_row_a_command() -> None:
    assert set(told_commands()) == set(own_commands())


def words_of(parser: ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        yield from action.option_strings
        yield from map(str, action.choices or ())
        if isinstance(action, _SubParsersAction):
            for below in action.choices.values():
                yield from words_of(below)


@pytest.mark.parametrize("name", own_commands())
def test_what_the_table_says_of_a_command_is_what_it_takes(name: str) -> None:
    known = set(words_of(load_command_class(own_commands()[name], name).create_parser("", name)))
    called = told_commands()[name].replace("\\|", " ").split()
    lower = {word.strip("[],") for word in called if re.match(r"[\[-]*[a-z]", word)} - {
        name,
        "manage",
    }
    assert lower <= known


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)]+)\)", (ROOT / page).read_text())
    assert links
    for link in links:
        assert link.startswith("https://") or (ROOT / link).exists(), link


def test_make_makes_what_is_promised() -> None:
    promised = set(re.findall(r"\bmake ([a-z]+)(?= +#|`| PORT)", README))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"run", "test", "bench"} <= promised <= targets


def test_the_tour_shows_every_folder_there_is() -> None:
    told = {
        name.strip("/")
        for row in rows("A tour of the code")
        for name in re.findall(r"`([a-z/]+/)`", row[0])
    }
    apps = {f"apps/{p.parent.name}" for p in ROOT.glob("apps/*/apps.py")}
    assert {name for name in told if name.startswith("apps/")} == apps
    assert all((ROOT / name).is_dir() for name in told)


def test_the_diagram_has_the_layers_the_imports_have() -> None:
    block = README.partition("\n   pages  ")[2].partition("```")[0]
    lines = re.findall(r"^   ([a-z]+(?: │ [a-z]+)*)", f"   pages  {block}", re.MULTILINE)
    there = [{app for app in level if (ROOT / "apps" / app).is_dir()} for level in LAYERS]
    assert [set(line.split(" │ ")) for line in lines] == [
        level for level in reversed(there) if level
    ]


def test_the_changelog_begins_with_the_version_there_is() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    first = re.search(r"^## (\S+?),? ", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first
    assert first[1].rstrip(",") == version


def test_the_licence_is_there_in_full() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
