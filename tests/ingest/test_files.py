from __future__ import annotations

import gzip
import io
import json

import pytest

from apps.eventlog.envelope import Envelope
from apps.ingest import files
from apps.ingest.decode import Limits
from apps.ingest.files import Block, Form, Unreadable, blocks
from tests.ingest.hostile import event


def read(data: bytes, *, name: str = "f.ndjson", form: str = "auto", limit: int = 10_000,
         mapping: dict[str, str] | None = None) -> list[Block]:  # fmt: skip
    return list(blocks(name, io.BytesIO(data), Form(form, mapping or {}, Limits(event=limit))))


def envelopes(data: bytes, **options: object) -> list[Envelope]:
    return [e for block in read(data, **options) for e in block.envelopes]  # type: ignore[arg-type]


PLAIN = b'{"type":"plain","data":1}'


def test_it_works() -> None:
    (block,) = read(event(id="a") + b"\n\n" + PLAIN + b"\nbad\n" + event(id="b"))

    assert [e.type for e in block.envelopes] == ["t", "plain", "t"]
    assert block.numbers == [1, 3, 5]
    (reject,) = block.rejects
    assert (reject.origin, reject.line, reject.data) == ("f.ndjson", 4, b"bad")


def test_lines_without_an_id_get_the_same_one_every_time() -> None:
    data = PLAIN + b"\n" + PLAIN
    first, second = envelopes(data)
    assert first.id != second.id  # the same line twice is two events
    assert [e.id for e in envelopes(data, name="/elsewhere/f.ndjson")] == [first.id, second.id]
    assert [e.id for e in envelopes(data, name="g.ndjson")] != [first.id, second.id]


def test_forms() -> None:
    both = event(id="a") + b"\n" + PLAIN
    assert [e.type for e in envelopes(both, form="jsonl")] == ["t", "plain"]
    (block,) = read(both, form="cloudevents")
    assert [e.id for e in block.envelopes] == ["a"]
    assert [r.code for r in block.rejects] == ["missing_specversion"]


def test_gzip_needs_no_name() -> None:
    data = event(id="a") + b"\n" + event(id="b")
    assert envelopes(gzip.compress(data)) == envelopes(data)
    assert envelopes(gzip.compress(data[:50]) + gzip.compress(data[50:])) == envelopes(data)


def test_an_array_is_its_elements() -> None:
    data = b" \n[" + event(id="a") + b",\n" + PLAIN + b', 3, {"type": 5}]'
    (block,) = read(data)
    assert [e.type for e in block.envelopes] == ["t", "plain", "5"]
    assert [(r.line, r.code) for r in block.rejects] == [(3, "not_an_event")]
    assert envelopes(gzip.compress(data)) == envelopes(data)


def test_a_byte_order_mark_is_no_part_of_it() -> None:
    assert envelopes(b"\xef\xbb\xbf" + event(id="a"))[0].id == "a"


@pytest.mark.parametrize("data", [b"", b"\n\n", b"[]", gzip.compress(b"", mtime=0)])
def test_nothing_is_no_events(data: bytes) -> None:
    assert envelopes(data) == []


def test_blocks_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "AT_ONCE", 10)
    data = b"\n".join([PLAIN] * 25)
    assert [len(block.envelopes) for block in read(data)] == [10, 10, 5]
    monkeypatch.setattr(files, "BYTES_AT_ONCE", 60)
    assert [len(block.envelopes) for block in read(data)] == [3] * 8 + [1]


def test_a_line_that_is_too_long_is_a_reject_and_the_next_is_read() -> None:
    data = b'{"type":"%s"}\n' % (b"x" * 1000) + PLAIN
    (block,) = read(data, limit=100)
    assert [e.type for e in block.envelopes] == ["plain"]
    (reject,) = block.rejects
    assert (reject.line, reject.code, reject.size) == (1, "event_too_big", 1011)


@pytest.mark.parametrize("cut", [1, 8, 12, 40])
def test_a_file_cut_short_yields_what_came_before(cut: int) -> None:
    data = gzip.compress(b"\n".join(event(id=f"n{n}") for n in range(2000)))[:-cut]
    found: list[Envelope] = []
    with pytest.raises(Unreadable, match="too early after line"):
        found.extend(
            e
            for block in blocks("f.gz", io.BytesIO(data), Form("auto", {}, Limits()))
            for e in block.envelopes
        )
    assert len(found) >= 1000
    assert [e.id for e in found] == [f"n{n}" for n in range(len(found))]


def test_an_array_cut_short_is_refused_whole() -> None:
    with pytest.raises(Unreadable, match="is no array of events"):
        read(b"[" + PLAIN + b",")


def test_an_array_too_large_to_take_apart_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "ARRAY", 100)
    monkeypatch.setattr(files, "PIECE", 50)
    with pytest.raises(Unreadable, match="one event a line"):
        read(b"[" + b",".join([PLAIN] * 20) + b"]")


@pytest.mark.slow
def test_a_bomb_of_one_line_takes_no_memory() -> None:
    """B39: a line of 300 MB, packed to 300 KB."""
    bomb = gzip.compress(b'{"type":"' + b"x" * 300_000_000 + b'"}\n' + PLAIN, compresslevel=1)
    (block,) = read(bomb, limit=16 * 1024 * 1024)
    assert [e.type for e in block.envelopes] == ["plain"]
    assert block.rejects[0].size == 300_000_011


def test_a_mapping_makes_events_of_foreign_lines() -> None:
    line = json.dumps({"kind_of": "order.placed", "when": "2026-05-12T14:32:07Z"}).encode()
    (found,) = envelopes(line, mapping={"type": "kind_of", "time": "when"})
    assert (found.type, found.time, found.data) == ("order.placed", 1_778_596_327_000_000, line)


def test_a_line_that_names_a_position_is_remembered() -> None:
    (block,) = read(PLAIN + b"\n" + b'{"type":"t","cause":7}')
    assert block.causes == {1: b'{"type":"t","cause":7}'}
