"""Who opens a socket, and whether they still may: judged from headers, in a thread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple, TypeVar

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError, InterfaceError, connections
from django.http import HttpRequest, parse_cookie
from django.http.request import split_domain_port, validate_host

from apps.access.actor import Actor
from apps.access.errors import BadKey, NotVisible, WrongScope
from apps.access.middleware import SEEN
from apps.access.origins import is_own
from apps.access.queries import keys, people
from apps.access.roles import SCOPE_FOR
from apps.eventlog.errors import LogUnavailable, UnknownSystem
from apps.eventlog.places import Line
from apps.eventlog.queries import log

KEEP_S = 60.0  # a connection of these threads, at least

T = TypeVar("T")
_asking = ThreadPoolExecutor(4, thread_name_prefix="sockets")


class Claim(NamedTuple):
    """What a handshake says about who sends it: a key, or a browser's session and its site."""

    bearer: str | None  # None without an Authorization header
    session: str
    own_site: bool
    ip: str


class Visitor(NamedTuple):
    """Somebody who may see a line, as a socket knows them. `name` is one per person or key."""

    line: Line
    name: str
    actor: Actor


async def in_thread(ask: Callable[..., T], *args: Any, **named: Any) -> T:
    """Return `ask(…)`, run on a thread with a database connection of its own.

    raises  what `ask` raises; LogUnavailable for a database that cannot be asked
    """
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_asking, partial(_asked, partial(ask, *args, **named)))


def _asked(ask: Callable[[], T]) -> T:
    for connection in connections.all(initialized_only=True):
        connection.close_if_unusable_or_obsolete()
    try:
        answer = ask()
        _keep()
        return answer
    except (DatabaseError, InterfaceError) as error:
        connections.close_all()
        raise LogUnavailable("The database cannot be read now. Wait and retry.") from error


def _keep() -> None:
    """Keep this thread's connections for a while, where the settings would open one for each ask.

    Opening one costs more than what most ask, and a page that moves asks ten times a second.
    """
    now = time.monotonic()
    for connection in connections.all(initialized_only=True):
        if connection.close_at is not None and connection.close_at <= now:
            connection.close_at = now + KEEP_S
            if connection.vendor == "sqlite":  # or each thread would come to hold 64 MB of the log
                connection.cursor().execute("PRAGMA cache_size=-1000")


def claim(headers: Iterable[tuple[bytes, bytes]], *, scheme: str, ip: str) -> Claim:
    """Return what the headers of a handshake claim; `scheme` is how the server was reached."""
    said: dict[str, str] = {}
    for name, value in headers:
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        said[key] = f"{said[key]},{text}" if key in said else text
    kind, _, token = said.get("authorization", "").partition(" ")
    bearer = token.strip() if kind.lower() == "bearer" else ""
    session = parse_cookie(said.get("cookie", "")).get(settings.SESSION_COOKIE_NAME, "")
    if settings.SECURE_PROXY_SSL_HEADER and said.get("x-forwarded-proto") == "https":
        scheme = "https"
    host = said.get("host", "")
    own = _is_allowed(host) and is_own(said.get("origin", ""), scheme=scheme, host=host)
    return Claim(bearer if "authorization" in said else None, session, own, ip)


def _is_allowed(host: str) -> bool:
    """Return whether we answer to a host: a name pointed at this machine by others is not ours."""
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


def judged(made: Claim, slug: str, *, role: str = "viewer", timeline: int | None = None) -> Visitor:
    """Return who makes a claim, if they may now see the system and do there what `role` may.

    raises  BadKey when nobody is signed in, the session has ended or the key is not good
            NotVisible, NotAllowed, WrongScope, UnknownTimeline as `callers.line_for`
            LogUnavailable
    """
    grant, user = None, None
    if made.bearer is not None:
        grant = keys.authenticate(made.bearer, scope=SCOPE_FOR.get(role, "read"))
    else:
        user = _user(made.session)
    line = _line(slug)
    if grant:
        if grant.system_id != line.system:
            raise NotVisible
        if role not in SCOPE_FOR:
            raise WrongScope(needed=role, scopes=grant.scopes)
        who = Actor(f"key {grant.key_id}", ip=made.ip)
    else:
        people.require(user or AnonymousUser(), line.system, role=role)
        assert user is not None
        who = Actor(user.username, user.pk, made.ip)
    if timeline is not None:
        line = log.line(slug, timeline=timeline)
    return Visitor(line, f"key {grant.key_id}" if grant else f"user {who.user_id}", who)


def _line(slug: str) -> Line:
    if not slug.isascii() or not slug.isprintable():
        raise NotVisible
    try:
        return log.line(slug)
    except UnknownSystem:
        raise NotVisible from None


def _user(session_key: str) -> Any:
    """Return the person of a session that is still good.

    raises  BadKey
    """
    if not session_key:
        raise BadKey
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(request)
    idle = time.time() - request.session.get(SEEN, time.time())
    if not user.is_authenticated or not user.is_active or idle > settings.SESSION_IDLE_S:
        raise BadKey
    return user
