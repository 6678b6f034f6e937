from __future__ import annotations

import pytest

from apps.ingest import media
from apps.ingest.media import Media, mode, parsed
from apps.ingest.problems import Refused


def test_it_works() -> None:
    assert parsed(b'Application/JSON; Charset="UTF-8"') == Media(
        'Application/JSON; Charset="UTF-8"', "application/json", "utf-8"
    )


def of(*types: bytes, attributes: bool = False, empty: bool = False) -> media.Mode:
    """Return the mode of a request to /v1/events."""
    return mode(False, types, attributes, empty=empty)


@pytest.mark.parametrize(
    "value", [b"", b" ", b"json", b"a/b/c", b"a b/c", b"/", b"a/", b"\xff/\xff"]
)
def test_what_is_none_is_refused_with_those_that_are(value: bytes) -> None:
    with pytest.raises(Refused) as refused:
        of(value)
    assert refused.value.status == 415
    assert media.LINES[0] in refused.value.detail


def test_one_that_is_there_twice_is_refused() -> None:
    with pytest.raises(Refused, match="twice"):
        of(b"application/json", b"application/json")


def test_lines_have_three_names() -> None:
    for name in media.LINES:
        assert of(name.encode()) == "lines"


def test_headers_make_any_type_binary_but_ours() -> None:
    assert of(b"image/png", attributes=True) == "binary"
    assert of(b"application/json", attributes=True) == "binary"
    assert of(b"application/cloudevents+json", attributes=True) == "structured"
    assert of(b"application/x-ndjson", attributes=True) == "lines"
    assert of(attributes=True, empty=True) == "binary"


def test_reports_come_as_json_or_lines() -> None:
    assert mode(True, (b"application/json",), False, empty=False) == "plain"
    assert mode(True, (b"application/x-ndjson",), False, empty=False) == "lines"
    with pytest.raises(Refused, match="accepted are application/json or application/x-ndjson"):
        mode(True, (b"application/cloudevents+json",), True, empty=False)
