from __future__ import annotations

import json

import pytest

from apps.ingest.mapping import BadMapping, mapped, parse
from apps.ingest.problems import Invalid

LINE = json.dumps(
    {
        "event": {"name": "order.placed", "ids": [{"v": "o-1"}, {"v": "o-2"}]},
        "at": "2026-05-12T14:32:07Z", "app.name": "shop", "n": 5, "source": "/own",
    }
).encode()  # fmt: skip


def test_it_works() -> None:
    mapping = parse(["type=event.name", "stream = event.ids.1.v", "time=at", "key=n"])

    event = mapped(LINE, mapping, fallback_id="f")

    assert (event.type, event.stream, event.key, event.id) == ("order.placed", "o-2", "5", "f")
    assert event.time == 1_778_596_327_000_000
    assert event.source == "/own"  # not mapped: under its own name
    assert event.data == LINE
    assert event.metadata == b""


def test_quotes_are_the_value_itself() -> None:
    event = mapped(LINE, parse(["type='a.b'", 'source="x"']))
    assert (event.type, event.source) == ("a.b", "x")


def test_a_name_may_have_dots() -> None:
    assert mapped(LINE, parse(["type=app.name"])).type == "shop"


def test_data_may_be_mapped() -> None:
    assert mapped(LINE, parse(["type='t'", "data=event.ids.0"])).data == b'{"v": "o-1"}'


@pytest.mark.parametrize("path", ["nothing", "event.nothing", "event.ids.9", "event.ids.x", "n.x"])
def test_what_is_not_there_is_not_mapped(path: str) -> None:
    with pytest.raises(Invalid, match="type is missing"):
        mapped(LINE, {"type": path})


def test_a_part_that_is_no_text_is_named() -> None:
    with pytest.raises(Invalid, match="stream is an object"):
        mapped(LINE, parse(["type='t'", "stream=event"]))


@pytest.mark.parametrize("pair", ["type", "type=", "=x", "colour=x", "position=n"])
def test_a_mapping_that_cannot_be_used_says_so(pair: str) -> None:
    with pytest.raises(BadMapping, match=pair.partition("=")[0] or "name=path"):
        parse([pair])
