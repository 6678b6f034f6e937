"""Bad and odd input for the doors, with the one verdict that every way in and every database gives.

Each case is used twice: on the decoder alone, and over HTTP against a running server.
"""

from __future__ import annotations

import gzip
import itertools
import json
import zlib
from dataclasses import dataclass, field

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
NDJSON = "application/x-ndjson"
JSON = "application/json"
NAME = "x" * 1024


@dataclass(frozen=True)
class Case:
    """A body and its verdict.

    code    of the refusal, or of the first problem of a batch; "" when all of it is stored
    data    what the last event stored must hold, byte for byte; None: look at nothing
    kept    how many of the events are stored, where that is not all or none
    """

    name: str
    body: bytes
    content_type: str | None = STRUCTURED
    headers: tuple[tuple[str, str], ...] = ()
    status: int = 200
    code: str = ""
    data: bytes | None = None
    kept: int | None = None
    fields: dict[str, object] = field(default_factory=dict)  # of the event that is stored

    def __str__(self) -> str:
        return self.name


_ids = (f"e{n}" for n in itertools.count())


def event(raw: bytes = b"", /, **attributes: object) -> bytes:
    """Return a structured CloudEvent; `raw` is its data as JSON text, attributes may be None."""
    known: dict[str, object] = {"specversion": "1.0", "id": next(_ids), "source": "/s", "type": "t"}
    known |= attributes
    text = json.dumps({name: value for name, value in known.items() if value is not None})
    if not raw:
        return text.encode()
    return text[:-1].encode() + b', "data": ' + raw + b"}"


def attribute(name: bytes, value: bytes) -> bytes:
    """Return a CloudEvent with one more attribute, both written as given."""
    return event()[:-1] + b', "' + name + b'": ' + value + b"}"


def ok(name: str, raw: bytes) -> Case:
    """A case whose data is kept exactly as it was written."""
    return Case(f"data: {name}", event(raw), data=raw)


def malformed(name: str, raw: bytes, code: str = "invalid_json") -> Case:
    """A case whose data is no JSON."""
    return Case(f"data: {name}", event(raw), status=400, code=code)


def bad(name: str, code: str, **attributes: object) -> Case:
    """A case with wrong attributes."""
    return Case(name, event(**attributes), status=400, code=code)


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


UTF8 = [  # B1
    malformed("bytes ff fe", b'"\xff\xfe"', "invalid_utf8"),
    malformed("an overlong NUL", b'"\xc0\x80"', "invalid_utf8"),
    malformed("an encoded surrogate", b'"\xed\xa0\x80"', "invalid_utf8"),
    malformed("half a character", b'"\xe2\x82"', "invalid_utf8"),
    Case("a bad byte in a name", event().replace(b"/s", b"/\xff"), status=400, code="invalid_utf8"),
    Case("a bad byte in one of three", b"[" + b",".join([event(id="a"), event(b'"\xff"'),
         event(id="b")]) + b"]", BATCH, code="invalid_utf8", kept=2),
    ok("all of Unicode's planes", '"é€𝄞\U0010fffd"'.encode()),
]  # fmt: skip
TEXTS = [  # B2, B3
    ok("NUL in a value", rb'"a\u0000b"'),
    ok("NUL in a key", rb'{"a\u0000": 1}'),
    malformed("a bare NUL", b'"a\x00b"'),
    ok("a lone high surrogate", rb'"\ud800"'),
    ok("a lone low surrogate", rb'{"\udfff": "\uDC00x"}'),
    ok("surrogates the wrong way round", rb'"\udc00\ud800"'),
    ok("a high surrogate before a letter", rb'"\ud800\u0041"'),
    *[
        Case(f"NUL in {name}", attribute(name.encode(), rb'"a\u0000b"'), status=400,
             code="bad_text")
        for name in ("id", "source", "type", "subject", "correlationid", "causationid",
                     "partitionkey", "sequence", "datacontenttype")
    ],
    *[
        Case(f"half a surrogate pair in {name}", attribute(name.encode(), rb'"a\ud83d"'),
             status=400, code="bad_text")
        for name in ("id", "source", "type", "subject", "correlationid", "datacontenttype")
    ],
    Case("half a surrogate pair as a name", attribute(rb"\ud800", b"1"), status=400,
         code="bad_text"),
    Case("NUL in an extension", attribute(b"ext", rb'"a\u0000"'),
         fields={"metadata": {"ext": "a\0"}}),
]  # fmt: skip
NUMBERS = [  # B4, B5, B6
    ok("2^53+1", b"9007199254740993"),
    ok("2^63", b"9223372036854775808"),
    ok("2^64", b'{"n": 18446744073709551616}'),
    ok("4301 digits", b"1" * 4301),
    ok("1e400", b"1e400"),
    ok("1e-400", b"1e-400"),
    ok("many decimals", b"0.1000000000000000055511151231257827"),
    ok("minus zero", b"-0.0"),
    ok("1.0", b"1.0"),
    malformed("NaN", b"NaN"),
    malformed("Infinity", b'{"a": Infinity}'),
    malformed("-Infinity", b"-Infinity"),
    malformed("01", b"01"),
    malformed(".5", b".5"),
    malformed("5.", b"5."),
    malformed("+1", b"+1"),
    malformed("0x10", b"0x10"),
    Case("1e400 as an extension", attribute(b"ext", b"1e400"), status=400, code="bad_attribute"),
]
SHAPES = [  # B7, B8
    ok("equal keys", b'{"a": 1, "a": 2, "a": {"a": 3, "a": 4}}'),
    *[ok(f"nested {n} deep", deep(n)) for n in (200, 201, 255, 300, 1100, 10_000, 100_000)],
    ok("objects nested 50 000 deep", b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    malformed("100 000 brackets without an end", b"[" * 100_000),
    malformed("brackets that do not match", deep(5000)[:-1] + b"}"),
    ok("__proto__ and constructor", b'{"__proto__": {"x": 1}, "constructor": null}'),
    ok("null", b"null"),
    ok("white space inside", b'{ "a" :\t[ 1 ,\r\n 2 ] }'),
    ok("a string", b'"hello"'),
    Case("no data", event(), data=b""),
    Case("too many attributes", event(**{f"a{n}": n for n in range(2000)}), status=400,
         code="too_many_attributes"),
]  # fmt: skip
BODIES = [  # B10, B17
    Case("a byte order mark", b"\xef\xbb\xbf" + event(b"1"), data=b"1"),
    Case("a byte order mark in the middle", event(b"\xef\xbb\xbf1"), status=400,
         code="invalid_json"),
    Case("UTF-16", event().decode().encode("utf-16"), status=400, code="invalid_utf8"),
    Case("UTF-16 without a mark", event().decode().encode("utf-16-le"), status=400,
         code="invalid_json"),
    Case("nothing", b"", status=400, code="invalid_json"),
    Case("blanks", b" \n", status=400, code="invalid_json"),
    Case("null", b"null", status=400, code="not_an_event"),
    Case("a number", b"3", status=400, code="not_an_event"),
    Case("an empty string", b'""', status=400, code="not_an_event"),
    Case("an array where one event is announced", b"[]", status=400, code="not_an_event"),
    Case("an event where an array is announced", event(), BATCH, status=400, code="not_an_array"),
    Case("garbage after it", event() + b"x", status=400, code="invalid_json"),
    Case("two documents", event() + event(), status=400, code="invalid_json"),
    Case("cut short", event()[:-1], status=400, code="invalid_json"),
    Case("no quotes", b"{specversion: 1}", status=400, code="invalid_json"),
    Case("a comment", b"/* */" + event(), status=400, code="invalid_json"),
    Case("an empty array", b"[]", BATCH, kept=0),
    Case("an empty array of plain events", b"[]", JSON, kept=0),
    Case("plain: nothing", b"", JSON, status=400, code="invalid_json"),
    Case("plain: null", b"null", JSON, status=400, code="not_an_event"),
    Case("plain: a string", b'"x"', JSON, status=400, code="not_an_event"),
    Case("a mixed array", b"[" + b",".join([event(id="a"), b"3", b"null", b"[]", event(id="b")])
         + b"]", BATCH, code="not_an_event", kept=2),
    Case("an array cut short", b"[" + event() + b",", BATCH, status=400, code="invalid_json"),
    Case("an array with a comma too many", b"[" + event() + b",]", BATCH, status=400,
         code="invalid_json"),
    Case("10 001 events", b"[" + b",".join([b'{"type":"t"}'] * 10_001) + b"]", JSON, status=413,
         code="too_many_events"),
    Case("five million objects", b"[" + b",".join([b"{}"] * 5_000_000) + b"]", JSON, status=413,
         code="too_many_events"),
    Case("seven million numbers", b"[" + b",".join([b"1"] * 7_000_000) + b"]", BATCH, status=413,
         code="too_many_events"),
    Case("an array of a surrogate and a good one", b"[" + event(rb'"\ud800"', id="a") + b"," +
         event(b"2", id="b") + b"]", BATCH, kept=2, data=b"2"),
    Case("an array with one that is nested deep", b"[" + event(deep(3000), id="a") + b"," +
         event(b"2", id="b") + b"]", BATCH, kept=2, data=b"2"),
]  # fmt: skip
IDENTITY = [  # B20 to B24
    bad("no id", "missing_id", id=None),
    bad("an empty id", "missing_id", id=""),
    Case("id is null", attribute(b"id", b"null"), status=400, code="missing_id"),
    bad("a number as id", "bad_attribute", id=5),
    bad("no source", "missing_source", source=None),
    bad("an empty source", "missing_source", source=""),
    bad("no type", "missing_type", type=None),
    bad("an object as type", "bad_attribute", type={}),
    bad("no specversion", "missing_specversion", specversion=None),
    bad("specversion 0.3", "bad_specversion", specversion="0.3"),
    bad("specversion 1.00", "bad_specversion", specversion="1.00"),
    bad("specversion as a number", "bad_attribute", specversion=1.0),
    Case("an id of 1024 bytes", event(id=NAME), fields={"id": NAME}),
    bad("an id of 1025 bytes", "name_too_long", id=NAME + "x"),
    bad("an id of 2705 bytes", "name_too_long", id="x" * 2705),
    bad("an id of a megabyte", "name_too_long", id="x" * 1_000_000),
    bad("1026 bytes in 342 characters", "name_too_long", type="€" * 342),
    Case("1023 bytes in 341 characters", event(type="€" * 341), fields={"type": "€" * 341}),
    *[Case(f"the id {text!r}", event(id=text), fields={"id": text})
      for text in (" ", "../..", "a\nb", "\x1b[31mred", "😀", "é", "e\u0301", "\u202eevil", "=1+1",
                   "<script>alert(1)</script>", "{{7*7}}", "' OR 1=1 --", "\ufeff", "\u200b")],
    bad("an upper-case attribute", "bad_attribute_name", Upper="x"),
    bad("an attribute with _", "bad_attribute_name", my_ext="x"),
    bad("an attribute that is not ASCII", "bad_attribute_name", **{"é": "x"}),
    bad("an attribute without a name", "bad_attribute_name", **{"": "x"}),
    Case("a long attribute name", event(**{"a" * 100: "x"}), fields={"metadata": {"a" * 100: "x"}}),
    Case("unknown extensions", event(b"1", ext="x", n=5, flag=True, none=None), data=b"1",
         fields={"metadata": {"ext": "x", "n": 5, "flag": True}}),
    bad("an object as an extension", "bad_attribute", ext={"a": 1}),
    bad("an array as an extension", "bad_attribute", ext=[1]),
    bad("65 KiB of an extension", "metadata_too_big", ext="x" * 66_000),
    Case("data and data_base64", event(b"1", data_base64="MQ=="), status=400, code="both_data"),
    Case("data_base64", event(data_base64="AP8="), data=b"\x00\xff"),
    bad("data_base64 that is none", "bad_base64", data_base64="a"),
    bad("data_base64 with a line end", "bad_base64", data_base64="AP8=\n"),
    bad("data_base64 as a number", "bad_attribute", data_base64=5),
    Case("text as data", event(b'"a\\u0041\\n"', datacontenttype="text/plain"), data=b"aA\n",
         fields={"datacontenttype": "text/plain"}),
    Case("half a surrogate pair in text", event(rb'"\ud800"', datacontenttype="text/plain"),
         status=400, code="bad_text"),
    Case("a subject, a key and a sequence", event(subject="order-1", partitionkey="k", sequence=7),
         fields={"stream": "order-1", "key": "k", "offset": "7"}),
    Case("a correlation and a cause", event(correlationid="c", causationid="x"),
         fields={"correlation": "c", "causation": "x"}),
    Case("its own cause", event(id="self", causationid="self"),  # B31
         fields={"causation": "self"}),
    Case("a cycle of two", b"[" + event(id="egg", causationid="hen") + b"," +
         event(id="hen", causationid="egg") + b"]", BATCH, kept=2),
    Case("a hundred kilobytes of data", event(b'"%s"' % (b"x" * 100_000)), kept=1),
    Case("a traceparent", event(traceparent=f"00-{'ab' * 16}-{'cd' * 8}-01"),
         fields={"correlation": "ab" * 16}),
    Case("a traceparent and a correlation", event(traceparent=f"00-{'ab' * 16}-{'cd' * 8}-01",
         correlationid="c"), fields={"correlation": "c"}),
    Case("a traceparent of zeros", event(traceparent=f"00-{'0' * 32}-{'cd' * 8}-01"),
         fields={"correlation": ""}),
    Case("a traceparent that is none", event(traceparent="what"), fields={"correlation": ""}),
    Case("a command", event(evdebugkind="command"), fields={"kind": "command"}),
    bad("a kind there is not", "bad_kind", evdebugkind="thing"),
    bad("a delivery with an outcome there is not", "bad_outcome", evdebugkind="delivery"),
]  # fmt: skip
TIMES = [  # B29, B30
    *[bad(f"time {text!r}", "bad_time", time=text)
      for text in ("", "now", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z",
                   "2026-05-12T24:00:00Z", "2026-05-12T14:32:07+25:00", "2026-02-30T00:00:00Z",
                   "2026-W20-2T14:32:07Z", "2026-05-12", "14:32:07", "2026-05-12T14:32Z",
                   "2026-05-12T14:32:61Z", "2026-05-12T14:60:00Z", "1778596327",
                   "2026-05-12T14:32:07+0200", "0001-01-01T00:00:00+01:00",
                   "9999-12-31T23:59:59-01:00", "2026-05-12T14:32:07,5Z")],
    *[Case(f"time {text}", event(time=text), fields={"time": shown, "metadata": {
        "time_text": text, "time_flags": flags} if flags else {}})
      for text, shown, flags in (
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z", []),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z", []),
        ("2026-05-12T14:32:07.4Z", "2026-05-12T14:32:07.400Z", []),
        ("2026-05-12T14:32:07+00:00", "2026-05-12T14:32:07.000Z", []),
        ("2026-05-12T14:32:07.123456789Z", "2026-05-12T14:32:07.123456Z", ["below_microseconds"]),
        ("2026-05-12T16:32:07+02:00", "2026-05-12T14:32:07.000Z", ["offset"]),
        ("2026-05-12T14:32:07", "2026-05-12T14:32:07.000Z", ["no_zone"]),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999999Z", ["leap_second"]),
        ("2026-05-12t14:32:07z", "2026-05-12T14:32:07.000Z", ["form"]),
        ("2036-05-12T14:32:07Z", "2036-05-12T14:32:07.000Z", []),
        ("2016-05-12T14:32:07Z", "2016-05-12T14:32:07.000Z", []),
    )],
    bad("a number as time", "bad_attribute", time=1778596327),
    bad("a list as time", "bad_attribute", time=[1]),
    Case("plain: ms since 1970", b'{"type":"t","time":1778596327418}', JSON, fields={
        "time": "2026-05-12T14:32:07.418Z",
        "metadata": {"time_text": "1778596327418", "time_flags": ["epoch_ms"]}}),
    Case("plain: a time beyond all units", b'{"type":"t","time":1e99}', JSON, status=400,
         code="bad_time"),
]  # fmt: skip


def binary(**attributes: str) -> tuple[tuple[str, str], ...]:
    """Return the headers of a CloudEvent in binary mode."""
    known = {"specversion": "1.0", "id": next(_ids), "source": "/s", "type": "t"} | attributes
    return tuple((f"ce-{name}", value) for name, value in known.items())


HEADERS = [
    Case("binary: text", b"hello \xff", "text/plain", binary(), data=b"hello \xff",
         fields={"datacontenttype": "text/plain"}),
    Case("binary: JSON, kept as it is", b' {"a" : 1}\n', JSON, binary(), data=b' {"a" : 1}\n'),
    Case("binary: JSON that is none", b"{", JSON, binary(), data=b"{"),
    Case("binary: a charset of its own", b"\xe9", "text/plain; charset=latin-1", binary(),
         data=b"\xe9", fields={"datacontenttype": "text/plain; charset=latin-1"}),
    Case("binary: no data", b"", None, binary(), data=b""),
    Case("binary: data without a content type", b"x", None, binary(), status=415,
         code="unsupported_content_type"),
    Case("binary: percent-encoded", b"", JSON, binary(subject="%E2%82%AC%20%25", type="a%62"),
         fields={"stream": "\u20ac %", "type": "ab"}),
    Case("binary: decoded once only", b"", JSON, binary(subject="%2525"), fields={"stream": "%25"}),
    Case("binary: no percent code", b"", JSON, binary(subject="100%"), fields={"stream": "100%"}),
    Case("binary: quoted", b"", JSON, binary(subject='"a \\"b\\""'), fields={"stream": 'a "b"'}),
    Case("binary: percent-encoded line end", b"", JSON, binary(subject="a%0D%0Ab"),
         fields={"stream": "a\r\nb"}),
    Case("binary: percent-encoded NUL", b"", JSON, binary(subject="a%00b"), status=400,
         code="bad_text"),
    Case("binary: percent-encoded surrogate", b"", JSON, binary(subject="%ED%A0%80"), status=400,
         code="bad_text"),
    Case("binary: no id", b"", JSON, binary()[:1] + binary()[2:], status=400, code="missing_id"),
    Case("binary: an attribute with _", b"", JSON, binary(my_ext="x"), status=400,
         code="bad_attribute_name"),
    Case("binary: an attribute called data", b"", JSON, binary(data="x"), status=400,
         code="bad_attribute_name"),
    Case("binary: a content type among the attributes", b"", JSON, binary(datacontenttype="a/b"),
         status=400, code="bad_attribute"),
    Case("binary: an attribute twice", b"", JSON, (*binary(), ("ce-id", "2")), status=400,
         code="bad_attribute"),
    Case("binary: an extension", b"", JSON, binary(ext="x"), fields={"metadata": {"ext": "x"}}),
    Case("structured, and headers that are not looked at", event(b"1", id="own"), STRUCTURED,
         binary(id="other"), data=b"1", fields={"id": "own"}),
]  # fmt: skip
MEDIA = [  # B25
    *[Case(f"content type {text!r}", event(), text, status=415, code="unsupported_content_type")
      for text in ("text/plain", "multipart/form-data; boundary=x", "application/xml",
                   "application/x-www-form-urlencoded", "application/cloudevents+avro",
                   "application/cloudevents", "application/cloudevents-batch+avro", "json", "*/*",
                   "application/json+", "application", f"{JSON}; charset=latin-1",
                   f"{STRUCTURED}; charset=utf-16", f"{BATCH}; charset=iso-8859-1",
                   f"{NDJSON}; charset=ebcdic", "text/json")],
    Case("no content type", event(), None, status=415, code="unsupported_content_type"),
    *[Case(f"content type {text!r}", event(), text, kept=1)
      for text in (f"{STRUCTURED}; charset=utf-8", f"{STRUCTURED};charset=\"UTF-8\"",
                   "Application/CloudEvents+JSON", f"{JSON}; charset=utf8", JSON)],
]  # fmt: skip


def packed(body: bytes, **options: int) -> bytes:
    return gzip.compress(body, **options)


def encoded(name: str, body: bytes, encoding: str, status: int = 200, code: str = "") -> Case:
    """A case with a content encoding."""
    return Case(f"encoding: {name}", body, headers=(("Content-Encoding", encoding),),
                status=status, code=code)  # fmt: skip


GOOD = event(b"[1, 2, 3]")
BARE = zlib.compressobj(wbits=-15)
BOMB = packed(b"[" + b" " * 100_000_000 + b"]")
ENCODINGS = [  # B15
    encoded("gzip", packed(GOOD), "gzip"),
    encoded("x-gzip", packed(GOOD), "x-gzip"),
    encoded("GZIP", packed(GOOD), "GZIP"),
    encoded("gzip of two members", packed(GOOD[:20]) + packed(GOOD[20:]), "gzip"),
    encoded("deflate", zlib.compress(GOOD), "deflate"),
    encoded("deflate without a header", BARE.compress(GOOD) + BARE.flush(), "deflate"),
    encoded("identity", GOOD, "identity"),
    encoded("cut short", packed(GOOD)[:-12], "gzip", 400, "bad_encoding"),
    encoded("without its checksum", packed(GOOD)[:-8], "gzip", 400, "bad_encoding"),
    encoded("a wrong checksum", packed(GOOD)[:-8] + b"\0" * 8, "gzip", 400, "bad_encoding"),
    encoded("a flipped bit", packed(GOOD)[:20] + b"\xff" + packed(GOOD)[21:], "gzip", 400,
            "bad_encoding"),
    encoded("garbage behind it", packed(GOOD) + b"garbage", "gzip", 400, "bad_encoding"),
    encoded("not gzip at all", GOOD, "gzip", 400, "bad_encoding"),
    encoded("gzip that is not announced", packed(GOOD), "identity", 400, "invalid_utf8"),
    encoded("gzip in gzip, one announced", packed(packed(GOOD)), "gzip", 400, "invalid_utf8"),
    encoded("gzip, gzip", packed(packed(GOOD)), "gzip, gzip", 415, "unsupported_encoding"),
    encoded("br", GOOD, "br", 415, "unsupported_encoding"),
    encoded("zstd", GOOD, "zstd", 415, "unsupported_encoding"),
    encoded("a bomb", BOMB, "gzip", 413, "body_too_big"),
    encoded("a bomb of zlib", zlib.compress(b" " * 100_000_000), "deflate", 413, "body_too_big"),
]  # fmt: skip
PLAIN = [
    Case("plain: the least", b'{"type":"t"}', JSON, data=b"", fields={"type": "t", "source": ""}),
    Case("plain: all of it", json.dumps({
            "type": "t", "id": "i", "source": "/s", "stream": "a-1", "kind": "command",
            "time": "2026-05-12T14:32:07.418Z", "correlation": "c", "causation": "x",
            "channel": "ch", "partition": "3", "offset": 17, "key": "k", "data": 5,
            "metadata": {"h": [1, {"a": 2}]}, "other": {"nested": True}}).encode(), JSON, data=b"5",
         fields={"id": "i", "source": "/s", "stream": "a-1", "kind": "command",
                 "time": "2026-05-12T14:32:07.418Z", "correlation": "c", "causation": "x",
                 "channel": "ch", "partition": "3", "offset": "17", "key": "k",
                 "metadata": {"h": [1, {"a": 2}], "other": {"nested": True}}}),
    Case("plain: the names of CloudEvents", json.dumps({
            "specversion": "1.0", "type": "t", "subject": "a-1", "correlationid": "c",
            "causationid": "x", "partitionkey": "k"}).encode(), JSON,
         fields={"stream": "a-1", "correlation": "c", "causation": "x", "key": "k",
                 "metadata": {}}),
    Case("plain: a number as id", b'{"type":"t","id":42}', JSON, fields={"id": "42"}),
    Case("plain: no type", b'{"id":"1"}', JSON, status=400, code="missing_type"),
    Case("plain: type null", b'{"type":null}', JSON, status=400, code="missing_type"),
    Case("plain: type is an object", b'{"type":{}}', JSON, status=400, code="bad_attribute"),
    Case("plain: NUL in the stream", rb'{"type":"t","stream":"\u0000"}', JSON, status=400,
         code="bad_text"),
    Case("plain: a long key", b'{"type":"t","key":"%s"}' % (b"x" * 1025), JSON, status=400,
         code="name_too_long"),
    Case("plain: metadata is no object", b'{"type":"t","metadata":[]}', JSON, status=400,
         code="bad_attribute"),
    Case("plain: an attribute nested deep", b'{"type":"t","x":%s}' % deep(500), JSON, status=400,
         code="bad_attribute"),
    Case("plain: an attribute nested very deep", b'{"type":"t","x":%s}' % deep(20_000), JSON,
         status=400, code="bad_attribute"),
    Case("plain: half a surrogate pair in an attribute", rb'{"type":"t","x":"\ud800"}', JSON,
         status=400, code="bad_attribute"),
    Case("plain: equal names", b'{"type":"a","type":"b"}', JSON, fields={"type": "b"}),
    Case("plain: what the log decided", b'{"type":"t","position":9,"seen":4,"revision":1}', JSON,
         fields={"metadata": {}}),
    Case("plain: a cause that is no position", b'{"type":"t","cause":-1}', JSON, status=400,
         code="bad_position"),
]  # fmt: skip
EVENTS = [
    *UTF8, *TEXTS, *NUMBERS, *SHAPES, *BODIES, *IDENTITY, *TIMES, *HEADERS, *MEDIA, *ENCODINGS,
    *PLAIN,
]  # fmt: skip


def report(**fields: object) -> bytes:
    """Return a delivery as it is reported; fields may be None."""
    known: dict[str, object] = {
        "event": {"id": "e", "source": "/s"}, "subscriber": "payments", "attempt": 1,
        "outcome": "handled", "started_at": "2026-05-12T14:32:07.418Z",
        "finished_at": "2026-05-12T14:32:07.500Z", "error": "",
    }  # fmt: skip
    known |= fields
    return json.dumps({name: value for name, value in known.items() if value is not None}).encode()


def wrong(name: str, code: str, **fields: object) -> Case:
    return Case(name, report(**fields), JSON, status=400, code=code)


DELIVERIES = [
    Case("a report", report(), JSON, data=report(), fields={
        "kind": "delivery", "type": "handled", "source": "payments", "causation": "e",
        "time": "2026-05-12T14:32:07.500Z"}),
    Case("an array of reports", b"[" + report() + b"," + report(attempt=2) + b"]", JSON, kept=2),
    Case("a report with more in it", report(extra={"a": [1]}, trace="x"), JSON,
         data=report(extra={"a": [1]}, trace="x")),
    Case("started, not finished", report(finished_at=None), JSON,
         fields={"time": "2026-05-12T14:32:07.418Z"}),
    Case("no times", report(started_at=None, finished_at=None), JSON, kept=1),
    Case("a time with an offset", report(finished_at="2026-05-12T16:32:07+02:00"), JSON, fields={
        "time": "2026-05-12T14:32:07.000Z",
        "metadata": {"time_text": "2026-05-12T16:32:07+02:00", "time_flags": ["offset"]}}),
    Case("an event without a source", report(event={"id": "e"}), JSON, fields={"causation": "e"}),
    Case("attempts are counted from one on their own", report(attempt=None), JSON, kept=1),
    wrong("no event", "missing_event", event=None),
    wrong("an event without id and position", "missing_event", event={}),
    wrong("an event that is no object", "bad_event", event="e"),
    wrong("a position of zero", "bad_position", event={"position": 0}),
    wrong("a position that is text", "bad_position", event={"position": "1"}),
    wrong("a position beyond all", "bad_position", event={"position": 1 << 60}),
    wrong("a position to come", "unknown_position", event={"position": 1 << 38}),
    wrong("no subscriber", "missing_subscriber", subscriber=None),
    wrong("a subscriber that is a number", "bad_attribute", subscriber=5),
    wrong("a subscriber with NUL", "bad_text", subscriber="a\0"),
    wrong("a subscriber of 1025 bytes", "name_too_long", subscriber="x" * 1025),
    wrong("no outcome", "bad_outcome", outcome=None),
    wrong("an outcome there is not", "bad_outcome", outcome="exploded"),
    wrong("attempt zero", "bad_attempt", attempt=0),
    wrong("half an attempt", "bad_attempt", attempt=1.5),
    wrong("an attempt as text", "bad_attempt", attempt="1"),
    wrong("a time that is none", "bad_time", started_at="yesterday"),
    wrong("an error that is no text", "bad_attribute", error={"code": 5}),
    Case("no JSON", b"{", JSON, status=400, code="invalid_json"),
    Case("null", b"null", JSON, status=400, code="not_an_event"),
    Case("an empty array", b"[]", JSON, kept=0),
    Case("CloudEvents at the wrong door", event(), STRUCTURED, status=415,
         code="unsupported_content_type"),
    Case("no content type", report(), None, status=415, code="unsupported_content_type"),
]  # fmt: skip
