"""Rules of flows: what begins must end in time, as of any moment."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.access.actor import CONSOLE
from apps.access.errors import NotVisible
from apps.audits.commands import flow
from apps.audits.models import Flow
from apps.audits.queries import flows
from apps.audits.stuck import BadFlow, duration, rule, written
from apps.eventlog.commands.systems import create_system
from apps.eventlog.commands.systems import fork as create_fork
from apps.eventlog.queries import log as eventlog
from tests.conftest import Log
from tests.factories import NOON, envelope

SECOND = 1_000_000


@pytest.fixture
def shop(db: None) -> Log:
    return Log(create_system("flowing"))


@pytest.fixture
def pays(shop: Log) -> Flow:
    wanted = rule("OrderPlaced", ["PaymentCaptured", "PaymentFailed"], "30 s")
    return flow.add(shop.line, wanted, by=CONSOLE)


def happen(log: Log, second: float, type: str, order: str, **more: Any) -> int:
    at = NOON + int(second * SECOND)
    given = {"correlation": order, "stream": f"order-{order}"} | more
    (position,) = log.append(envelope(type=type, time=at, id=f"{type}-{second}", **given), now=at)
    return position


def broken(log: Log, pays: Flow, *, at: int, since: int = 0) -> list[str]:
    """Return what breaks the rule as of a position; the count must say the same."""
    now = eventlog.time_at(log.line, at) or 0
    found = flows.stuck(log.line, pays, at=at, now=now, since=since)
    assert flows.watched(log.line, pays, at=at, now=now, since=since).stuck == len(found)
    return [each.name for each in found]


def test_what_does_not_end_in_time_is_stuck_until_it_ends(shop: Log, pays: Flow) -> None:
    happen(shop, 0, "OrderPlaced", "a")
    happen(shop, 1, "OrderPlaced", "b")
    happen(shop, 10, "PaymentFailed", "b")
    in_time = happen(shop, 30, "Other", "x")
    overdue = happen(shop, 30.1, "Other", "x")
    late = happen(shop, 50, "PaymentCaptured", "a")
    assert broken(shop, pays, at=in_time) == []
    assert broken(shop, pays, at=overdue) == ["a"]
    assert broken(shop, pays, at=late) == []
    assert broken(shop, pays, at=overdue) == ["a"], "as of that moment it still is"


def test_an_end_before_the_beginning_does_not_count(shop: Log, pays: Flow) -> None:
    happen(shop, 0, "PaymentCaptured", "a")
    happen(shop, 1, "OrderPlaced", "a")
    assert broken(shop, pays, at=happen(shop, 60, "Other", "x")) == ["a"]


def test_what_has_nothing_to_go_by_is_left_out(shop: Log, pays: Flow) -> None:
    happen(shop, 0, "OrderPlaced", "")
    assert broken(shop, pays, at=happen(shop, 60, "Other", "x")) == []


def test_it_goes_by_stream_too(shop: Log) -> None:
    wanted = rule("OrderPlaced", ["PaymentCaptured"], "1 min", "stream")
    pays = flow.add(shop.line, wanted, by=CONSOLE)
    happen(shop, 0, "OrderPlaced", "a")
    happen(shop, 1, "OrderPlaced", "b")
    happen(shop, 2, "PaymentCaptured", "other", stream="order-a")
    head = happen(shop, 90, "Other", "x")
    assert broken(shop, pays, at=head) == ["order-b"]


def test_the_newest_event_says_where_it_stopped(shop: Log, pays: Flow) -> None:
    happen(shop, 0, "OrderPlaced", "a")
    checked = happen(shop, 1, "StockChecked", "a")
    happen(shop, 2, "seen", "a", kind="progress")
    head = happen(shop, 60, "Other", "x")
    (found,) = flows.stuck(shop.line, pays, at=head, now=NOON + 60 * SECOND)
    assert (found.last, found.last_type) == (checked, "StockChecked")


def test_it_counts_since_a_position(shop: Log, pays: Flow) -> None:
    first = happen(shop, 0, "OrderPlaced", "a")
    happen(shop, 1, "OrderPlaced", "b")
    head = happen(shop, 60, "Other", "x")
    assert broken(shop, pays, at=head) == ["b", "a"]
    assert broken(shop, pays, at=head, since=first) == ["b"]


def test_a_sandbox_ends_what_its_parent_began(shop: Log, pays: Flow) -> None:
    happen(shop, 0, "OrderPlaced", "a")
    base = happen(shop, 1, "OrderPlaced", "b")
    fork = Log(create_fork(shop.line, base=base, name="x"))
    happen(fork, 5, "PaymentCaptured", "a")
    assert broken(fork, pays, at=happen(fork, 60, "Other", "x")) == ["b"]
    assert broken(shop, pays, at=happen(shop, 60, "Other", "x")) == ["b", "a"]


def test_it_looks_at_the_newest_beginnings_alone(
    shop: Log, pays: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(6):
        happen(shop, n, "OrderPlaced", f"o{n}")
    head = happen(shop, 60, "Other", "x")
    monkeypatch.setattr(flows, "LOOKED_AT", 4)
    monkeypatch.setattr(flows, "SHOWN", 3)
    found = flows.watched(shop.line, pays, at=head, now=NOON + 60 * SECOND)
    assert (found.stuck, found.looked_at, found.more) == (4, 4, True)
    newest = flows.stuck(shop.line, pays, at=head, now=NOON + 60 * SECOND)
    assert [each.name for each in newest] == ["o5", "o4", "o3"]


@pytest.mark.parametrize(
    ("begins", "ends", "within", "by"),
    [
        ("", ["B"], "30 s", "correlation"), ("A", [], "30 s", "correlation"),
        ("A", [" "], "30 s", "correlation"), ("A", ["A"], "30 s", "correlation"),
        ("A\0", ["B"], "30 s", "correlation"), ("A", ["B"] * 2 + [f"C{n}" for n in range(20)],
        "30 s", "correlation"), ("A" * 1025, ["B"], "30 s", "correlation"),
        ("A", ["B"], "30 s", "colour"), ("A", ["B"], "", "correlation"),
        ("A", ["B"], "0 s", "correlation"), ("A", ["B"], "soon", "correlation"),
        ("A", ["B"], "-1 s", "correlation"), ("A", ["B"], "366 d", "correlation"),
        ("A", ["B"], "3 weeks", "correlation"), ("A", ["B"], "1" * 400 + " s", "correlation"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_rule_is_refused(
    begins: str, ends: list[str], within: str, by: str
) -> None:
    with pytest.raises(BadFlow):
        rule(begins, ends, within, by)


@pytest.mark.parametrize(
    ("text", "us"),
    [("30 s", 30 * SECOND), ("10min", 600 * SECOND), (" 365 d ", 31_536_000_000_000)],
)
def test_times_are_read_and_written(text: str, us: int) -> None:
    assert duration(text) == us
    assert duration(written(us)) == us
    assert written(us) == " ".join(re.findall(r"[0-9]+|[a-z]+", text))


def test_a_rule_is_there_once_and_they_are_not_many(
    shop: Log, pays: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = rule(" OrderPlaced", ["PaymentFailed", "PaymentCaptured "], "1 h")
    with pytest.raises(BadFlow, match="already"):
        flow.add(shop.line, same, by=CONSOLE)
    monkeypatch.setattr(flow, "MOST", 1)
    with pytest.raises(BadFlow, match="the most"):
        flow.add(shop.line, rule("A", ["B"], "1 h"), by=CONSOLE)
    flow.remove(shop.line, pays.pk, by=CONSOLE)
    with pytest.raises(NotVisible):
        flow.remove(shop.line, pays.pk, by=CONSOLE)
    assert flows.flows(shop.line) == []


def test_the_command_adds_lists_and_removes(shop: Log, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("flow", "add", "flowing", "A", "B", "C", within="30s")
    number = capsys.readouterr().out.strip()
    happen(shop, 0, "A", "a\n\u202e")
    early = happen(shop, 1, "Other", "x")
    happen(shop, 60, "Other", "y")
    call_command("flow", "list", "flowing", at=str(early))
    assert "0 stuck" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        call_command("flow", "list", "flowing")
    told = capsys.readouterr().out
    assert (ended.value.code, "1 stuck\tA\tthen B or C\twithin 30 s by correlation" in told) == (
        1,
        True,
    )
    assert r"a\n\u202e" in told
    for bad in (["remove", "flowing", "99"], ["list", "nowhere"], ["add", "flowing", "A", "A"]):
        with pytest.raises(CommandError):
            call_command("flow", *bad, **({"within": "1s"} if bad[0] == "add" else {}))
    call_command("flow", "remove", "flowing", number)
    assert flows.flows(shop.line) == []
