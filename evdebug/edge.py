"""daphne's HTTP with limits at the edge, before an application is asked.

daphne reads a request's whole body, of any length, into a temporary file before it starts the
application, and waits for slow clients as long as they like. Here

- a body for the pages is held in memory and cut off at a cap, declared or counted;
- under `STREAMED` the application starts when the headers are in and reads the body as it comes;
  when it falls behind, the client is paused: a body of any length takes a megabyte of memory;
- headers, bodies and idle connections have deadlines, kept by one sweep a second over all
  connections, which costs a request nothing;
- an answer given before the body was read is followed by a lingering close: a socket closed with
  unread bytes would reset the connection, and the client would never see why it was refused.
"""

from __future__ import annotations

from typing import Any

from daphne.http_protocol import HTTPFactory
from twisted.internet import reactor
from twisted.web import http

from evdebug import lean
from evdebug.requests import Request, problem

STREAMED = b"/v1/"
HEAD_S = 10  # for the request line and the headers
BODY_S = 30  # for the body of a request to the pages
PIECE_S = 600  # between two pieces of a streamed body; who reads it may be less patient
IDLE_S = 60  # between two requests of a connection
LINGER_S = 2  # for a refused client to read the answer
LINGER_BYTES = 8 * 1024 * 1024  # it may go on sending meanwhile; what it sends is dropped


class Channel(http.HTTPChannel):  # type: ignore[misc]
    """One connection: deadlines, refusals, and the pause that keeps a streamed body bounded."""

    timeOut = None  # the sweep keeps the time
    deadline: float | None = None
    idle = True  # no part of a request is here
    refused = False
    _in_body = _lingers = _client_paused = False
    _dataBuffer: list[bytes]
    _behind = 0  # bytes in it
    _dropped = 0
    _whole: lean.Whole | lean.Brief | None = None  # the request that took the short way

    def connectionMade(self) -> None:
        super().connectionMade()
        self.factory.channels.add(self)
        peer, host = self.transport.getPeer(), self.transport.getHost()
        self._ends = {"client": [str(peer.host), peer.port], "server": [str(host.host), host.port]}
        self._expect(HEAD_S)

    def connectionLost(self, reason: Any = None) -> None:
        self.factory.channels.discard(self)
        if self._whole is not None:
            self._whole.end()
        super().connectionLost(reason)

    def _expect(self, seconds: float | None) -> None:
        self.deadline = None if seconds is None else reactor.seconds() + seconds

    def overdue(self) -> None:
        """Close a connection whose deadline has passed, saying so where somebody may listen."""
        if self._lingers:
            self.transport.abortConnection()
        elif self.idle:
            self.deadline = None
            self.loseConnection()
        else:
            what = "body" if self._in_body else "head"
            self.refuse(
                408, "too_slow", f"the request's {what} did not come in time; send it again"
            )

    def dataReceived(self, data: bytes) -> None:
        if self.refused or self._lingers:
            self._drop(data)
            return
        if self._whole is not None:
            self._wait(data)
            return
        if self.idle:
            self.idle = False
            if self._short_way(data):
                return
            self._expect(HEAD_S)
        elif self._in_body and self.requests[-1].body is not None:
            self._expect(None if self._client_paused else PIECE_S)
        super().dataReceived(data)

    def _drop(self, data: bytes) -> None:
        self._dropped += len(data)
        if self._dropped > LINGER_BYTES:
            self.transport.abortConnection()

    def _short_way(self, data: bytes) -> bool:
        """Start the application of a request that is all there; False for anything else."""
        if not self.persistent or (parsed := lean.read(data)) is None:
            return False
        known, body = parsed
        self.deadline = None
        server = self.factory.server
        if server.at_once is not None:
            self._whole = brief = lean.Brief(self, server.briefs)
            if server.run_at_once(known, body, brief):
                return True
            brief.end()
        self._whole = whole = lean.Whole(self, known.scope | self._ends, body)
        server.run_whole(whole)
        return True

    def _wait(self, data: bytes) -> None:
        """Keep what comes behind a request until it is answered; little of it."""
        self._dataBuffer.append(data)
        self._behind += len(data)
        if self._behind > self._optimisticEagerReadSize:
            self._networkProducer.pauseProducing()

    def answered(self, data: bytes) -> None:
        """Send an answer in one write, and take the next request."""
        self._whole = None
        self.idle = True
        self._expect(IDLE_S)
        write(self.transport, data)
        if not self.persistent:
            self.loseConnection()
        elif self._dataBuffer:
            data = b"".join(self._dataBuffer)
            self._dataBuffer, self._behind = [], 0
            self._networkProducer.resumeProducing()
            self.dataReceived(data)

    def lineReceived(self, line: bytes) -> None:
        if not self.refused:
            super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:
        self.refuse(431, "headers_too_big", "a line of the headers is too long")

    def rawDataReceived(self, data: bytes) -> None:
        if not (self.refused or self._lingers):
            super().rawDataReceived(data)

    def allHeadersReceived(self) -> None:
        if self.refused:
            return
        request = self.requests[-1]
        streamed = self._path.startswith(STREAMED)
        if not streamed and (self.length or 0) > self.factory.cap:
            self.refuse_body()
            return
        self._in_body = self.length != 0
        self._expect(PIECE_S if streamed else BODY_S)
        if streamed:
            request.begin(self._command, self._path, self._version)
        super().allHeadersReceived()

    def allContentReceived(self) -> None:
        if self.refused:
            return
        self._in_body = False
        self._expect(None)
        super().allContentReceived()

    def requestDone(self, request: Request) -> None:
        if not self._in_body:
            self.idle = True
            self._expect(IDLE_S)
        super().requestDone(request)

    def _send100Continue(self) -> None:
        body = self.requests[-1].body if self.requests else None
        if body is not None:
            body.expects_continue = True  # told once the application wants to read
        elif not self.refused:
            super()._send100Continue()

    def go_on(self) -> None:
        """Tell a client that asked whether to send its body."""
        if not (self.refused or self._lingers):
            super()._send100Continue()

    def pause_client(self) -> None:
        """Stop reading: the application has enough to do."""
        self._client_paused = True
        self._expect(None)
        self._networkProducer.pauseProducing()

    def resume_client(self) -> None:
        """Read on."""
        self._client_paused = False
        if self._in_body:
            self._expect(PIECE_S)
        if not self._waitingForTransport:
            self._networkProducer.resumeProducing()

    def resumeProducing(self) -> None:
        super().resumeProducing()
        if self._client_paused:
            self._networkProducer.pauseProducing()

    def refuse_body(self) -> None:
        """Answer 413."""
        self.refuse(413, "body_too_big", f"a body has at most {self.factory.cap} bytes here")

    def refuse(self, status: int, code: str, detail: str) -> None:
        """Answer without asking an application, and close."""
        if self.refused or self._lingers:
            return
        self.refused = True
        content = problem(code, detail)
        reason = http.RESPONSES.get(status, b"Error")
        self.transport.write(
            b"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
            b"Connection: close\r\n\r\n" % (status, reason, len(content)) + content
        )
        for request in self.requests:
            if request.body is not None:
                request.body.put_nowait({"type": "http.disconnect"})
        self._in_body = True  # whatever is still to come is not read
        self.loseConnection()

    def _respondToBadRequestAndDisconnect(self) -> None:
        self.refuse(400, "bad_request", "the request is not well-formed HTTP/1.1")

    def loseConnection(self) -> None:
        if not self._in_body:
            super().loseConnection()
        elif not self._lingers:
            self._lingers = True
            self._expect(LINGER_S)
            self._networkProducer.unregisterProducer()
            self.transport.loseWriteConnection()
            self._networkProducer.resumeProducing()


class Factory(HTTPFactory):  # type: ignore[misc]
    """Makes channels, knows those that are open, and ends those that are overdue."""

    def __init__(self, server: Any, *, cap: int) -> None:
        super().__init__(server)
        self.cap = cap
        self.channels: set[Channel] = set()

    def buildProtocol(self, addr: Any) -> Channel:
        channel = Channel()
        channel.factory = self
        channel.requestFactory = Request
        channel.callLater = reactor.callLater
        return channel

    def let_go(self) -> None:
        """Close the connections that wait for a request; the others after their answer."""
        for channel in list(self.channels):
            channel.persistent = 0
            if channel.idle:
                channel.loseConnection()

    def startFactory(self) -> None:
        """Do nothing: Twisted would format an access log for every request, for nobody."""

    def stopFactory(self) -> None:
        """Do nothing."""

    def log(self, request: Request) -> None:
        """Do nothing."""

    def sweep(self) -> None:
        """End what is overdue; forget what became a socket, which keeps its own time."""
        now = reactor.seconds()
        for channel in list(self.channels):
            if getattr(channel.transport, "protocol", None) is not channel:
                self.channels.discard(channel)
            elif channel.deadline is not None and now > channel.deadline:
                channel.overdue()


def write(transport: Any, data: bytes) -> None:
    """Send now what the socket takes; the reactor sends the rest, if there is any."""
    if transport.connected and not (transport.dataBuffer or transport._tempDataBuffer):
        sent = transport.writeSomeData(data)
        if isinstance(sent, int) and sent >= 0:
            data = data[sent:]
    if data:
        transport.write(data)
