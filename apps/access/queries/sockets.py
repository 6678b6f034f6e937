"""Guarded WebSockets: who may open one, for how long, and how much they may send.

An app mounts one in its `routing.py`, under an address that holds the system's slug:

    urlpatterns = [path("ws/<slug:system>/runs/<int:run>", guarded(runs, role="viewer"))]

    async def runs(socket: Socket, run: int) -> None:
        while True:
            await socket.send_json(await in_thread(progress, socket.line, run))
            await socket.heard(timeout=0.25)

Sockets are plain ASGI, not Channels consumers: a message then costs a fraction (bench/RESULTS.md).
A handshake is refused with an HTTP status; an open socket is closed with that status + 4000.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings
from django.contrib.auth.signals import user_logged_out
from django.http import HttpRequest

from apps.access.errors import AccessError
from apps.access.queries.visitors import Claim, Visitor, claim, in_thread, judged
from apps.eventlog.errors import EventLogError, LogUnavailable, UnknownSystem, UnknownTimeline
from apps.eventlog.places import Line

logger = logging.getLogger(__name__)

AGAIN_S = 15.0  # between two looks whether they still may; promised are 30
ACCEPT_S = 10.0  # for judging a handshake
WAITING = 32  # messages of a client nobody has asked for yet; one more and it is let go
MAX_TEXT = 64 * 1024
PUSH = "evdebug.push"  # what our own server offers in a scope's extensions; others do without

Serve = Callable[..., Coroutine[Any, Any, None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[Any], Awaitable[None]]
Push = Callable[[bytes], bool]
Ask = tuple[Claim, str, str, int | None]  # what `judged` is asked: claim, slug, role, timeline
Query = dict[str, list[str]]


class Closed(Exception):
    """The socket is to be closed: an HTTP status + 4000, or a code of RFC 6455, and words."""

    def __init__(self, code: int = 1000, words: str = "") -> None:
        super().__init__(words)
        self.code, self.words = code, words

    def message(self) -> dict[str, Any]:
        """Return what ASGI wants to be told."""
        words = self.words.encode()[:120].decode("utf-8", "ignore")
        return {"type": "websocket.close", "code": self.code, "reason": words}


def _never(text: bytes) -> bool:
    return False


class Socket:
    """An open socket of somebody who may see a system. Made by `guarded`."""

    def __init__(
        self, visitor: Visitor, ask: Ask, query: Query, send: Send, push: Push | None = None
    ) -> None:
        self.visitor, self.ask, self.query = visitor, ask, query
        self.push = push or _never  # writes a text at once, or returns False while it cannot
        self.told: Callable[[str], None] | None = None  # takes messages instead of `heard`
        self.loop = asyncio.get_running_loop()
        self._send = send
        self._inbox: asyncio.Queue[str] = asyncio.Queue(WAITING)
        self._end: asyncio.Future[None] = self.loop.create_future()

    @property
    def line(self) -> Line:
        """The line looked at, as it was when the socket was opened."""
        return self.visitor.line

    def parameter(self, name: str, default: str = "") -> str:
        """Return a parameter of the address."""
        return self.query.get(name, [default])[0]

    async def send(self, text: str) -> None:
        """Send a message; returns when the client, or the kernel for it, has taken those before."""
        await self._send({"type": "websocket.send", "text": text})

    async def send_json(self, value: Any) -> None:
        """Send a value as JSON."""
        await self.send(json.dumps(value, separators=(",", ":")))

    async def heard(self, *, timeout: float | None = None) -> str | None:
        """Return the client's next message; None when none came within `timeout` seconds."""
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(self._inbox.get(), timeout)
        return None

    def said(self) -> str | None:
        """Return the client's next message if it is here already."""
        return None if self._inbox.empty() else self._inbox.get_nowait()

    def end(self, closed: Closed) -> None:
        """Have the socket closed. May be called twice; the first reason counts."""
        if not self._end.done():
            self._end.set_exception(closed)

    async def listen(self, receive: Receive) -> None:
        """Keep what the client says until it is asked for; return when it is gone."""
        while (message := await receive())["type"] == "websocket.receive":
            text = message.get("text") or (message.get("bytes") or b"").decode("utf-8", "replace")
            if len(text) > MAX_TEXT:
                raise Closed(4413, "message too big")
            if self.told is not None:
                self.told(text)
                continue
            if self._inbox.full():
                raise Closed(4429, "too many messages")
            self._inbox.put_nowait(text)

    async def attend(self, work: Coroutine[Any, Any, None], receive: Receive) -> Closed | None:
        """Do the work until it ends, the client goes, or `end`; return how to close, if open."""
        listening = asyncio.ensure_future(self.listen(receive))
        working = asyncio.ensure_future(work)
        tasks = {self._end, listening, working}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if listening.done() and not listening.exception():
                return None
            return next((_why(each) for each in (*tasks,) if each.done()), None)
        finally:
            for each in (listening, working):
                each.cancel()
            self._end.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def guarded(serve: Serve, *, role: str = "viewer") -> Any:
    """Return an ASGI application that runs `serve(socket, **rest of the address)` for who may.

    A session must come from a page of this very site; a key comes as a Bearer header. Whether they
    still may is asked every 15 s, and at once when they sign out here. `serve` may raise `Closed`;
    it is cancelled when the client goes, and the socket is closed when it returns.
    """

    async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if (await receive())["type"] != "websocket.connect":
            return
        rest = dict(scope["url_route"]["kwargs"])
        slug = rest.pop("system")
        try:
            socket = await asyncio.wait_for(_let_in(scope, slug, role, send), ACCEPT_S)
        except TimeoutError:
            await send(Closed(4503, "Busy").message())
        except Closed as closed:
            await send(closed.message())
        else:
            with everyone.holding(socket):
                await send({"type": "websocket.accept"})
                closed_by = await socket.attend(serve(socket, **rest), receive)
            if closed_by:
                await send(closed_by.message())

    return application


async def _let_in(scope: dict[str, Any], slug: str, role: str, send: Send) -> Socket:
    """Return the socket of a handshake.  raises  Closed"""
    scheme = "https" if scope.get("scheme") == "wss" else "http"
    made = claim(scope["headers"], scheme=scheme, ip=(scope.get("client") or [""])[0])
    if made.bearer is None and not made.own_site:
        raise Closed(4403, "The page that opens this is of another site")
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    number = query.get("timeline", [""])[0]
    timeline = int(number) if number.isascii() and number.isdigit() and len(number) < 16 else None
    ask = (made, slug, role, timeline)
    try:
        visitor = await in_thread(judged, made, slug, role=role, timeline=timeline)
    except (AccessError, EventLogError) as error:
        raise _reason(error) from error
    if everyone.of(visitor.name) >= settings.USER_SOCKETS:
        raise Closed(4429, "Too many open sockets")
    return Socket(visitor, ask, query, send, (scope.get("extensions") or {}).get(PUSH))


def _why(ended: asyncio.Future[None]) -> Closed:
    """Return how to close after what ended."""
    error = ended.exception()
    if error is None or isinstance(error, Closed):
        return error or Closed()
    if isinstance(error, AccessError | EventLogError):
        return _reason(error)
    logger.error("A socket failed", exc_info=error)
    return Closed(1011, "It failed here; the log says why")


def _reason(error: AccessError | EventLogError) -> Closed:
    if isinstance(error, LogUnavailable):
        return Closed(4503, "The database cannot be read now")
    if isinstance(error, AccessError):
        return Closed(4000 + error.status, error.code)
    return Closed(4404 if isinstance(error, UnknownTimeline | UnknownSystem) else 4422, str(error))


class Everyone:
    """The open sockets of this process, and the watch over who may still hold one."""

    def __init__(self) -> None:
        self._sockets: set[Socket] = set()
        self._counts: Counter[str] = Counter()
        self._watching: asyncio.Task[None] | None = None

    def of(self, name: str) -> int:
        """Return how many a person or key has open."""
        return self._counts[name]

    def __len__(self) -> int:
        return len(self._sockets)

    @contextlib.contextmanager
    def holding(self, socket: Socket) -> Iterator[None]:
        """Count a socket and watch it until the end of the block."""
        self._sockets.add(socket)
        self._counts[socket.visitor.name] += 1
        if self._watching is None or self._watching.done():
            self._watching = asyncio.ensure_future(self._watch())
        try:
            yield
        finally:
            self._sockets.discard(socket)
            self._counts -= Counter([socket.visitor.name])

    async def _watch(self) -> None:
        while self._sockets:
            await asyncio.sleep(AGAIN_S)
            await self.look_again()

    async def look_again(self) -> None:
        """End the sockets of those who may not any more: one look for each claim and system."""
        for ask in {socket.ask for socket in self._sockets}:
            made, slug, role, timeline = ask
            try:
                await in_thread(judged, made, slug, role=role, timeline=timeline)
            except LogUnavailable:
                return  # nothing is known: it is no reason to send people away
            except (AccessError, EventLogError) as error:
                self._send_away(ask, _reason(error))

    def _send_away(self, ask: Ask, closed: Closed) -> None:
        for socket in self._sockets:
            if socket.ask == ask:
                socket.end(closed)

    def signed_out(self, session: str) -> None:
        """End a session's sockets at once. May be called from any thread."""
        for socket in list(self._sockets):
            made = socket.ask[0]
            if made.bearer is None and made.session == session:
                socket.loop.call_soon_threadsafe(socket.end, Closed(4401, "signed out"))


everyone = Everyone()


def _signed_out(request: HttpRequest | None = None, **_: Any) -> None:
    if request is not None and (session := request.session.session_key):
        everyone.signed_out(session)


user_logged_out.connect(_signed_out)
