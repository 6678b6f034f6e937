"""The pages of traces: what is drawn, folded, compared and exported, and for whom."""

from __future__ import annotations

import json
import re

import pytest
from django.test import Client

from apps.traces.queries import usual
from tests.conftest import Log
from tests.factories import NOON, delivery, envelope
from tests.traces.story import WRONG, history

HOSTILE = "<script>alert(1)</script>\u202e"


@pytest.fixture
def wrong(shop: Log) -> Log:
    """A system with one trace in which everything goes wrong."""
    shop.append(*history())
    usual._kept.clear()
    return shop


def page(client: Client, address: str, status: int = 200) -> str:
    response = client.get(address)
    assert response.status_code == status, response.content[:500]
    text = response.content.decode()
    assert not re.search(r"\sstyle=|<script(?! src=)|\son[a-z]+=", text), "the CSP forbids it"
    return text


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html)).replace("&nbsp;", " ")


def test_the_list_shows_traces_with_their_problems(viewer: Client, wrong: Log) -> None:
    text = page(viewer, "/shop/traces?problem=any")
    assert text.count("data-root=") == 1
    assert "handled twice" in text
    assert "order-wrong" in text
    assert page(viewer, "/shop/traces").count("data-root=") == 50


def test_the_list_is_as_of_the_playhead(viewer: Client, wrong: Log) -> None:
    assert page(viewer, "/shop/traces?at=1").count("data-root=") == 1


def test_a_query_that_cannot_be_read_is_said(viewer: Client, wrong: Log) -> None:
    assert "nofield" in page(viewer, "/shop/traces?q=nofield:1", 422)


def test_an_empty_system_says_what_would_help(viewer: Client, shop: Log) -> None:
    assert "No traces yet" in page(viewer, "/shop/traces")


def test_a_trace_has_all_its_views(viewer: Client, wrong: Log) -> None:
    text = page(viewer, f"/shop/traces/{WRONG}")
    for view in ("waterfall", "graph", "sequence", "log", "compare"):
        assert f'id="{view}"' in text
    words = plain(text)
    assert "bank handled Ordered twice" in words
    assert "Redelivered after 2.82" in words
    assert "redelivered after 2.83" in words
    assert "no Released" in words
    assert "3 attempts" in words
    assert words.index("handled Ordered twice") < words.index("dead-lettered Shipped")


def test_a_trace_is_replayed_from_before_its_first_event(
    viewer: Client, debugger: Client, wrong: Log
) -> None:
    def offered(client: Client) -> tuple[str, str]:
        found = re.search(
            r'name="base" value="(\d+)"><button class="btn btn-s btn-f"( disabled)?',
            page(client, f"/shop/traces/{WRONG}"),
        )
        assert found
        return found[1], found[2] or ""

    root = next(e.position for e in wrong.read() if e.correlation == WRONG)
    assert offered(viewer) == (str(root - 1), " disabled")
    assert offered(debugger) == (str(root - 1), "")
    made = debugger.post("/shop/sandboxes", {"base": str(root - 1)})
    assert made.status_code == 302


def test_what_is_after_the_playhead_is_hatched(viewer: Client, wrong: Log) -> None:
    root = json.loads(viewer.get(f"/shop/traces/{WRONG}/json").content)["root"]
    assert "w-fut" not in page(viewer, f"/shop/traces/{root}")
    text = page(viewer, f"/shop/traces/{root}?at={root + 2}")
    assert "w-fut" in text
    assert "w-hatch" in text


def test_the_drawer_tells_why_it_happened_twice(viewer: Client, wrong: Log) -> None:
    found = json.loads(viewer.get(f"/shop/traces/{WRONG}/json").content)
    again = [e["position"] for e in found["events"] if e["type"] == "Charged"][1]
    text = plain(page(viewer, f"/shop/traces/{WRONG}?event={again}"))
    assert "Why it happened twice" in text
    assert "Ordered reached bank again at +2.830 s." in text


def test_quiet_time_folds_unless_told_not_to(viewer: Client, wrong: Log) -> None:
    assert "w-fold" in page(viewer, f"/shop/traces/{WRONG}")
    assert "w-fold" not in page(viewer, f"/shop/traces/{WRONG}?fold=off")


def test_it_compares_with_the_usual_and_with_another(viewer: Client, wrong: Log) -> None:
    usual_one = page(viewer, f"/shop/traces/{WRONG}")
    assert ">repeated<" in usual_one
    assert ">missing<" in usual_one
    other = page(viewer, f"/shop/traces/{WRONG}?other=c-3")
    assert ">There<" in other
    assert "No trace holds" in page(viewer, f"/shop/traces/{WRONG}?other=none")


def test_exports(viewer: Client, wrong: Log) -> None:
    text = viewer.get(f"/shop/traces/{WRONG}/mermaid").content.decode()
    assert text.startswith("sequenceDiagram\n  participant s1 as web\n")
    assert "-x" in text
    response = viewer.get(f"/shop/traces/{WRONG}/html")
    html = response.content.decode()
    assert response["Content-Disposition"].endswith('.html"')
    assert "--surface" in html
    assert "handled Ordered twice" in html
    assert 'href="/' not in html
    assert 'href="?' not in html
    assert viewer.get(f"/shop/traces/{WRONG}/pdf").status_code == 404


@pytest.mark.parametrize("which", ["nothing", "0", "99999999", "%00", "%ff", "x" * 3000])
def test_what_is_not_there_is_404(viewer: Client, wrong: Log, which: str) -> None:
    assert viewer.get(f"/shop/traces/{which}").status_code == 404


def test_hostile_names_stay_text(viewer: Client, shop: Log) -> None:
    (root,) = shop.append(envelope(type=HOSTILE, source=HOSTILE, stream=HOSTILE, correlation="c"))
    shop.append(
        envelope(type=HOSTILE, source=HOSTILE, cause=root, correlation="c"),
        delivery(HOSTILE, "dead_lettered", cause=root, data={"error": HOSTILE}),
    )
    for address in ("", f"/{root}", f"/{root}/html", f"/{root}?event={root}&other=c"):
        response = viewer.get(f"/shop/traces{address}")
        assert response.status_code == 200
        assert b"<script>alert" not in response.content
        assert "\u202e".encode() not in response.content
    assert "<" not in viewer.get(f"/shop/traces/{root}/mermaid").content.decode()


def test_a_trace_of_5000_events_is_folded(viewer: Client, shop: Log) -> None:
    (root,) = shop.append(envelope(type="Root", id="r", correlation="c", time=NOON))
    shop.append(*[
        envelope(type="Step", id=f"s{n}", correlation="c", time=NOON + n,
                 causation="r" if n % 10 == 0 else f"s{n - 1}")
        for n in range(5000)
    ])  # fmt: skip
    text = page(viewer, f"/shop/traces/{root}")
    assert len(text) < 2_000_000
    assert text.count('class="w-row') <= 400
    assert "+9<" in text
    opened = page(viewer, f"/shop/traces/{root}?open={root + 1}")
    assert f'data-pos-row="{root + 2}"' in opened
    assert f'data-pos-row="{root + 2}"' not in text
