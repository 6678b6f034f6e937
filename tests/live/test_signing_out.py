"""Whoever signs out is let go everywhere: what one process does, the sockets of others notice."""

from __future__ import annotations

import time
from http.cookiejar import CookieJar
from urllib.request import HTTPCookieProcessor, build_opener

import pytest
from websockets.exceptions import ConnectionClosed

from tests.live.following import frame, socket
from tests.running import Evdebug

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

PROMISED_S = 30
END_SESSIONS = "from django.contrib.sessions.models import Session; Session.objects.all().delete()"


def signed_in(server: Evdebug) -> str:
    """Return the cookies of an administrator."""
    jar = CookieJar()
    with build_opener(HTTPCookieProcessor(jar)).open(server.sign_in_link(), timeout=30):
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar)


@pytest.mark.parametrize("path", ["/ws/{}/live", "/ws/v1/{}/events"])
def test_a_session_that_ends_in_another_process_ends_its_sockets(
    server: Evdebug, path: str
) -> None:
    system = server.default
    system.send({"type": "first"})
    headers = {"Cookie": signed_in(server), "Origin": server.url}
    with socket(system, path.format(system.slug), headers=headers, after=0) as opened:
        assert frame(opened)["head"] >= 1
        server.manage("shell", "-c", END_SESSIONS)
        ended, told = time.monotonic(), None
        while told is None:
            left = ended + PROMISED_S - time.monotonic()
            assert left > 0, "it is still open"
            try:
                opened.recv(left)
            except ConnectionClosed as closed:
                told = closed.rcvd
    assert told.code == 4401
