"""Who may hold a socket: judged at the handshake, and again while it is open."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from asgiref.sync import SyncToAsync, sync_to_async
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.db import connection, connections
from django.test import Client
from django.urls import path

from apps.access.actor import CONSOLE
from apps.access.commands.keys import create_key, revoke_key
from apps.access.commands.people import create_user, remove_member, set_active, set_role
from apps.access.models import User
from apps.access.queries import keys, sockets, visitors
from apps.access.queries.sockets import Closed, Socket, everyone, guarded
from apps.eventlog.commands.systems import create_system
from apps.eventlog.places import Line
from apps.eventlog.queries import log

# A socket is judged on a thread of its own, which a wrapping transaction would hide rows from.
pytestmark = pytest.mark.django_db(transaction=True)

SITE = "http://testserver"


async def echo(socket: Socket) -> None:
    """Say who is there, then repeat what is said."""
    await socket.send(socket.visitor.name)
    while (text := await socket.heard()) != "enough":
        if text == "fail":
            raise ValueError(text)
        if text == "refuse":
            raise Closed(4409, "not now")
        await socket.send(str(text))


APPLICATION = URLRouter(
    [
        path("ws/<slug:system>/echo", guarded(echo)),
        path("ws/<slug:system>/edit", guarded(echo, role="debugger")),
    ]
)


@pytest.fixture
def shop() -> Line:
    return create_system("shop")


@pytest.fixture
def ada(shop: Line) -> User:
    user = create_user("ada", by=CONSOLE)
    set_role(user, shop.system, "viewer", by=CONSOLE)
    return user


@pytest.fixture
def client(ada: User) -> Client:
    client = Client()
    client.force_login(ada, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    keys.forget()
    yield
    assert len(everyone) == 0
    together = threading.Barrier(4)  # the threads that judged: a database in use cannot be dropped

    def close() -> None:
        together.wait(30)
        connections.close_all()

    for closing in [visitors._asking.submit(close) for _ in range(4)]:
        closing.result(60)
    SyncToAsync.single_thread_executor.submit(connections.close_all).result(60)


def of(client: Client, origin: str = SITE, host: str = "testserver") -> list[tuple[bytes, bytes]]:
    """Return the headers a browser with the client's cookies sends."""
    session = client.cookies["evdebug_session"].value
    headers = [(b"host", host.encode()), (b"cookie", f"evdebug_session={session}".encode())]
    return [*headers, (b"origin", origin.encode())] if origin else headers


def bearing(key: str) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"testserver"), (b"authorization", f"Bearer {key}".encode())]


class Phone:
    """Opens sockets, and hangs up in the end."""

    def __init__(self) -> None:
        self.open: list[WebsocketCommunicator] = []

    async def __call__(self, headers: Any, at: str = "/ws/shop/echo") -> Any:
        """Return an open socket that has said hello, or the code it was refused with."""
        socket = WebsocketCommunicator(APPLICATION, at, headers=headers)
        connected, code = await socket.connect(timeout=30)
        if not connected:
            return code
        self.open.append(socket)
        assert await socket.receive_from(30)
        return socket


@pytest.fixture
async def call() -> AsyncIterator[Phone]:
    phone = Phone()
    yield phone
    for socket in phone.open:
        await socket.disconnect()


async def code_of(socket: WebsocketCommunicator) -> int:
    """Return what an open socket is closed with."""
    output = await socket.receive_output(30)
    assert output["type"] == "websocket.close", output
    return int(output["code"])


@pytest.fixture(autouse=True)
def _reachable(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["testserver", "127.0.0.1"]


async def test_it_works(client: Client, call: Phone) -> None:
    socket = await call(of(client))
    await socket.send_to("hello")
    assert await socket.receive_from(30) == "hello"
    await socket.send_to("enough")
    assert await code_of(socket) == 1000


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("", "testserver"), ("null", "testserver"), ("http://other.example", "testserver"),
        ("http://testserver:8001", "testserver"), ("https://testserver", "testserver"),
        # A name of theirs that points at us: page and socket agree, but it is not our name.
        ("http://evil.example", "evil.example"),
    ],
)  # fmt: skip
async def test_a_page_of_another_site_gets_nothing(
    client: Client, call: Phone, origin: str, host: str
) -> None:
    assert await call(of(client, origin, host)) == 4403


async def test_behind_a_proxy_the_scheme_is_the_proxys(
    client: Client, call: Phone, settings: Any
) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    forwarded = (b"x-forwarded-proto", b"https")
    assert await call([*of(client, SITE), forwarded]) == 4403
    assert not isinstance(await call([*of(client, "https://testserver"), forwarded]), int)


@pytest.mark.parametrize(
    ("at", "code"),
    [("/ws/bank/echo", 4404), ("/ws/nowhere/echo", 4404), ("/ws/shop/edit", 4403)],
)
async def test_a_system_or_role_that_is_not_theirs(
    client: Client, call: Phone, at: str, code: int
) -> None:
    await sync_to_async(create_system)("bank")
    assert await call(of(client), at) == code


async def test_nobody(call: Phone) -> None:
    assert await call([(b"host", b"testserver"), (b"origin", SITE.encode())]) == 4401
    cookie = (b"cookie", b"evdebug_session=guessed")
    assert await call([(b"host", b"testserver"), (b"origin", SITE.encode()), cookie]) == 4401


async def test_a_key_needs_no_origin_but_its_scope_and_system(shop: Line, call: Phone) -> None:
    def made(scope: str, system: int) -> str:
        return create_key(system, scopes={scope}, by=CONSOLE).secret

    bank = await sync_to_async(create_system)("bank")
    assert await call(bearing(await sync_to_async(made)("ingest", shop.system))) == 4403
    assert await call(bearing(await sync_to_async(made)("read", bank.system))) == 4404
    assert await call(bearing("evk_nonsense")) == 4401
    read = await sync_to_async(made)("read", shop.system)
    assert not isinstance(await call(bearing(read)), int)
    assert await call(bearing(read), "/ws/shop/edit") == 4403


async def test_signing_out_ends_their_sockets_at_once(client: Client, call: Phone) -> None:
    socket = await call(of(client))
    other = Client()
    await sync_to_async(other.force_login)(
        await User.objects.aget(username="ada"), backend="django.contrib.auth.backends.ModelBackend"
    )
    elsewhere = await call(of(other))

    await sync_to_async(client.post)("/signout")

    assert await code_of(socket) == 4401
    await elsewhere.send_to("still here")
    assert await elsewhere.receive_from(30) == "still here"


async def test_who_may_no_longer_is_sent_away_at_the_next_look(
    shop: Line, ada: User, client: Client, call: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "AGAIN_S", 0.05)
    key = await sync_to_async(create_key)(shop.system, scopes={"read"}, by=CONSOLE)
    by_session, by_key = await call(of(client)), await call(bearing(key.secret))

    await sync_to_async(revoke_key)(key.id, by=CONSOLE)
    assert await code_of(by_key) == 4401
    await sync_to_async(remove_member)(ada, shop.system, by=CONSOLE)
    assert await code_of(by_session) == 4404


async def test_who_is_locked_out_is_sent_away(
    ada: User, client: Client, call: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "AGAIN_S", 0.05)
    socket = await call(of(client))
    await sync_to_async(set_active)(ada, False, by=CONSOLE)
    assert await code_of(socket) == 4401


async def test_nobody_holds_more_than_their_share(
    client: Client, call: Phone, settings: Any
) -> None:
    settings.USER_SOCKETS = 2
    first = await call(of(client))
    await call(of(client))
    assert await call(of(client)) == 4429
    await first.send_to("enough")
    await code_of(first)
    while isinstance(await call(of(client)), int):
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(("said", "code"), [("fail", 1011), ("refuse", 4409)])
async def test_a_failure_closes_with_a_code(
    client: Client, call: Phone, said: str, code: int
) -> None:
    socket = await call(of(client))
    await socket.send_to(said)
    assert await code_of(socket) == code


async def test_too_much_is_not_listened_to(client: Client, call: Phone) -> None:
    long = await call(of(client))
    await long.send_to("x" * (sockets.MAX_TEXT + 1))
    assert await code_of(long) == 4413


async def test_a_thread_keeps_its_connection_between_asks(shop: Line) -> None:
    def ask() -> Any:
        log.line("shop")
        together.wait(30)
        return connection.connection

    together = threading.Barrier(4)  # each of the four threads, once
    before, after = [
        await asyncio.gather(*(visitors.in_thread(ask) for _ in range(4))) for _ in range(2)
    ]
    assert {*map(id, before)} == {*map(id, after)}
    assert None not in before
