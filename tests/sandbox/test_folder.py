"""A run as a folder: what goes in comes out, and what cannot be run is refused in words."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command

from apps.eventlog.envelope import Recorded
from apps.ingest.redact import Redactor, parse
from apps.sandbox.commands import portable
from apps.sandbox.folder import FORMAT, BadFolder, Folder, Recipe, read, write
from apps.sandbox.redacted import redacted
from tests.conftest import Log
from tests.factories import envelope
from tests.sandbox.history import recorded
from tests.sandbox.test_api import orders as orders
from tests.sandbox.test_api import replay

ODD = [
    b'{"a": 1.50}', b'{\n "a": 1\n}', b" 1 ", b"not json", b"\xff\xfe\x00", b"", b"null",
    b'{"a":1,"a":2}', b'"\xe2\x80\xa8"', b"[" * 3000, b'{"big": 123456789012345678901234567890}',
]  # fmt: skip


def entries() -> list[Recorded]:
    return [
        *recorded(
            envelope(stream="s", type=f"T{n}", metadata=b'{"dataversion":2}')
            for n in range(len(ODD))
        )
    ]


def made(**recipe: Any) -> Folder:
    """Return a folder with every odd payload, a forgotten event and an answer."""
    kept = [
        msgspec.structs.replace(e, data=raw) for e, raw in zip(entries(), ODD, strict=True)
    ]  # fmt: skip
    kept[3] = msgspec.structs.replace(kept[3], data=None)
    kept[4] = msgspec.structs.replace(kept[4], kind="response", content_type="text/plain")
    whole = Recipe(FORMAT, "n", 0, len(kept))
    states = {"s": {"n": 1}, "t": None}
    return Folder(msgspec.structs.replace(whole, **recipe), kept, kept[:2], states)


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    folder = made()
    write(folder, tmp_path / "a" / "run")
    found = read(tmp_path / "a" / "run", most=100)
    assert found == folder
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a" / "run" / "answers.ndjson").read_text().count("\n") == 1
    with pytest.raises(BadFolder, match="is not empty"):
        write(folder, tmp_path / "a" / "run")


def test_it_runs_without_a_database(tmp_path: Path) -> None:
    write(made(edits=[{"op": "skip", "position": 2}]), tmp_path / "run")
    wanted, found = portable.rerun(tmp_path / "run")
    assert wanted is None
    assert (found.missing, [d.position for d in found.differences]) == (1, [2])
    assert portable.rerun(tmp_path / "run") == (None, found)
    assert command(tmp_path / "run")[0] == 1


def command(folder: Path, *more: str) -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command("replay", "--folder", str(folder), *more, stdout=out, stderr=io.StringIO())
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    except CommandError as error:
        return error.returncode, str(error)
    return 0, out.getvalue()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("recipe.json", None, "cannot be read"),
        ("recipe.json", "{", "cannot be read"),
        ("recipe.json", {"format": "evdebug-run-9"}, "format"),
        ("recipe.json", {"until": 0}, "base < until"),
        ("recipe.json", {"until": 10**9}, "at most"),
        ("recipe.json", {"until": 3}, "not in the range"),
        ("recipe.json", {"check": "fly"}, "no check"),
        ("recipe.json", {"check": "folds"}, "no check"),
        ("recipe.json", {"edits": [{"op": "fly"}]}, "op is"),
        ("recipe.json", {"edits": [{"op": "skip", "position": 99}]}, "fork point"),
        ("recipe.json", {"code": {"a": {"module": "os; rm"}}}, "expected"),
        ("recipe.json", {"options": {"missing": "guess"}}, "missing is one of"),
        ("recipe.json", {"services": {"payments": ["Placed"]}}, "no handler of payments"),
        ("recipe.json", {"more": 1}, "more"),
        ("events.ndjson", None, "cannot be read"),
        ("events.ndjson", "[]\n", "line 1"),
        ("events.ndjson", '{"position": 1}\n', "line 1"),
        ("events.ndjson", "[" * 100_000, "line 1"),
        ("states.ndjson", '{"stream": "a", "state": 1}\n{"stream"', "line 2"),
        ("expected.json", "{}", "expected.json"),
    ],
)
def test_what_cannot_be_run_is_refused(name: str, text: Any, words: str, tmp_path: Path) -> None:
    write(made(), tmp_path / "run")
    file = tmp_path / "run" / name
    if text is None:
        file.unlink()
    elif isinstance(text, dict):
        file.write_text(json.dumps(json.loads(file.read_text()) | text))
    else:
        file.write_text(text)
    code, said = command(tmp_path / "run")
    assert code == 2
    assert words in said


def test_redaction_reaches_every_place() -> None:
    folder = made(
        name="of a@b.example", edits=[{"op": "change", "position": 1, "data": {"card": "4111"}}],
        options={"stubs": [{"call": "c", "response": {"card": "4111"}}]},
    )  # fmt: skip
    folder.entries[0] = msgspec.structs.replace(
        folder.entries[0], data=b'{"card":"4111","to":"a@b.example"}', key="k",
        stream="a@b.example",
        metadata=b'{"authorization":"secret"}',
    )  # fmt: skip
    folder.states["a@b.example"] = {"card": "4111"}
    rules = parse("mask **.card; mask ~email; mask headers.authorization; mask key")
    found = redacted(folder, Redactor(rules, b"k"))
    raw = (
        msgspec.json.encode([found.recipe, found.states, found.earlier])
        + repr(found.entries).encode()
    )
    for secret in (b"4111", b"a@b.example", b"secret", b"key='k'"):
        assert secret not in raw
    assert found.recipe.redacted
    assert found.entries[5].data == ODD[5]
    assert redacted(folder, Redactor([], b"")) is folder


@pytest.mark.django_db
def test_export_and_again(orders: Log, tmp_path: Path) -> None:
    edits, folder = tmp_path / "edits.json", tmp_path / "run"
    edits.write_text('[{"op": "skip", "position": 4}]')
    arguments = ("--base", "3", "--edits", str(edits), "--export", str(folder))
    assert replay(orders, *arguments, "--redact", "mask data.orders")[0] == 1
    assert '"orders":"***"' in (folder / "events.ndjson").read_text()
    assert '"orders":3' not in (folder / "events.ndjson").read_text()
    assert command(folder) == (0, "")

    recipe = json.loads((folder / "recipe.json").read_text())
    (folder / "recipe.json").write_text(json.dumps(recipe | {"edits": []}))
    code, text = command(folder)
    assert code == 1
    assert text.splitlines()[0].split() == ["no", "longer", "−", "#4", "Placed", "order-1"]
    assert "no longer   order-1" in text

    assert replay(orders, *arguments)[0] == 2  # the folder is there
    assert replay(orders, *arguments[:-1], str(tmp_path / "b"), "--redact", "lose it")[0] == 2
    assert command(folder, "--base", "3")[0] == 2
    assert not (tmp_path / "b").exists()
