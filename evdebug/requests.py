"""A request that Twisted has parsed: held in memory for the pages, streamed to the doors."""

from __future__ import annotations

import io
import json
from typing import Any
from urllib.parse import unquote

from daphne.http_protocol import WebRequest
from daphne.utils import HEADER_NAME_RE, INVALID_HEADER_VALUE_BYTES

from evdebug.bodies import Body


class Request(WebRequest):  # type: ignore[misc]
    """One request; streamed or not is known once its first line is."""

    error_template = "%(body)s"
    body: Body | None = None
    _held = 0

    def __init__(self, channel: Any, queued: object = False) -> None:
        # Never let Twisted parse forms: it does so in memory, and Django does it again.
        super().__init__(channel, queued, parsePOSTFormSubmission=False)

    def gotLength(self, length: int | None) -> None:
        self.content = io.BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        if self.body is not None:
            self.body.feed(data)
            return
        self._held += len(data)
        if self._held > self.channel.factory.cap:
            self.channel.refuse_body()
        else:
            self.content.write(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        self.requestHeaders.removeHeader(b"daphne-root-path")  # anybody could set our root by it
        if self.body is not None:
            self.body.end()
        else:
            super().requestReceived(command, path, version)

    def begin(self, command: bytes, uri: bytes, version: bytes) -> None:
        """Start the application of a streamed request; its body is still to come."""
        self.method, self.uri, self.clientproto = command, uri, version
        self.path, _, query = uri.partition(b"?")
        headers = []
        for name, values in self.requestHeaders.getAllRawHeaders():
            bad = any(INVALID_HEADER_VALUE_BYTES.intersection(value) for value in values)
            if bad or not HEADER_NAME_RE.fullmatch(name):
                self.channel.refuse(400, "bad_header", "a header's name or value is malformed")
                return
            headers += [(name.lower(), value) for value in values]
        if not (uri + command).isascii():
            self.channel.refuse(400, "bad_request", "the request line is not ASCII")
            return
        self.client_addr = [str(self.client.host), self.client.port]
        self.body = Body(self.channel)
        scope = {
            "type": "http", "http_version": version.rpartition(b"/")[2].decode("latin-1"),
            "method": command.decode(), "path": unquote(self.path.decode()), "raw_path": self.path,
            "root_path": "", "scheme": "http", "query_string": query, "headers": headers,
            "client": self.client_addr, "server": [str(self.host.host), self.host.port],
        }  # fmt: skip
        self.application_queue = self.body
        self.server.create_application(self, scope)

    def handle_reply(self, message: dict[str, Any]) -> None:
        if self.finished or self.channel is None or self.channel.refused:
            return
        if self.body is not None and not self.body.ended and not self._response_started:
            # What follows on this connection is the rest of the body: no request can.
            self.responseHeaders.setRawHeaders(b"Connection", [b"close"])
            self.channel.persistent = 0
        super().handle_reply(message)

    def failed(self) -> None:
        """Answer for an application that ended without an answer."""
        if self.finished or self.channel is None:
            return
        if self._response_started:
            self.transport.abortConnection()  # half an answer must not pass for a whole one
        else:
            self.handle_exception(None)

    def basic_error(self, status: int, status_text: bytes, body: str) -> None:
        """Answer an error of the server itself in the shape of all others."""
        content = problem(status_text.decode("latin-1").lower().replace(" ", "_"), body)
        headers = [
            (b"Content-Type", b"application/json"),
            (b"Content-Length", b"%d" % len(content)),
        ]
        self.handle_reply({"type": "http.response.start", "status": status, "headers": headers})
        self.handle_reply({"type": "http.response.body", "body": content})


def problem(code: str, detail: str) -> bytes:
    """Return the JSON of an error answer."""
    return json.dumps({"code": code, "detail": detail}).encode()
