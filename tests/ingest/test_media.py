from __future__ import annotations

import pytest

from apps.ingest import media
from apps.ingest.media import Media, media_of, mode_of
from apps.ingest.problems import Refused


def sent(*values: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", value) for value in values]


def test_it_works() -> None:
    assert media_of(sent(b'Application/JSON; Charset="UTF-8"')) == Media(
        'Application/JSON; Charset="UTF-8"', "application/json", "utf-8"
    )


def test_it_is_not_sent() -> None:
    assert media_of([]) == media_of(sent(b" ")) == Media("", "", "")


@pytest.mark.parametrize("value", [b"json", b"a/b/c", b"a b/c", b"/", b"a/", b"\xff/\xff"])
def test_it_is_none(value: bytes) -> None:
    with pytest.raises(Refused) as refused:
        media_of(sent(value))
    assert refused.value.status == 415
    assert media.LINES[0] in refused.value.detail


def test_it_is_sent_twice() -> None:
    with pytest.raises(Refused, match="twice"):
        media_of(sent(b"application/json", b"application/json"))


def test_lines_have_three_names() -> None:
    for name in media.LINES:
        assert mode_of([], media_of(sent(name.encode()))) == "lines"


def test_headers_make_any_type_binary_but_ours() -> None:
    attributes = [(b"ce-id", b"1")]
    assert mode_of(attributes, media_of(sent(b"image/png"))) == "binary"
    assert mode_of(attributes, media_of(sent(b"application/json"))) == "binary"
    assert mode_of(attributes, media_of(sent(b"application/cloudevents+json"))) == "structured"
    assert mode_of(attributes, media_of(sent(b"application/x-ndjson"))) == "lines"
