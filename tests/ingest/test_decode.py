"""The decoder alone: the table of hostile input, and laws for all of it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.eventlog.envelope import Envelope, isoformat
from apps.ingest import bodies, cloudevents, decode, media
from apps.ingest.bodies import Cut
from apps.ingest.decode import Decoded, Limits
from apps.ingest.problems import Problem, Refused
from tests.ingest import hostile
from tests.ingest.hostile import BATCH, Case, event

MAX_BODY = 32 * 1024 * 1024


def decoded(case: Case, *, reports: bool = False) -> Decoded:
    """Decode a case as the door would, from its headers on."""
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in case.headers]
    if case.content_type is not None:
        headers.append((b"content-type", case.content_type.encode()))
    encodings = [value for name, value in headers if name == b"content-encoding"]
    pieces, decoder = [], bodies.decoder(encodings)
    for piece in decoder.feed(case.body):
        pieces.append(piece)
        if len(pieces) * bodies.PIECE > MAX_BODY and len(b"".join(pieces)) > MAX_BODY:
            raise Refused(413, "body_too_big", "")
    decoder.end()
    body = b"".join(pieces)
    types = tuple(value for name, value in headers if name == b"content-type")
    attributes = any(name.startswith(b"ce-") for name, _ in headers)
    mode = media.mode(reports, types, attributes, empty=not body)
    if reports:
        return decode.reports(body)
    if mode == "lines":
        items = decode.lines(body.split(b"\n"), decode.structured, first=0)
        return Decoded(items, single=False)
    return decode.events(body, mode, headers)


def verdict(case: Case, *, reports: bool = False) -> tuple[int, str, list[Envelope]]:
    """Return status, code and envelopes, as the door would answer."""
    try:
        found = decoded(case, reports=reports)
    except Refused as refused:
        return refused.status, refused.code, []
    problems = [item for item in found.items if isinstance(item, Problem)]
    envelopes = [item for item in found.items if isinstance(item, Envelope)]
    status = 400 if found.single and problems else 200
    return status, problems[0].code if problems else "", envelopes


def shape(envelope: Envelope) -> dict[str, Any]:
    """Return what `Case.fields` names of an envelope."""
    values = msgspec.structs.asdict(envelope)
    values["datacontenttype"] = envelope.content_type
    values["time"] = None if envelope.time is None else isoformat(envelope.time)
    values["metadata"] = json.loads(envelope.metadata or b"{}")
    return values


@pytest.mark.parametrize("case", hostile.EVENTS, ids=str)
def test_events(case: Case) -> None:
    check(case, *verdict(case))


@pytest.mark.parametrize(
    "case", [c for c in hostile.DELIVERIES if c.code != "unknown_position"], ids=str
)
def test_deliveries(case: Case) -> None:
    check(case, *verdict(case, reports=True))


def check(case: Case, status: int, code: str, envelopes: list[Envelope]) -> None:
    assert (status, code) == (case.status, case.code)
    if case.kept is not None:
        assert len(envelopes) == case.kept
    else:
        assert bool(envelopes) == (case.status == 200)
    if case.data is not None:
        assert envelopes[-1].data == case.data
    for name, value in case.fields.items():
        assert shape(envelopes[-1])[name] == value


@given(st.binary(max_size=200))
def test_any_bytes_get_a_verdict(body: bytes) -> None:
    for content_type in (hostile.STRUCTURED, BATCH, hostile.JSON, hostile.NDJSON):
        status, _, _ = verdict(Case("", body, content_type))
        assert status in {200, 400}


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["id", "source", "type", "specversion", "subject", "time", "datacontenttype", "data",
     "data_base64", "correlationid", "causationid", "traceparent", "partitionkey", "sequence",
     "evdebugkind", "evdebugchannel", "ext", "my_ext", "dataschema"]
)  # fmt: skip
VALUES = JSON_VALUES | st.sampled_from(
    ["1.0", "text/plain", "2026-05-12T14:32:07Z", "2026-05-12T16:32:07+02:00", "event", "response",
     "AAA=", f"00-{'ab' * 16}-{'cd' * 8}-01", "x\0", "é" * 600]
)  # fmt: skip


@given(st.dictionaries(NAMES, VALUES), st.booleans(), st.booleans())
def test_the_quick_way_agrees_with_the_careful_one(
    attributes: dict[str, Any], whole: bool, ascii_only: bool
) -> None:
    known = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"} if whole else {}
    raw = json.dumps(known | attributes, ensure_ascii=ascii_only).encode("utf-8", "replace")

    quick = cloudevents.quick(raw)

    if quick is not None:
        assert quick == decode.item(cloudevents.one, raw, 0, Limits())


@given(st.lists(st.dictionaries(NAMES, VALUES), max_size=5))
def test_an_event_is_the_same_alone_in_a_batch_and_in_a_line(events: list[dict[str, Any]]) -> None:
    known = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
    raws = [json.dumps(known | each).encode() for each in events]

    batch = decode.events(b"[" + b",".join(raws) + b"]", "batch").items
    lines = decode.lines(raws, decode.structured, first=0)
    alone = [decode.events(raw, "structured").items[0] for raw in raws]

    assert batch == lines
    assert [_apart(item) for item in batch] == [_apart(item) for item in alone]


def _apart(item: Any) -> Any:
    """Without the index, which is 0 for an event alone."""
    return (item.code, item.detail) if isinstance(item, Problem) else item


def test_lines_number_what_is_not_blank() -> None:
    block = [b"", event(id="a"), b"  \r", b"bad", event(id="b") + b"\r"]

    items = decode.lines(block, decode.structured, first=7)

    assert [item.id if isinstance(item, Envelope) else item.index for item in items] == [
        "a",
        8,
        "b",
    ]


def test_a_line_that_was_cut_is_no_event_even_if_it_looks_like_one() -> None:
    cut = Cut(event() + b"    ")
    cut.size = 20_000_000

    (problem,) = decode.lines([cut], decode.structured, first=0)

    assert isinstance(problem, Problem)
    assert problem.code == "event_too_big"


def test_one_huge_event_of_a_batch_spoils_none_of_the_others() -> None:
    limits = Limits(event=1000)
    body = b"[" + b",".join([event(id="a"), event(b'"' + b"x" * 1000 + b'"'), event(id="b")]) + b"]"

    first, huge, last = decode.events(body, "batch", limits=limits).items

    assert isinstance(first, Envelope)
    assert isinstance(last, Envelope)
    assert isinstance(huge, Problem)
    assert huge.code == "event_too_big"


def test_one_huge_event_alone_is_refused() -> None:
    with pytest.raises(Refused, match="1000") as refused:
        decode.events(event(b'"' + b"x" * 1000 + b'"'), "structured", limits=Limits(event=1000))

    assert (refused.value.status, refused.value.code) == (413, "event_too_big")


def test_a_problem_names_the_byte() -> None:
    (problem,) = decode.events(event(b'"\xff"'), "structured").items

    assert problem == Problem(
        0, "invalid_utf8", f"invalid UTF-8 (byte {event(b'').index(b'}') + 11})"
    )
