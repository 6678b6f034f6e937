"""import, export and tail, as a person or a script runs them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from apps.eventlog.commands.systems import create_system
from apps.eventlog.envelope import Envelope, Recorded, jsonable
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.ingest import queries
from tests.conftest import Log
from tests.factories import delivery, envelope
from tests.ingest.hostile import event
from tests.ingest.otlp.making import as_json, as_protobuf, request, span

pytestmark = pytest.mark.django_db


class Run:
    """Runs commands, and knows what the last one printed and how it ended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        self.out = self.err = b""
        self.code = 0

    def __call__(self, *words: str, stdin: bytes = b"") -> Run:
        out, err = io.BytesIO(), io.BytesIO()
        streams = [io.TextIOWrapper(each, "utf-8", write_through=True) for each in (out, err)]
        self._patch.setattr(sys, "stdout", streams[0])
        self._patch.setattr(sys, "stderr", streams[1])
        self._patch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(stdin)))
        self.code = 0
        try:
            call_command(*words, stdout=streams[0], stderr=streams[1])
        except SystemExit as end:
            self.code = int(end.code or 0)
        except CommandError as error:
            streams[1].write(str(error))
            self.code = error.returncode
        self.out, self.err = out.getvalue(), err.getvalue()
        return self

    @property
    def counts(self) -> dict[str, int]:
        """The last line of stdout."""
        shape: dict[str, int] = json.loads(self.out.splitlines()[-1])
        return shape


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(monkeypatch)


@pytest.fixture
def slug(line: Line) -> str:
    return line.slug


def counts(**some: int) -> dict[str, int]:
    return {"received": 0, "stored": 0, "duplicates": 0, "rejected": 0, "head": 0} | some


def test_it_works(run: Run, slug: str, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_bytes(event(id="a") + b"\n" + event(id="b") + b"\n")

    run("import", slug, str(file))

    assert (run.code, run.err) == (0, b"")
    assert run.counts == counts(received=2, stored=2, head=2)


def test_importing_again_stores_nothing_twice(run: Run, slug: str, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"\n".join([event(id="a"), b'{"type":"plain"}', b'{"type":"plain"}']))
    run("import", slug, str(file))

    run("import", slug, str(file))

    assert run.counts == counts(received=3, duplicates=3, head=3)


def test_several_files_and_standard_input(run: Run, slug: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(event(id="a"))
    (tmp_path / "b.gz").write_bytes(gzip.compress(event(id="b")))

    run("import", slug, str(tmp_path / "a"), "-", str(tmp_path / "b.gz"), stdin=event(id="c"))

    assert run.counts == counts(received=3, stored=3, head=3)
    assert [e.id for e in log.read(log.line(slug))] == ["a", "c", "b"]


def test_bad_lines_are_kept_and_told(run: Run, slug: str, tmp_path: Path) -> None:
    file = tmp_path / "e\x1b[31m.ndjson"
    file.write_bytes(event(id="a") + b'\n{"no": "type"}\n\x1b]0;x\x07\n' + event(id="b"))

    run("import", slug, str(file))

    assert run.code == 1
    assert run.counts == counts(received=4, stored=2, rejected=2, head=2)
    said = run.err.decode()
    assert ":2: missing_type: " in said
    assert ":3: invalid_json: " in said
    assert "\x1b" not in said
    rows = queries.rejects(log.line(slug))
    assert [(row.line, row.code, bytes(row.data)) for row in rows] == [
        (2, "missing_type", b'{"no": "type"}'), (3, "invalid_json", b"\x1b]0;x\x07"),
    ]  # fmt: skip


def test_of_many_bad_lines_the_first_are_told(run: Run, slug: str) -> None:
    run("import", slug, "-", stdin=b"bad\n" * 50)

    assert run.code == 1
    assert run.counts == counts(received=50, rejected=50)
    assert run.err.count(b"invalid_json") == 20
    assert b"30 more" in run.err


def test_a_cause_to_come_is_a_bad_line(run: Run, slug: str) -> None:
    lines = [b'{"type":"t"}', b'{"type":"t","cause":1}', b'{"type":"t","cause":9}']
    run("import", slug, "-", stdin=lines[0])
    run("import", slug, "-", stdin=b"\n".join(lines[1:]))

    assert run.code == 1
    assert b"-:2: unknown_position" in run.err
    (row,) = queries.rejects(log.line(slug))
    assert (row.line, bytes(row.data)) == (2, lines[2])


def test_a_mapping(run: Run, slug: str) -> None:
    line = json.dumps({"event": {"name": "x"}, "ts": 1778587200}).encode()
    run("import", slug, "-", "--map", "type=event.name", "--map", "time=ts",
        "--map", "source='legacy'", stdin=line)  # fmt: skip

    (stored,) = log.read(log.line(slug))
    assert (stored.type, stored.source, stored.data) == ("x", "legacy", line)
    assert stored.time == 1_778_587_200_000_000


SPANS = request(("web", [span(1, 2, "producer", messaging__destination__name="orders")]))


@pytest.mark.parametrize(
    "file",
    [as_json(SPANS), as_json(SPANS) + b"\n{}\n", json.dumps(SPANS, indent=1).encode(),
     b"[" + as_json(SPANS) + b"]", as_protobuf(SPANS), gzip.compress(as_protobuf(SPANS))],
    ids=["json", "lines", "indented", "array", "protobuf", "gzip"],
)  # fmt: skip
def test_spans_from_a_file(run: Run, slug: str, file: bytes) -> None:
    run("import", slug, "-", "--format", "otlp", stdin=file)

    assert run.counts == counts(received=1, stored=1, head=1)
    (stored,) = log.read(log.line(slug))
    assert (stored.type, stored.source, stored.tap) == ("orders", "web", "otlp")


def test_a_line_that_is_no_request_of_spans_is_kept(run: Run, slug: str) -> None:
    run("import", slug, "-", "--format", "otlp", stdin=as_json(SPANS) + b'\n{"resourceSpans":1}')
    assert run.counts == counts(received=2, stored=1, rejected=1, head=1)
    assert run.code == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing", "-"], "No system is called 'nothing'"),
        (["{slug}", "/no/such/file"], "/no/such/file: No such file"),
        (["{slug}", "-", "--format", "otlp", "--map", "type=a"], "--map is for plain events"),
        (["{slug}", "-", "--format", "xml"], "xml"),
        (["{slug}", "-", "--map", "type"], "name=path"),
        (["{slug}", "-", "--map", "colour=x"], "colour"),
        (["{slug}"], "FILE"),
    ],
)
def test_what_cannot_be_done_is_said_with_2(
    run: Run, slug: str, words: list[str], said: str
) -> None:
    run("import", *[word.replace("{slug}", slug) for word in words])

    assert run.code in {1, 2}  # 1 only where argparse speaks through call_command
    assert said in run.err.decode()
    assert run.out == b""


def test_one_missing_file_stops_before_any_is_read(run: Run, slug: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(event(id="a"))
    run("import", slug, str(tmp_path / "a"), str(tmp_path / "b"))
    assert run.code == 2
    assert log.line(slug).head == 0


def test_a_file_cut_short_keeps_what_came_before(run: Run, slug: str, tmp_path: Path) -> None:
    file = tmp_path / "cut.gz"
    file.write_bytes(gzip.compress(b"\n".join(event(id=f"n{n}") for n in range(3000)))[:-9])

    run("import", slug, str(file))

    assert run.code == 2
    head = log.line(slug).head
    assert head >= 2000
    assert run.counts == counts(received=head, stored=head, head=head)
    assert f"{head} events were stored" in run.err.decode()
    assert "after line" in run.err.decode()


HISTORY: list[Envelope] = [
    envelope(id="a", stream="order-1", data=b'{"a": 1.0, "b": 9007199254740993}', correlation="c",
             key="k", channel="ch", partition="3", offset="17", tap="t",
             time=1_778_587_200_000_001),
    envelope(id="a", data=b'{"a": 2}'),  # the same id, other content
    envelope(id="b", source="", causation="a", data=b'{\n "pretty": true\n}',
             metadata=b'{"traceparent":"x","nested":{"a":[1]}}'),
    envelope(id="c", kind="command", data=b"\x00\xff", content_type="image/png"),
    envelope(id="d", kind="response", data="héllo\n".encode(), content_type="text/plain"),
    delivery("payments", id="d1", cause=4, data=b'{"event":{"position":4}}'),
    delivery("mail", "failed", id="d2", causation="b", causation_source=""),
    delivery("mail", "dead_lettered", id="d3", causation="never", data=b'{"error":"x"}'),
    envelope(id="\x1b[31m\u202e<script>", type="=1+1", stream="\n", data=b""),
    envelope(id="e", causation="f", data=rb'"\ud800"', metadata=b'{"ext":"x"}'),
    envelope(id="f", data=b"null", time=None),
]  # fmt: skip


def same(event: Recorded) -> dict[str, Any]:
    """What an event must have in common with its copy in another system."""
    shape = jsonable(event) | {"data": event.data, "metadata": event.metadata}
    for ours in ("recorded_at", "log_time"):
        del shape[ours]
    return shape


def test_an_export_imported_elsewhere_is_the_same(run: Run, log_: Log) -> None:
    log_.append(*HISTORY)
    line = log_.line
    other = create_system("other")

    exported = run("export", line.slug).out
    assert run("import", other.slug, "-", stdin=exported).counts["stored"] == len(HISTORY)

    first, second = log.read(line), log.read(log.line(other.slug))
    assert [same(e) for e in first] == [same(e) for e in second]
    assert run("export", other.slug).out == exported


@pytest.fixture
def log_(log: Log) -> Log:
    """The fixture, under a name that is not the module's."""
    return log


def test_a_part_of_an_export_keeps_its_causes_by_id(run: Run, log_: Log) -> None:
    log_.append(*HISTORY)
    other = create_system("other")

    exported = run("export", log_.line.slug, "--from", "3", "--to", "7").out
    run("import", other.slug, "-", stdin=exported)

    copies = log.read(log.line(other.slug))
    assert [e.id for e in copies] == ["b", "c", "d", "d1", "d2"]
    assert [(e.causation, e.cause) for e in copies] == [
        ("a", None), ("", None), ("", None), ("c", 2), ("b", 1),
    ]  # fmt: skip


def test_export_takes_a_query(run: Run, log_: Log) -> None:
    log_.append(*HISTORY)
    out = run("export", log_.line.slug, "--query", "kind:delivery outcome:failed").out
    assert [json.loads(line)["id"] for line in out.splitlines()] == ["d2"]


def test_export_as_lines_of_the_api(run: Run, log_: Log) -> None:
    log_.append(*HISTORY)
    lines = run("export", log_.line.slug, "--format", "jsonl").out.splitlines()
    assert [json.loads(line)["position"] for line in lines] == list(range(1, len(HISTORY) + 1))
    other = create_system("other")
    run("import", other.slug, "-", "--format", "jsonl", stdin=b"\n".join(lines))
    assert run.counts["stored"] == len(HISTORY)


def test_export_as_a_table_for_spreadsheets(run: Run, log_: Log) -> None:
    log_.append(*HISTORY)
    text = run("export", log_.line.slug, "--format", "csv").out.decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["position"] for row in rows] == [str(n) for n in range(1, len(HISTORY) + 1)]
    assert rows[8]["type"] == "'=1+1"
    assert rows[2]["data"] == '{\n "pretty": true\n}'
    assert rows[3]["data"] == "base64:AP8="


def test_exporting_nothing(run: Run, slug: str) -> None:
    assert run("export", slug).out == b""
    assert run("export", slug, "--format", "csv").out.count(b"\r\n") == 1


@pytest.mark.parametrize("command", ["export", "tail"])
@pytest.mark.parametrize(
    ("words", "said"),
    [(["nothing"], "No system"), (["{slug}", "--query", "at:nonsense"], "is no moment")],
)
def test_what_cannot_be_asked_is_said_with_2(
    run: Run, slug: str, command: str, words: list[str], said: str
) -> None:
    run(command, *[word.replace("{slug}", slug) for word in words])
    assert run.code == 2
    assert said in run.err.decode()


def test_tail(run: Run, log_: Log) -> None:
    log_.append(*[envelope(type="t", id=f"n{n}", time=1_778_587_200_000_000) for n in range(30)])
    slug = log_.line.slug

    lines = run("tail", slug).out.decode().splitlines()
    assert len(lines) == 20
    assert lines[-1] == "#30  2026-05-12T12:00:00.000Z  event  t  /web"

    assert len(run("tail", slug, "--after", "28").out.splitlines()) == 2
    assert run("tail", slug, "--after", "30").out == b""
    assert len(run("tail", slug, "--query", "id:n3").out.splitlines()) == 1
    (shape,) = run("tail", slug, "--after", "29", "--json").out.splitlines()
    assert json.loads(shape)["id"] == "n29"


def test_tail_shows_nothing_a_terminal_would_obey(run: Run, log_: Log) -> None:
    log_.append(envelope(type="\x1b[2J\x07", source="\u202eevil\n#99", stream="\x9b31m"))
    out = run("tail", log_.line.slug).out.decode()
    assert out.count("\n") == 1
    assert "\\x1b[2J\\x07" in out
    assert not any(hidden in out for hidden in "\x1b\x07\u202e\x9b")


def test_tail_of_an_empty_log(run: Run, slug: str) -> None:
    assert run("tail", slug).out == b""
