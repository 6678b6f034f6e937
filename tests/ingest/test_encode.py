"""What leaves must come back: an export is read by the decoder into the same event."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.eventlog.envelope import OUTCOMES, Envelope, Recorded
from apps.ingest import decode, encode
from apps.ingest.decode import Limits
from tests.factories import recorded
from tests.ingest.test_decode import JSON_VALUES

NAME = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
GIVEN = NAME.filter(bool)
KEYS = st.from_regex(r"\A[a-z0-9]{1,12}\Z") | NAME
METADATA = st.dictionaries(KEYS, JSON_VALUES | NAME, max_size=4).map(
    lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") if value else b""
)
DATA = st.binary(max_size=60) | JSON_VALUES.map(lambda value: json.dumps(value, indent=1).encode())


def back(event: Recorded, **options: Any) -> Envelope:
    """Return what the decoder makes of an exported event."""
    line = encode.cloudevent(event, **options)
    assert b"\n" not in line
    (item,) = decode.lines([line], decode.structured, first=0, limits=Limits())
    assert isinstance(item, Envelope), item
    return item


def expected(event: Recorded) -> Envelope:
    """Return the envelope that stands for a recorded event."""
    same = ("type", "id", "source", "kind", "stream", "time", "correlation", "causation",
            "channel", "partition", "offset", "key", "tap", "content_type", "metadata")  # fmt: skip
    return Envelope(**{name: getattr(event, name) for name in same}, data=event.data or b"")


def test_it_works() -> None:
    event = recorded(1, data=b'{"a": 1.0}', stream="order-1", correlation="c", causation="x")
    assert back(event) == expected(event)
    assert json.loads(encode.cloudevent(event)) == {
        "specversion": "1.0", "id": "id-1", "source": "/web", "type": "order.placed",
        "time": "2026-05-12T12:00:01.000Z", "subject": "order-1", "correlationid": "c",
        "causationid": "x", "data": {"a": 1.0},
    }  # fmt: skip


@given(
    st.fixed_dictionaries(
        {"type": GIVEN, "id": GIVEN, "source": NAME, "stream": NAME, "correlation": NAME,
         "causation": NAME, "channel": NAME, "partition": NAME, "offset": NAME, "key": NAME,
         "tap": NAME, "kind": st.sampled_from(["event", "command", "response", "progress"]),
         "content_type": st.sampled_from(["application/json", "text/plain", "image/png",
                                          "application/vnd.a+json; charset=x"]),
         "time": st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999),
         "metadata": METADATA, "data": DATA}
    )
)  # fmt: skip
def test_any_event_comes_back(fields: dict[str, Any]) -> None:
    try:
        event = recorded(1, **fields)
        event.headers()
    except ValueError:  # no metadata the log would hold: half a surrogate pair
        return
    assert back(event) == expected(event)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_delivery_comes_back_with_its_cause(outcome: str) -> None:
    event = recorded(
        2, kind="delivery", type=outcome, source="payments", cause=1, causation="id-1",
        data=b'{"event":{"position":1}}',
    )  # fmt: skip
    envelope = back(event, cause_source="/web")
    assert (envelope.causation, envelope.causation_source) == ("id-1", "/web")
    assert envelope.cause is None
    assert envelope.data == event.data


@pytest.mark.parametrize(
    "metadata",
    [
        b'{"traceparent":"00-abababababababababababababababab-cdcdcdcdcdcdcdcd-01","ext":1.50}',
        b'{ "ext" : 1 }',
        b'{"ext":null}',
        b'{"ext":{"a":[1]}}',
        b'{"ext":1,"ext":2}',
        b'{"subject":"x","time":"y","data":5,"evdebugkind":"z"}',
        b'{"time_text":"2026-05-12T16:32:07+02:00","time_flags":["offset"]}',
    ],
)
def test_metadata_comes_back_byte_for_byte(metadata: bytes) -> None:
    event = recorded(1, metadata=metadata, correlation="c")
    assert back(event).metadata == metadata


def test_plain_extensions_stay_readable_for_others() -> None:
    assert json.loads(encode.cloudevent(recorded(1, metadata=b'{"ext":"x","n":5}')))["ext"] == "x"


@pytest.mark.parametrize(
    "data",
    [b"", b"null", b' {"a": 1}', b'{"a": 1} ', b'{\n"a": 1}', b"1e400", b"NaN", b"{", b'"\xff"',
     rb'"\ud800"', b"[" * 3000 + b"]" * 3000, b"9007199254740993", b'{"a":1,"a":2}'],
)  # fmt: skip
def test_data_comes_back_byte_for_byte(data: bytes) -> None:
    assert back(recorded(1, data=data)).data == data


def test_a_tombstone_is_marked() -> None:
    shape = json.loads(encode.cloudevent(recorded(1, data=None)))
    assert shape["evdebugforgotten"] is True
    assert "data" not in shape


def test_lines_stay_lines() -> None:
    line = encode.jsonl(recorded(1, data=b'{\r\n "a": 1.0\n}'))
    assert b"\n" not in line
    assert b"\r" not in line
    assert json.loads(line)["data"] == {"a": 1.0}
    assert b'"a": 1.0' in line  # the digits as they were written


@pytest.mark.parametrize("sign", list("=+-@\t\r＝＋－＠"))
def test_no_cell_is_a_formula(sign: str) -> None:
    cells = encode.cells(recorded(1, type=f"{sign}cmd|' /C calc'!A0", data=sign.encode() + b"1"))
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    row = dict(zip(encode.COLUMNS, next(csv.reader(io.StringIO(text.getvalue()))), strict=True))
    assert row["type"] == f"'{sign}cmd|' /C calc'!A0"
    assert row["data"] == f"'{sign}1"
    assert row["position"] == "1"


def test_cells_hold_what_is_no_text_as_base64() -> None:
    cells = dict(zip(encode.COLUMNS, encode.cells(recorded(1, data=b"\xff\x00")), strict=True))
    assert cells["data"] == "base64:/wA="
