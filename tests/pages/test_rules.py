"""Rules that must hold, followed behind the pages: where one breaks is a finding, once, for all."""

from __future__ import annotations

import pytest
from django.test import Client

from apps.access.actor import CONSOLE
from apps.audits.commands.mute import mute
from apps.audits.models import Finding, Ruled
from apps.pages.commands import rules
from apps.pages.commands.rules import follow
from apps.pages.tasks import look_at_rules
from apps.projections.commands.watches import add_watch, remove_watch
from apps.projections.models import Watch
from apps.projections.queries import watches
from tests.conftest import Log
from tests.pages.reading import read, text

HOSTILE = 'stock-<img src=x onerror="alert(1)">'


def stock(shop: Log, *available: int, stream: str = "stock-1") -> list[int]:
    return [shop.add(stream=stream, data={"available": n}) for n in available]


def rule(
    shop: Log, expression: str = "state.available >= 0", *, stream: str = "stock-1", owner: int = 1
) -> Watch:
    return add_watch(shop.line, expression, must_hold=True, stream=stream, owner=owner)


def found() -> list[tuple[str, int, bool]]:
    return [(f.stream, f.position, f.end is None) for f in Finding.objects.order_by("position")]


def test_it_works(shop: Log) -> None:
    _, _, first, _, again, _, third = stock(shop, 2, 0, -1, -2, 1, 0, -1)
    rule(shop)
    look_at_rules()
    assert found() == [("stock-1", first, False), ("stock-1", third, True)]
    ended = Finding.objects.get(position=first)
    assert ended.end == shop.read(after=again - 1, limit=1)[0].log_time
    assert ended.noticed == ended.start == shop.read(after=first - 1, limit=1)[0].log_time


def test_it_is_the_same_however_often_one_looks(shop: Log) -> None:
    stock(shop, 1)
    stock(shop, 1, stream="stock-2")
    rule(shop)
    rule(shop, stream="stock-*")
    for n in (1, -1, -2, 3, -1, 0):
        stock(shop, n)
        follow(shop.line)
        stock(shop, -n, stream="stock-2")
        shop.add(stream="other", data={"n": n})
        follow(shop.line)
        follow(shop.line)
    step_by_step = [*Finding.objects.order_by("subject", "start").values("subject", "start", "end",
                    "stream")]  # fmt: skip
    assert len(step_by_step) == 4
    Finding.objects.all().delete()
    Ruled.objects.all().delete()
    follow(shop.line)
    assert step_by_step == [*Finding.objects.order_by("subject", "start").values("subject",
                            "start", "end", "stream")]  # fmt: skip


def test_it_goes_on_where_its_time_ended(shop: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    positions = stock(shop, 1, 0, -1, 2, -3)
    rule(shop)
    whole = watches.changes
    monkeypatch.setattr(watches, "changes", lambda *a, **b: whole(*a, **b | {"seconds": -1}))
    seen = []
    for _ in positions:
        follow(shop.line)
        seen.append(Ruled.objects.get().position)
    assert seen == positions
    assert found() == [("stock-1", positions[2], False), ("stock-1", positions[4], True)]


def test_of_many_the_one_that_breaks_it_is_named(shop: Log) -> None:
    stock(shop, 5)
    (broken,) = stock(shop, -5, stream="stock-2")
    rule(shop, stream="stock-*")
    follow(shop.line)
    assert found() == [("stock-2", broken, True)]


def test_what_does_not_touch_a_rule_is_not_looked_at(
    shop: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock(shop, 1)
    rule(shop)
    follow(shop.line)
    monkeypatch.setattr(watches, "changes", lambda *a, **b: pytest.fail("it was looked at"))
    shop.add(stream="other", data={})
    follow(shop.line)
    before = Ruled.objects.get().position
    monkeypatch.setattr(rules, "SKIPPED", 0)
    follow(shop.line)
    assert (before, Ruled.objects.get().position) == (1, 2)


def test_two_people_with_one_rule_have_one_finding_until_nobody_keeps_it(shop: Log) -> None:
    stock(shop, 1, -1)
    kept = [rule(shop, owner=owner) for owner in (1, 2)]
    follow(shop.line)
    assert len(found()) == 1
    remove_watch(kept[0])
    follow(shop.line)
    assert len(found()) == 1
    remove_watch(kept[1])
    follow(shop.line)
    assert found() == []
    assert not Ruled.objects.exists()


def test_a_rule_whose_words_mean_nothing_any_more_stops_nobody(shop: Log) -> None:
    stock(shop, 1, -1)
    broken = rule(shop)
    broken.expression = "state.available >="
    broken.save()
    rule(shop, "state.available > -5 && state.available >= 0")
    follow(shop.line)
    assert len(found()) == 1


def test_the_live_page_and_the_bar_show_it(viewer: Client, shop: Log) -> None:
    stock(shop, 1, stream=HOSTILE)
    (broken,) = stock(shop, -1, stream=HOSTILE)
    rule(shop, stream=HOSTILE)
    follow(shop.line)
    page = viewer.get("/shop/live")
    said = " ".join(text(page).split())
    assert f"{HOSTILE} breaks a rule" in said
    assert "Rule state.available >= 0" in said
    assert not read(page).forbidden
    assert f'data-seek="{broken}"' in page.content.decode()
    mute(shop.line, Finding.objects.get().pk, by=CONSOLE)
    assert "breaks a rule" not in text(viewer.get("/shop/live"))
