"""Where connections may go."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from apps.access.outbound import Forbidden, Reach, parse

HERE = [
    "127.0.0.1", "127.8.8.8", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
    "2002:7f00:1::", "::127.0.0.1",
]  # fmt: skip
METADATA = ["169.254.169.254", "fd00:ec2::254", "::ffff:169.254.169.254"]
ELSEWHERE = ["10.0.0.5", "192.168.1.1", "100.64.0.1", "8.8.8.8", "fe80::1", "224.0.0.1"]


def resolving(*addresses: str) -> Callable[[str, int], Iterable[str]]:
    return lambda host, port: addresses


def allowed(reach: Reach, *addresses: str, host: str = "broker") -> bool:
    try:
        return reach.addresses(host, 1, resolve=resolving(*addresses)) == list(addresses)
    except Forbidden:
        return False


@pytest.mark.parametrize("address", HERE)
def test_this_machine_is_allowed_while_nobody_else_can_reach_us(address: str) -> None:
    assert allowed(Reach(local=True), address)
    assert not allowed(Reach(local=False), address)


@pytest.mark.parametrize("address", METADATA)
def test_where_clouds_keep_credentials_is_never_allowed(address: str) -> None:
    everything = parse(["0.0.0.0/0", "::/0", "broker"], local=True)
    assert not allowed(everything, address)


@pytest.mark.parametrize("address", ELSEWHERE)
def test_elsewhere_only_what_is_listed(address: str) -> None:
    assert not allowed(Reach(local=True), address)
    assert allowed(parse([address], local=False), address)


@pytest.mark.parametrize(
    ("listed", "host", "expected"),
    [
        ("kafka.example.com", "kafka.example.com", True),
        ("kafka.example.com", "KAFKA.example.com.", True),
        ("kafka.example.com", "evil-kafka.example.com", False),
        (".example.com", "a.b.example.com", True),
        (".example.com", "example.com.evil.org", False),
    ],
)
def test_names(listed: str, host: str, expected: bool) -> None:
    assert allowed(parse([listed], local=False), "10.0.0.5", host=host) is expected


def test_a_listed_name_is_no_way_to_this_machine() -> None:
    assert not allowed(parse(["broker"], local=False), "127.0.0.1")
    assert not allowed(parse(["broker"], local=False), "fe80::1")


def test_one_bad_address_spoils_a_name() -> None:
    assert not allowed(parse(["10.0.0.0/8"], local=False), "10.0.0.5", "127.0.0.1")


def test_it_says_what_and_who_can_help() -> None:
    with pytest.raises(Forbidden, match=r"broker \(10\.0\.0\.5\).*EVDEBUG_REACH"):
        Reach().addresses("broker", 1, resolve=resolving("10.0.0.5"))


@pytest.mark.parametrize("written", ["2130706433", "0x7f000001", "127.1"])
def test_numbers_are_resolved_before_they_are_judged(written: str) -> None:
    with pytest.raises((Forbidden, OSError)):
        Reach(local=False).addresses(written, 80)


@pytest.mark.parametrize("word", ["10.0.0.0/99", "a b", "http://x", "*"])
def test_nonsense_is_refused(word: str) -> None:
    with pytest.raises(ValueError):
        parse([word], local=False)
