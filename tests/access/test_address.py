from __future__ import annotations

from pathlib import Path

import pytest

from apps.access.address import (
    LISTENING,
    base_url,
    is_loopback,
    keep_listening,
    last_listening,
)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"])
def test_these_are_this_machine_alone(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "10.0.0.1", "192.168.1.2", "example.com", "", "localhost.evil.com", "127.1"],
)
def test_these_are_not(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("host", "port", "allowed", "tls", "url"),
    [
        ("127.0.0.1", 8000, [], False, "http://127.0.0.1:8000"),
        ("::1", 8000, [], False, "http://[::1]:8000"),
        ("127.0.0.1", 80, [], False, "http://127.0.0.1"),
        ("0.0.0.0", 8000, [], False, "http://127.0.0.1:8000"),
        ("0.0.0.0", 8000, ["ev.example"], False, "http://ev.example:8000"),
        ("::", 8000, [".example", "ev.example"], False, "http://ev.example:8000"),
        ("127.0.0.1", 8000, ["ev.example"], False, "http://127.0.0.1:8000"),
        ("127.0.0.1", 8000, ["ev.example"], True, "https://ev.example"),
        ("127.0.0.1", 8000, [], True, "http://127.0.0.1:8000"),
    ],
)
def test_the_address_is_one_a_browser_can_open(
    host: str, port: int, allowed: list[str], tls: bool, url: str
) -> None:
    assert base_url(host, port, allowed=allowed, tls=tls) == url


def test_where_it_listened_last(tmp_path: Path) -> None:
    assert last_listening(tmp_path) is None
    keep_listening(tmp_path, "::1", 8123)
    assert last_listening(tmp_path) == ("::1", 8123)
    for torn in ("", "[", "[1]", "{}", '["h", null]'):
        (tmp_path / LISTENING).write_text(torn)
        assert last_listening(tmp_path) is None
