"""The web server: daphne with the limits of `edge`, stopped cleanly."""

from __future__ import annotations

# First: importing it installs the reactor that runs on asyncio.
from daphne.server import Server  # isort: skip

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from daphne.ws_protocol import WebSocketFactory
from django.conf import settings
from twisted.internet import defer, reactor
from twisted.internet import error as twisted_error
from twisted.logger import STDLibLogObserver, globalLogBeginner

from apps.access.queries.sockets import PUSH
from apps.ingest.writer import queue
from evdebug.edge import Factory
from evdebug.lean import FAILED, AtOnce, Brief, Head, Whole
from evdebug.requests import Request
from evdebug.sockets import MAX_MESSAGE, PING_S, PONG_S, Socket

logger = logging.getLogger(__name__)

BACKLOG = 1024
STOP_S = 10  # for requests under way, and as long again for what is queued
Application = Callable[..., Awaitable[None]]


class CannotListen(Exception):
    """The address cannot be listened on; the text says why."""


def serve(
    application: Application,
    host: str,
    port: int,
    *,
    at_once: AtOnce | None = None,
    ready: Callable[[int], None] | None = None,
) -> None:
    """Serve `application` until SIGINT or SIGTERM, and return when all is answered and stored.

    Runs on the main thread, once per process.
    at_once asked before the application about a request that came whole; see `lean.AtOnce`
    ready   called with the port once it is listened on
    raises  CannotListen
    """
    EdgeServer(application, host, port, at_once).run(ready)


class EdgeServer(Server):  # type: ignore[misc]
    """daphne's server with our protocol, which finishes what it began before it stops."""

    def __init__(
        self, application: Application, host: str, port: int, at_once: AtOnce | None = None
    ) -> None:
        super().__init__(
            application, ["none: run() listens itself"], server_name="", websocket_timeout=-1,
            websocket_connect_timeout=10, ping_interval=PING_S, ping_timeout=PONG_S,
            websocket_max_message_size=MAX_MESSAGE, websocket_max_frame_size=MAX_MESSAGE,
        )  # fmt: skip
        self.host, self.port = host, port
        self.connections: dict[Any, dict[str, Any]] = {}
        self._whole: set[asyncio.Task[None]] = set()
        self.at_once = at_once
        self.briefs: set[Brief] = set()  # under way without a task

    def run(self, ready: Callable[[int], None] | None = None) -> None:
        """Listen, serve until a signal, finish.  raises  CannotListen"""
        _log_errors_of_twisted()
        asyncio.set_event_loop(reactor._asyncioEventloop)
        self.http_factory = Factory(self, cap=settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        self.ws_factory = WebSocketFactory(self, server=self.server_name)
        self.ws_factory.protocol = Socket
        self.ws_factory.setProtocolOptions(
            autoPingTimeout=self.ping_timeout,
            allowNullOrigin=True,  # autobahn's own check knows nothing of ours
            openHandshakeTimeout=self.websocket_handshake_timeout,
            maxMessagePayloadSize=self.websocket_max_message_size,
            maxFramePayloadSize=self.websocket_max_frame_size,
        )
        try:
            self.listener = reactor.listenTCP(
                self.port, self.http_factory, backlog=BACKLOG, interface=self.host.strip("[]")
            )
        except twisted_error.CannotListenError as error:
            where = f"{self.host}:{self.port}"
            raise CannotListen(f"{where} cannot be listened on: {error.socketError}") from error
        for chore in (self.application_checker, self.timeout_checker, self._sweep):
            reactor.callLater(1, chore)
        reactor.addSystemEventTrigger("before", "shutdown", self._finish)
        if ready:
            reactor.callWhenRunning(ready, self.listener.getHost().port)
        reactor.run(installSignalHandlers=True)

    def _sweep(self) -> None:
        reactor.callLater(1, self._sweep)
        self.http_factory.sweep()

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        """Start the application for a request or socket and return its queue."""
        if isinstance(protocol, Socket):
            scope["extensions"] = {PUSH: protocol.push}
        if not isinstance(protocol, Request) or protocol.body is None:
            return super().create_application(protocol, scope)
        scope["asgi"] = {"version": "3.0"}
        send = partial(self.handle_reply, protocol)
        running = asyncio.ensure_future(self.application(scope, protocol.body.receive, send))
        self.connections[protocol]["application_instance"] = running
        running.add_done_callback(partial(self._done, protocol))
        return protocol.body

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """Pass on what an application says; a socket's `send` waits for a client that is behind."""
        if not isinstance(protocol, Socket):
            await super().handle_reply(protocol, message)
            return
        if message["type"] == "websocket.send" and protocol.state == Socket.STATE_OPEN:
            text = message.get("text")
            protocol.serverSend(message["bytes"] if text is None else text, binary=text is None)
        else:
            await super().handle_reply(protocol, message)
        await protocol.drained()

    def run_at_once(self, head: Head, body: bytes, request: Brief) -> bool:
        """Have a request answered without the application; False where it must be asked."""
        assert self.at_once is not None
        try:
            return self.at_once(head, body, request.tell)
        except Exception:
            logger.exception("An application failed")
            request.tell(*FAILED)
            return True

    def run_whole(self, request: Whole) -> None:
        """Start the application of a request that took the short way."""
        answering = self.application(request.scope, request.receive, request.send)
        running = asyncio.ensure_future(answering)
        self._whole.add(running)
        running.add_done_callback(partial(self._done_whole, request))

    def _done_whole(self, request: Whole, running: asyncio.Task[None]) -> None:
        self._whole.discard(running)
        if not running.cancelled() and (error := running.exception()):
            logger.error("An application failed", exc_info=error)
        if not request.ended:
            request.fail()

    def _done(self, protocol: Request, running: asyncio.Task[None]) -> None:
        """Let go of a streamed request at once, and answer for an application that failed."""
        error = None if running.cancelled() else running.exception()
        if error:
            logger.error("An application failed", exc_info=error)
        if "disconnected" not in self.connections.pop(protocol, {}):
            protocol.failed()

    def protocol_disconnected(self, protocol: Any) -> None:
        if protocol in self.connections:
            super().protocol_disconnected(protocol)

    def _finish(self) -> defer.Deferred[None]:
        return defer.Deferred.fromFuture(asyncio.ensure_future(self.finish()))

    async def finish(self) -> None:
        """Take no more connections, answer what is under way, store what is queued."""
        queue.closing()
        loop = asyncio.get_running_loop()
        await defer.maybeDeferred(self.listener.stopListening).asFuture(loop)
        self.http_factory.let_go()
        sockets, requests = self._under_way()
        for running in sockets:
            running.cancel()
        if requests:
            await asyncio.wait(requests, timeout=STOP_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                while self.briefs:
                    await asyncio.sleep(0.01)
        for running in requests:
            running.cancel()
        await asyncio.gather(*sockets, *requests, return_exceptions=True)
        await loop.run_in_executor(None, queue.close, STOP_S)

    def _under_way(self) -> tuple[list[asyncio.Future[Any]], list[asyncio.Future[Any]]]:
        """Return the running applications: those of sockets, which never end, and of requests."""
        sockets: list[asyncio.Future[Any]] = []
        requests: list[asyncio.Future[Any]] = [*self._whole]
        for protocol, details in self.connections.items():
            running = details.get("application_instance")
            if running is not None and not running.done():
                (sockets if isinstance(protocol, Socket) else requests).append(running)
        return sockets, requests


def _log_errors_of_twisted() -> None:
    """Send what Twisted logs to our own log: only its errors mean something to us."""
    logging.getLogger("twisted").setLevel(logging.ERROR)
    globalLogBeginner.beginLoggingTo(
        [STDLibLogObserver("twisted")], redirectStandardIO=False, discardBuffer=True
    )
