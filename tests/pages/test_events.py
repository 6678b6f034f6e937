"""The event browser, as pages and as parts."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.conftest import Log
from tests.factories import delivery, envelope
from tests.pages.reading import links, read, rows, text

PART = {"HX-Request": "true"}


def test_it_works(viewer: Client, trade: Log) -> None:
    page = viewer.get("/shop/events")
    assert page.status_code == 200
    assert page["Vary"].count("HX-Request") == 1
    assert "no-store" in page["Cache-Control"]
    shown = rows(page)
    assert len(shown) == 60
    assert shown == sorted(shown, reverse=True)
    assert "OrderPlaced" in text(page)
    assert not read(page).forbidden


def test_deliveries_are_signs_on_rows_and_rows_on_demand(viewer: Client, trade: Log) -> None:
    plain = viewer.get("/shop/events?q=stream:order-0,order-1,order-2")
    labels = [a["aria-label"] for _, a in read(plain).elements if a.get("class") == "dls"]
    assert [set(label.split(", ")) for label in labels] == [
        {"payments handled after a retry", "email handled"},
        {"payments failed", "email handled"},
        {"payments handled twice", "email handled"},
    ]
    head = trade.line.head
    assert rows(viewer.get("/shop/events?with=deliveries"))[:2] == [head, head - 1]
    asked = text(viewer.get("/shop/events?q=outcome:failed"))
    assert asked.count("failed delivery") == 3


def test_as_of_the_playhead(viewer: Client, trade: Log) -> None:
    page = viewer.get("/shop/events?at=8")
    assert max(rows(page)) <= 8
    assert ("html", "past") in [(t, a.get("data-mode", "")) for t, a in read(page).elements]
    assert all("at=8" in href for href in links(page, data_open=""))
    live = viewer.get("/shop/events")
    assert not any("at=" in href for href in links(live, data_open=""))


@pytest.mark.parametrize(
    ("at", "position"),
    [
        ("%237", 7),
        ("7", 7),
        ("2026-05-12T12:00:13Z", 10),
        ("12:00:10", 6),
        ("0", 0),
        ("999999", None),
    ],
)
def test_moments_as_people_write_them(
    viewer: Client, trade: Log, at: str, position: int | None
) -> None:
    page = viewer.get(f"/shop/events?at={at}")
    shown = next(a["data-at"] for _, a in read(page).elements if a.get("id") == "dock")
    assert int(shown) == (trade.line.head if position is None else position)
    assert page.status_code == (422 if position is None else 200)


def test_distances_count_from_where_one_stood(viewer: Client, trade: Log) -> None:
    page = viewer.get("/shop/events?at=-10s&from=11")
    assert next(a["data-at"] for _, a in read(page).elements if a.get("id") == "dock") == "6"


def test_a_moment_that_cannot_be_read_is_said(viewer: Client, trade: Log) -> None:
    page = viewer.get("/shop/events?at=yesterday<b>")
    assert page.status_code == 422
    assert "'yesterday<b>' is neither a position" in text(page)


def test_paging_both_ways_leaves_nothing_out(viewer: Client, trade: Log) -> None:
    seen: list[int] = []
    address = "/shop/events?at=200"
    while True:
        page = viewer.get(address)
        seen += rows(page)
        older = [h for h in links(page, data_soft="") if "before=" in h]
        if not older:
            break
        address = "/shop/events" + older[-1]
    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) == viewer_count(trade, 200)
    newer = [h for h in links(page, data_soft="") if "after=" in h]
    back = viewer.get("/shop/events" + newer[0])
    assert rows(back)[-1] > rows(page)[0]
    assert rows(back) == seen[-len(rows(page)) - 60 : -len(rows(page))]


def viewer_count(log: Log, upto: int) -> int:
    return sum(e.kind != "delivery" for e in log.read(upto=upto))


@pytest.mark.parametrize(
    ("asked", "shown"), [("25", 25), ("3", 10), ("1000", 60), ("0", 60), ("x", 60), ("-1", 60)]
)
def test_a_part_may_hold_as_many_rows_as_can_be_seen(
    viewer: Client, trade: Log, asked: str, shown: int
) -> None:
    part = viewer.get("/shop/events/results", {"rows": asked}, headers=PART)
    assert len(rows(part)) == shown
    older = viewer.get("/shop/events/rows", {"before": rows(part)[-1]}, headers=PART)
    assert (rows(part) + rows(older))[:60] == rows(viewer.get("/shop/events"))


def test_a_wrong_query_says_where(viewer: Client, trade: Log) -> None:
    page = viewer.get("/shop/events?q=type:OrderPlaced+typ:x")
    assert page.status_code == 422
    assert "Column 18" in text(page)
    assert "Did you mean type?" in text(page)
    part = viewer.get("/shop/events/results?q=typ:x", headers=PART)
    assert (part.status_code, part["HX-Retarget"]) == (422, "#q-msg")
    assert not rows(part)
    assert viewer.get("/shop/events/counts?q=typ:x", headers=PART).status_code == 204


def test_columns_from_the_data(viewer: Client, trade: Log) -> None:
    page = viewer.get("/shop/events?q=type:PaymentCaptured&col=amount&col=no.such")
    cells = [
        a["title"] for t, a in read(page).elements if t == "td" and a.get("class") == "c-amt num"
    ]
    assert cells[:4] == ["49.00", "", "48.00", ""]
    asked = viewer.get("/shop/events?q=data.total>47")
    assert "data.total" in text(asked)
    assert len(rows(asked)) == 2


def test_parts_are_pages_for_whoever_opens_them(viewer: Client, trade: Log) -> None:
    for part in ("results", "rows", "counts", "drawer"):
        answer = viewer.get(f"/shop/events/{part}?q=type:X&at=5&event=3")
        assert answer.status_code == 302
        assert answer["Location"] == "/shop/events?q=type%3AX&at=5&event=3"


def test_counts(viewer: Client, trade: Log) -> None:
    part = viewer.get("/shop/events/counts?at=120", headers=PART)
    said = text(part)
    placed = sum(e.type == "OrderPlaced" for e in trade.read(upto=120))
    assert f"OrderPlaced {placed}" in said
    assert [h for h in links(part, role="checkbox") if "OrderPlaced" in h] == [
        "?at=120&q=type%3AOrderPlaced"
    ]
    assert f"{viewer_count(trade, 120)} match" in said
    left = viewer_count(trade, trade.line.head) - viewer_count(trade, 120)
    assert f"{left} newer matches after the playhead" in said
    assert not read(part).forbidden


def test_a_chosen_value_is_taken_away_by_a_click(viewer: Client, trade: Log) -> None:
    part = viewer.get("/shop/events/counts?q=type:OrderPlaced", headers=PART)
    chosen = [a for _, a in read(part).elements if a.get("aria-checked") == "true"]
    assert [a["href"] for a in chosen] == ["?"]
    others = [h for h in links(part, role="checkbox") if "PaymentCaptured" in h]
    assert others == ["?q=type%3AOrderPlaced%2CPaymentCaptured"]


def test_the_drawer(viewer: Client, trade: Log) -> None:
    part = viewer.get("/shop/events/drawer?event=1&at=2", headers=PART)
    said = text(part)
    for words in (
        "OrderPlaced",
        "#1",
        "order-0",
        "total : 0",
        "handled",
        "payments",
        "c-0",
        "revision 0",
    ):
        assert words in said, words
    future = [
        a["data-pos"]
        for _, a in read(part).elements
        if "future" in a.get("class", "") and "data-pos" in a
    ]
    assert future == ["3", "5", "4", "4"]
    assert not read(part).forbidden
    assert "Nothing at #9 999" in text(viewer.get("/shop/events/drawer?event=9999", headers=PART))


def test_the_drawer_is_part_of_the_page_without_script(viewer: Client, trade: Log) -> None:
    page = viewer.get("/shop/events?event=1&draw=1")
    said = text(page)
    assert "Deliveries 2 subscribers" in said
    assert "newer match" not in said
    assert "OrderPlaced 50" in said
    assert any(a.get("class") == "tl-bars" for _, a in read(page).elements)
    assert all("draw=1" in h for h in links(page, data_open=""))


def test_without_script_the_page_goes_where_all_is_drawn(viewer: Client, trade: Log) -> None:
    page = viewer.get("/shop/events?q=type:OrderPlaced")
    (refresh,) = [a for _, a in read(page).elements if a.get("http-equiv") == "refresh"]
    assert refresh["content"] == "0;url=?q=type%3AOrderPlaced&draw=1"
    assert "<noscript>" not in viewer.get("/shop/events?draw=1").content.decode()


def test_suggestions(viewer: Client, trade: Log) -> None:
    part = viewer.get("/shop/events/suggest?q=🎉+type:Pay&caret=10")
    (option,) = [a for _, a in read(part).elements if a.get("role") == "option"]
    assert (option["data-text"], option["data-start"], option["data-end"]) == (
        "PaymentCaptured",
        "8",
        "11",
    )
    assert "50" in text(part)


def test_no_match_offers_a_way_on(viewer: Client, trade: Log) -> None:
    page = viewer.get("/shop/events?q=type:OrderPlaced+data.total>1000")
    assert "No event matches" in text(page)
    assert "?q=type%3AOrderPlaced" in links(page, data_soft="")


def test_an_empty_log_says_what_would_help(viewer: Client, shop: Log) -> None:
    page = viewer.get("/shop/events")
    assert "Nothing recorded yet" in text(page)
    assert "/welcome?system=shop" in links(page)
    assert "Events will draw themselves here" in text(page)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "query", ["", "?at=100", "?q=type:OrderPlaced&at=100", "?before=100&col=total"]
)
def test_a_page_takes_few_queries(
    query: str,
    transactional_db: None,
    viewer: Client,
    trade: Log,
    django_assert_max_num_queries: object,
) -> None:
    viewer.get(f"/shop/events{query}")  # what a process remembers
    with django_assert_max_num_queries(12):  # type: ignore[operator]
        assert viewer.get(f"/shop/events{query}").status_code == 200


def test_more_rows_take_no_more_queries(
    viewer: Client, trade: Log, django_assert_max_num_queries: object
) -> None:
    with django_assert_max_num_queries(25) as few:  # type: ignore[operator]
        viewer.get("/shop/events?at=3")
    with django_assert_max_num_queries(len(few) + 2):  # type: ignore[operator]
        viewer.get("/shop/events")


def test_a_hundred_thousand_deliveries_do_not_fill_the_page(viewer: Client, shop: Log) -> None:
    (cause,) = shop.append(envelope(type="Big"))
    shop.append(*(delivery(f"s{n % 7}", cause=cause, data={}) for n in range(6000)))
    page = viewer.get("/shop/events")
    assert rows(page) == [1]
    assert len(page.content) < 100_000
    assert len(viewer.get("/shop/events/drawer?event=1", headers=PART).content) < 300_000
