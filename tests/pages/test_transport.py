"""The transport's own requests."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from apps.pages.commands.bookmarks import keep_moment
from apps.pages.queries.dock import dock
from apps.pages.queries.moments import at
from tests.conftest import Log
from tests.factories import NOON, delivery, envelope
from tests.pages.conftest import SECOND
from tests.pages.reading import links, read, text

PART = {"HX-Request": "true"}


def drawn(response: object) -> dict[str, str]:
    return next(a for _, a in read(response).elements if a.get("id") == "timeline")


def test_it_works(viewer: Client, trade: Log) -> None:
    part = viewer.get("/shop/dock?at=7", headers=PART)
    found = drawn(part)
    assert (found["data-first"], found["data-last"]) == ("1", str(trade.line.head))
    pairs = [tuple(map(float, pair.split(","))) for pair in found["data-anchors"].split(";")]
    assert pairs == sorted(pairs)
    assert [t for _, t in pairs] == sorted(t for _, t in pairs)
    assert (7, trade.read()[6].log_time / 1000) in pairs
    assert pairs[-1] == (trade.line.head, trade.read()[-1].log_time / 1000)
    assert not read(part).forbidden


@pytest.mark.parametrize(
    ("address", "swapped"),
    [
        ("/shop/events?at=5", True), ("/shop/traces/live", True), ("/states/events", True),
        ("/shop/live", False), ("/shop/state", False), ("/shop/state/stock-1?at=5", False),
        ("/shop/sandboxes", False),
    ],
)  # fmt: skip
def test_what_a_page_says_of_itself_is_left_alone(
    viewer: Client, trade: Log, address: str, swapped: bool
) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{address}"}
    part = viewer.get("/shop/dock", headers=headers).content.decode()
    assert ('id="info"' in part) is swapped


def test_every_event_is_in_a_bar(trade: Log) -> None:
    shown = dock(trade.line, at(trade.line, 7))
    assert shown is not None
    assert shown.events == trade.line.head
    assert shown.window.holds(NOON)
    assert shown.window.holds(trade.line.log_time or 0)


def test_a_window_that_is_asked_for(trade: Log) -> None:
    ms = NOON // 1000
    shown = dock(trade.line, at(trade.line, 7), zoom=f"{ms}..{ms + 10_000}")
    assert shown is not None
    assert shown.window.end - shown.window.start <= 11 * SECOND
    assert shown.events == sum(e.log_time < shown.window.end for e in trade.read())


def test_the_playhead_is_in_sight(shop: Log) -> None:
    shop.append(*(envelope(time=NOON + n * 3600 * SECOND) for n in range(100)), now=NOON + 10**12)
    for position in (1, 50, 100):
        shown = dock(shop.line, at(shop.line, position))
        assert shown is not None
        assert shown.window.holds(shop.read()[position - 1].log_time)


def test_marks(viewer: Client, trade: Log, debugger: Client) -> None:
    user = viewer.session["_auth_user_id"]
    from apps.access.actor import Actor

    keep_moment(
        trade.line, 9, name="look <here>", shared=False, by=Actor("vera", int(user)), role="viewer"
    )
    deploy = envelope(type="ServiceDeployed", source="/deploys", time=NOON + 490 * SECOND,
                      data={"service": "payments", "version": "v2.14"})  # fmt: skip
    trade.append(deploy, now=NOON + 490 * SECOND)
    elements = read(viewer.get("/shop/dock", headers=PART)).elements
    said = [a.get("aria-label", "") for _, a in elements if "mark" in a.get("class", "")]
    assert any("payments v2.14 deployed" in label for label in said)
    menus = text(viewer.get("/shop/dock", headers=PART))
    assert "look <here>" in menus or any("look <here>" in label for label in said)
    assert "2 failed deliveries" in menus or any("failed deliveries" in label for label in said)
    others = viewer.get("/shop/dock", headers=PART).content.decode()
    assert "look &lt;here&gt;" in others
    assert "look" not in debugger.get("/shop/dock", headers=PART).content.decode()


def test_a_mark_of_failures_leads_to_the_failure(viewer: Client, trade: Log) -> None:
    hrefs = links(viewer.get("/shop/dock", headers=PART), data_go="next-failure")
    assert hrefs
    for href in hrefs:
        page = viewer.get(f"/shop/events{href}")
        found = int(next(a["data-at"] for _, a in read(page).elements if a.get("id") == "dock"))
        assert trade.read()[found - 1].failed


@pytest.mark.parametrize(
    ("question", "position"),
    [
        ("at=1&go=next", 4), ("at=4&go=next", 6), ("at=4&go=previous", 1), ("at=1&go=previous", 1),
        ("at=1&go=next&with=deliveries", 2), ("at=1&go=next&n=2", 6), ("at=1&go=next-failure", 7),
        ("at=8&go=previous-failure", 7), ("at=7&go=next-failure", 8), ("at=150&go=first", 1),
        ("at=3", 3), ("at=12:00:10", 6),
    ],
)  # fmt: skip
def test_where_a_step_leads(viewer: Client, trade: Log, question: str, position: int) -> None:
    answer = viewer.get(f"/shop/moment?{question}").json()
    assert (answer["position"], answer["found"]) == (position, True)
    assert answer["ms"] == trade.read()[position - 1].log_time / 1000


def test_no_failure_that_way(viewer: Client, trade: Log) -> None:
    answer = viewer.get("/shop/moment?at=150&go=next-failure").json()
    assert (answer["position"], answer["found"]) == (150, False)


def test_steps_go_along_a_trace(viewer: Client, shop: Log) -> None:
    (first,) = shop.append(envelope(type="A", correlation="c"))
    shop.append(envelope(type="B"))
    (other,) = shop.append(envelope(type="C", correlation="c", cause=first))
    (told,) = shop.append(delivery("mail", cause=other))

    def leads(**asked: Any) -> int:
        answer = viewer.get("/shop/moment", {"trace": first, "n": 1} | asked)
        return int(answer.json()["position"])

    assert leads(at=first, go="next") == other
    assert leads(at=other, go="previous") == first
    assert leads(at=told, go="previous") == other
    assert leads(at=other, go="next") == other  # nothing follows
    assert leads(at=other, go="next", **{"with": "deliveries"}) == told
    assert leads(at=first, go="next", trace=99) == first + 1  # no such trace: every event
    text = viewer.get(f"/shop/traces/{first}").content.decode()
    assert f"?trace={first}" in text


def test_steps_stop_at_the_ends(viewer: Client, trade: Log) -> None:
    head = trade.line.head
    last = max(e.position for e in trade.read() if e.kind == "event")
    assert viewer.get(f"/shop/moment?at={head}&go=next").json()["position"] in (head, last)
    assert viewer.get("/shop/moment?at=5&go=previous&n=999999").json()["position"] == 1


def test_what_is_at_a_moment_is_said(viewer: Client, trade: Log) -> None:
    assert viewer.get("/shop/moment?at=1").json()["text"] == "OrderPlaced, web, order-0"
    assert viewer.get("/shop/moment?at=0").json()["text"] == "before the first event"
    wrong = viewer.get("/shop/moment?at=soon")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "bad_moment")


def test_an_empty_log(viewer: Client, shop: Log) -> None:
    assert viewer.get("/shop/moment").json() == {
        "position": 0, "ms": None, "text": "before the first event", "found": True,
    }  # fmt: skip
    assert "Events will draw themselves here" in text(viewer.get("/shop/dock", headers=PART))


@pytest.mark.parametrize("zoom", ["all", "x", "5..1", "-1..1", "0..99999999999999", "1..2"])
def test_any_window_can_be_drawn(viewer: Client, trade: Log, zoom: str) -> None:
    part = viewer.get(f"/shop/dock?zoom={zoom}", headers=PART)
    assert part.status_code == 200
    assert re.fullmatch(
        r"(M\d+\.5 [\d.]+v-[\d.]+)*",
        next(a["d"] for _, a in read(part).elements if a.get("class") == "b-ok"),
    )


def test_a_burst_of_late_reports(viewer: Client, shop: Log) -> None:
    """All of it at one instant: nothing to divide by."""
    (cause,) = shop.append(envelope(time=NOON), now=NOON)
    shop.append(*(delivery("email", "failed", cause=cause, time=NOON) for _ in range(50)), now=NOON)
    assert viewer.get("/shop/dock", headers=PART).status_code == 200
    assert viewer.get("/shop/events").status_code == 200
