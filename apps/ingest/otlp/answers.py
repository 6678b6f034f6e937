"""What the door for spans answers, in the form it was asked in: OTLP/HTTP wants it so."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from apps.ingest import answers
from apps.ingest.answers import Headers, Report
from apps.ingest.otlp import wire
from apps.ingest.problems import Refused

ACCEPTED = f"{wire.PROTOBUF} or {wire.JSON}"


class Form(NamedTuple):
    """Protobuf or JSON: how a request is answered."""

    content_type: str

    def good(self, report: Report) -> tuple[int, Headers, bytes]:
        """Return the answer to a request that was stored, with the spans that were not, if any."""
        said = _rejected(report)
        if self.content_type == wire.JSON:
            partial = {"rejectedSpans": report.rejected, "errorMessage": said}
            return (
                200,
                self._headers(),
                msgspec.json.encode({"partialSuccess": partial} if report.rejected else {}),
            )
        body = b""
        if report.rejected:  # partial_success = 1 {rejected_spans = 1, error_message = 2}
            partial_success = b"\x08" + _varint(report.rejected) + _bytes(2, said.encode())
            body = _bytes(1, partial_success)
        return 200, self._headers(), body

    def bad(self, refused: Refused) -> tuple[int, Headers, bytes]:
        """Return the answer to a request that was refused; in protobuf a google.rpc.Status."""
        status, headers, body = answers.bad(refused)
        if self.content_type == wire.PROTOBUF:
            body = _bytes(2, refused.detail.encode("utf-8", "replace"))
        return status, self._headers() + headers, body

    def _headers(self) -> Headers:
        return [(b"content-type", self.content_type.encode())]


def form(types: list[bytes]) -> Form:
    """Return how a request is written, by its Content-Type headers; JSON where they say nothing."""
    media = types[0].partition(b";")[0].strip().lower() if len(types) == 1 else b""
    return Form(wire.PROTOBUF if media == wire.PROTOBUF.encode() else wire.JSON)


def check(types: list[bytes]) -> None:
    """Raise Refused (415) unless the one Content-Type is one that is read."""
    media = types[0].partition(b";")[0].strip().lower().decode("latin-1") if types else ""
    if len(types) != 1 or media not in (wire.PROTOBUF, wire.JSON):
        said = f"Content-Type {media[:80]!r} is not taken here" if media else "no Content-Type"
        raise Refused(415, "unsupported_content_type", f"{said}; accepted are {ACCEPTED}")


def _rejected(report: Report) -> str:
    told = [f"span {p.index}: {p.detail}" for p in report.problems[:5]]
    more = report.rejected - len(told)
    return "; ".join([*told, f"and {more} more"] if more > 0 else told)


def _bytes(field: int, value: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)
