"""The Subscribers page: who is told what, how well, as of the playhead."""

from __future__ import annotations

import csv
import io
from typing import Any, get_args

import pytest
from django.test import Client

from apps.access.actor import CONSOLE
from apps.access.commands.keys import create_key
from apps.audits import stuck
from apps.audits.commands import flow
from apps.audits.models import Flow
from apps.eventlog.commands.systems import create_system
from apps.eventlog.outline import Outline
from apps.ingest import observed
from apps.ingest.connector import Delivery, Evidence
from apps.pages.models import Bookmark
from apps.pages.queries import subscribers as drawn
from apps.traces import deliveries
from tests.conftest import Log
from tests.factories import NOON, delivery, envelope
from tests.pages.conftest import client_of
from tests.pages.reading import links, read, text

PAGE = "/shop/subscribers"
TABLE = f"{PAGE}?view=table"
PART = {"HX-Request": "true"}
SECOND = 1_000_000


def test_it_works(viewer: Client, trade: Log) -> None:
    page = viewer.get(PAGE)
    assert page.status_code == 200
    words = text(page)
    assert "2 subscribers" in words
    assert "OrderPlaced" in words
    assert not read(page).forbidden
    table = text(viewer.get(TABLE))
    # 52 attempts of payments, 3 of which failed; email took 50
    assert "payments" in table
    assert "5.7 %" in table
    assert "0.0 %" in table


def test_it_is_in_the_navigation(viewer: Client, trade: Log) -> None:
    assert PAGE in links(viewer.get("/shop/events"))


def test_one_of_them_closer(viewer: Client, trade: Log) -> None:
    words = text(viewer.get(f"{PAGE}?who=payments"))
    assert "Observed: at least once" in words
    assert "1 handled again: #1" in words
    assert "50 handled, 3 attempts failed, in all" in words
    assert "said so itself" in words
    assert "payments" in text(viewer.get(f"{PAGE}?who=/payments")), "one service, with a slash"
    assert "Not told anything yet" in text(viewer.get(f"{PAGE}?who=nobody"))


def test_it_is_as_of_the_playhead(viewer: Client, trade: Log) -> None:
    assert "1 subscriber" in text(viewer.get(f"{PAGE}?at=2"))
    assert "Nobody was told anything yet" in text(viewer.get(f"{PAGE}?at=1"))


def test_nobody_yet(viewer: Client, shop: Log) -> None:
    assert "Nobody was told anything yet" in text(viewer.get(PAGE))


def test_only_those_with_problems(viewer: Client, trade: Log) -> None:
    page = viewer.get(f"{TABLE}&only=problems")
    assert links(page, href="?view=table&only=problems&who=payments")
    assert not links(page, href="?view=table&only=problems&who=email")
    trade_free = viewer.get(f"{PAGE}?only=problems&at=2")
    assert "Nothing to look at" in text(trade_free)


def test_the_part_alone(viewer: Client, trade: Log) -> None:
    page = viewer.get(TABLE, headers=PART)
    assert "<html" not in page.content.decode()
    assert "payments" in text(page)


def test_what_a_bus_says_of_a_group(viewer: Client, shop: Log) -> None:
    """A group without a delivery, and its newest word of each partition."""
    for n, (partition, lag) in enumerate((("0", 9), ("1", 4), ("0", 3))):
        told = {"source": "billing", "channel": "orders", "partition": partition, "tap": "kafka"}
        shop.append(
            envelope(kind="progress", type="progress", data={"lag": lag}, id=f"p{n}", **told),
            now=NOON + n * SECOND,
        )
    words = text(viewer.get(f"{TABLE}&who=billing"))
    assert "7 behind" in words
    assert "13 behind" in text(viewer.get(f"{TABLE}&who=billing&at=2"))


def test_dead_letters_and_evidence(viewer: Client, shop: Log) -> None:
    (event,) = shop.append(envelope(type="Paid"))
    for outcome, attempt in (("failed", 1), ("failed", 2), ("dead_lettered", 2)):
        told = {"attempt": attempt, "evidence": "acked", "error": "no such order"}
        shop.append(delivery("billing", outcome, cause=event, data=told))
    shop.append(delivery("audit", cause=event, data={"attempt": 1, "evidence": "offset"}))
    words = text(viewer.get(f"{PAGE}?who=billing"))
    for expected in (
        "Observed: at most once", "1 dead-lettered", "1 of the newest were retries",
        "acknowledged to the bus", "no such order",
    ):  # fmt: skip
        assert expected in words
    assert "its place on the bus went past" in text(viewer.get(f"{PAGE}?who=audit"))


@pytest.mark.parametrize("count", [1, 260])
def test_one_and_many(viewer: Client, shop: Log, count: int) -> None:
    events = shop.append(*(envelope(type=f"T{n % 40}", id=f"e{n}") for n in range(count)))
    shop.append(*(delivery(f"s{n}", cause=p) for n, p in enumerate(events)))
    words = text(viewer.get(PAGE))
    assert ("1 subscriber" if count == 1 else "260 subscribers") in words
    if count > 1:
        assert "The 200 with the most deliveries are shown" in words
        assert "16 more types" in words


def test_others_see_nothing(client: Client, trade: Log) -> None:
    assert client.get(PAGE).status_code == 302


@pytest.mark.parametrize("evidence", get_args(Evidence))
def test_what_a_tap_goes_by_has_its_own_words(evidence: Evidence) -> None:
    seen = Delivery(subscriber="a", outcome="handled", evidence=evidence, event_id="e", latest=5)
    report = observed.delivery(seen, tap="t", position=1, now=9)
    outline = Outline(2, "delivery", report.type, report.source, 5, 1, data=report.data)
    (shown,) = deliveries.reported(1, [outline])
    assert shown.evidence == ("offset" if evidence == "passed" else evidence)
    assert shown.evidence in drawn.EVIDENCE


def test_types_nobody_is_told_of(viewer: Client, trade: Log) -> None:
    page = viewer.get(PAGE)
    assert "no subscriber nobody" in text(page), "PaymentCaptured is not given to anybody"
    assert text(page).count("nobody") == 1
    assert any("q=type%3APaymentCaptured" in link for link in links(page))
    (paid,) = trade.append(envelope(type="PaymentCaptured", id="last"))
    trade.append(delivery("ledger", cause=paid))
    assert "nobody" not in text(viewer.get(PAGE))


def test_a_type_of_which_only_old_deliveries_are_looked_at_is_not_nobodys(
    viewer: Client, shop: Log
) -> None:
    """Told of among the newest events of the type, though not among the newest deliveries."""
    (rare,) = shop.append(envelope(type="Rare"))
    shop.append(delivery("busy", cause=rare))
    often = shop.append(*(envelope(type="Often", id=f"o{n}") for n in range(401)))
    shop.append(*(delivery("busy", cause=p) for p in often))
    assert "nobody" not in text(viewer.get(PAGE))


def test_it_counts_since_a_moment(viewer: Client, trade: Log) -> None:
    table = f"{TABLE}&who=payments"
    assert "1 handled again: #1" in text(viewer.get(table))
    words = text(viewer.get(f"{table}&since=15"))
    assert "handled again" not in words
    assert "47 handled" in words
    # The orders come every ten seconds: 61 of the last ten minutes would be more than there are.
    assert "50 handled" in text(viewer.get(f"{table}&since=10min"))
    for odd in ("-1", "0", "soon", "9" * 30, "1" * 18, "<b>"):
        page = viewer.get(f"{PAGE}?since={odd}")
        assert "50" in text(viewer.get(f"{table}&since={odd}"))
        assert not read(page).forbidden


def test_bookmarks_are_moments_to_count_from(viewer: Client, trade: Log) -> None:
    common = {"system_id": trade.line.system, "timeline_id": trade.line.timeline, "time": 1}
    Bookmark.objects.create(position=15, name="deploy of v2 <b>", shared=True, **common)
    page = viewer.get(f"{PAGE}?since=15&view=table")
    assert "deploy of v2 <b>" in text(page)
    assert not read(page).forbidden
    assert "deploy" not in text(viewer.get(f"{PAGE}?at=10")), "it is after the playhead"


def test_the_audit_is_a_table_for_spreadsheets(viewer: Client, trade: Log) -> None:
    (odd,) = trade.append(envelope(type="=HYPERLINK(1)", id="odd"))
    trade.append(delivery("@sum", "dead_lettered", cause=odd))
    answer = viewer.get(f"{PAGE}/export")
    assert answer["Content-Type"].startswith("text/csv")
    assert f"shop-subscribers-{trade.line.head}.csv" in answer["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    by = {(row["subscriber"], row["type"]): row for row in rows}
    told = by["payments", "OrderPlaced"]
    assert told["observed"] == "at least once"
    assert (told["handled"], told["failed"], told["handled_again"]) == ("50", "3", "1")
    assert by["'@sum", "'=HYPERLINK(1)"]["given_up"] == str(odd)
    assert by["", "PaymentCaptured"]["observed"] == "nobody, of the newest 50"
    since = viewer.get(f"{PAGE}/export?since=15").content.decode()
    assert "at least once" not in since


def test_the_api_says_so_too(shop: Log, trade: Log) -> None:
    key = create_key(trade.line.system, scopes=["read"], name="k", by=CONSOLE)
    client = Client(headers={"Authorization": f"Bearer {key.secret}"})
    found = client.get("/api/v1/shop/subscribers").json()
    assert found["nobody"] == [{"type": "PaymentCaptured", "events": 50, "looked_at": 50}]
    later = client.get("/api/v1/shop/subscribers?since=15&name=payments").json()
    assert later["subscribers"][0]["attempts"]["handled"] == 47


def test_stuck_flows_are_listed_as_of_the_playhead(person: Any, trade: Log) -> None:
    client = client_of(person("dora", trade, "debugger"))
    assert "No rule yet" in text(client.get(PAGE))
    added = {"begins": "PaymentCaptured", "ends": "OrderShipped\n\nOrderCancelled",
             "within": "30 s", "by": "correlation"}  # fmt: skip
    assert client.post(f"{PAGE}/flows", added).status_code == 302
    words = text(client.get(PAGE))
    assert "PaymentCaptured → OrderShipped or OrderCancelled within 30" in words
    assert "nobody is known to be told of it" in words
    assert "c-46" in words, "the fourth but last began more than 30 s before the end"
    assert "c-47" not in words
    assert "c-46" not in text(client.get(f"{PAGE}?at=100"))
    assert "Whatever began ended in time" in text(client.get(f"{PAGE}?at=5"))
    number = Flow.objects.get().pk
    client.post(f"{PAGE}/flows", {"remove": number})
    assert not Flow.objects.exists()


def test_a_flow_says_who_has_it(viewer: Client, trade: Log) -> None:
    flow.add(trade.line, stuck.rule("OrderPlaced", ["Never"], "1 s"), by=CONSOLE)
    (last,) = trade.append(envelope(type="OrderPlaced", correlation="c-x", time=NOON), now=NOON)
    trade.append(delivery("payments", "failed", cause=last, data={"attempt": 1}))
    trade.append(delivery("payments", "failed", cause=last, data={"attempt": 2}))
    trade.append(delivery("email", "received", cause=last))
    trade.append(envelope(type="Later", id="later", time=NOON + 10**10), now=NOON + 10**10)
    words = text(viewer.get(PAGE))
    assert "payments failed 2 times; email received it, no reaction" in words
    assert "Add a rule" not in words, "a viewer makes none"


def test_a_bad_rule_is_told_and_stays_as_typed(person: Any, trade: Log) -> None:
    client = client_of(person("dora", trade, "debugger"))
    nasty = "<img src=x>"
    bad = {"begins": nasty, "ends": nasty, "within": "soon", "by": "stream"}
    page = client.post(f"{PAGE}/flows", bad)
    assert page.status_code == 422
    assert "cannot end it" in text(page)
    assert not read(page).forbidden
    typed = [a.get("value") for _, a in read(page).elements if a.get("name") == "begins"]
    assert typed == [nasty]
    client.post(f"{PAGE}/flows", {"begins": nasty, "ends": "B", "within": "1 h", "by": "stream"})
    assert nasty in text(client.get(PAGE))
    assert not [t for t, _ in read(client.get(PAGE)).elements if t == "img"]


def test_only_a_debugger_of_the_system_makes_rules(viewer: Client, person: Any, trade: Log) -> None:
    rule = {"begins": "A", "ends": "B", "within": "1 s", "by": "stream"}
    assert viewer.post(f"{PAGE}/flows", rule).status_code == 403
    made = flow.add(trade.line, stuck.rule("A", ["B"], "1 s"), by=CONSOLE)
    other = Log(create_system("other"))
    stranger = client_of(person("otto", other, "admin"))
    assert stranger.post(f"{PAGE}/flows", rule).status_code == 404
    assert stranger.post("/other/subscribers/flows", {"remove": made.pk}).status_code == 404
    assert Flow.objects.get() == made


def test_the_api_tells_of_stuck_flows(trade: Log) -> None:
    key = create_key(trade.line.system, scopes=["read"], name="k", by=CONSOLE)
    client = Client(headers={"Authorization": f"Bearer {key.secret}"})
    flow.add(trade.line, stuck.rule("PaymentCaptured", ["OrderShipped"], "30 s"), by=CONSOLE)
    (found,) = client.get("/api/v1/shop/flows").json()["flows"]
    assert (found["begins"], found["within"], found["stuck"]) == ("PaymentCaptured", "30 s", 47)
    assert found["flows"][0]["name"] == "c-46"
    assert found["flows"][0]["last"]["type"] == "PaymentCaptured"
    (before,) = client.get("/api/v1/shop/flows?at=10").json()["flows"]
    assert (before["stuck"], before["flows"]) == (0, [])
    assert client.get("/api/v1/shop/flows?at=soon").status_code == 422
