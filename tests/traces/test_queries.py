"""One trace and the list, as of any position, and the API and command over them."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from apps.access.actor import CONSOLE
from apps.access.commands.keys import create_key
from apps.eventlog.commands.append import append
from apps.eventlog.commands.systems import create_system, fork
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.traces.commands.follow import catch_up
from apps.traces.problem import CODES
from apps.traces.queries import lists, traces, usual
from tests.factories import delivery, envelope
from tests.traces.story import WRONG, history

pytestmark = pytest.mark.django_db


@pytest.fixture
def line() -> Line:
    made = create_system("shop")
    append(made.timeline, history())
    usual._kept.clear()
    found = log.line("shop")
    catch_up(found)
    return found


@pytest.fixture
def ask(line: Line) -> Any:
    """Ask the API for something below the system; return status and JSON."""
    key = create_key(line.system, scopes=["read"], by=CONSOLE)
    client = Client(headers={"Authorization": f"Bearer {key.secret}"})

    def asked(path: str, **parameters: Any) -> tuple[int, Any]:
        response = client.get(f"/api/v1/shop/{path}", parameters)
        return response.status_code, json.loads(response.content)

    return asked


def find(line: Line, which: str, upto: int | None = None) -> traces.View:
    view = traces.find(line, which, upto=line.head if upto is None else upto)
    assert view is not None
    return view


def test_every_delivery_tells_its_evidence_and_unknown_is_a_value(ask: Any, line: Line) -> None:
    view = find(line, WRONG)
    (shipped,) = (p for p, e in view.tree.events.items() if e.type == "Shipped")
    status, answer = ask(f"events/{shipped}/deliveries")
    assert status == 200
    told = [(d["subscriber"], d["outcome"], d["evidence"]) for d in answer["deliveries"]]
    assert told[0] == ("stock", "handled", "reported")
    (charged,) = (
        p
        for p, e in view.tree.events.items()
        if e.type == "Charged" and p in view.tree.parent and view.steps[p].gap < 1_000_000
    )
    assert [d["evidence"] for d in ask(f"events/{charged}/deliveries")[1]["deliveries"]] == [
        "reported"
    ]
    append(line.timeline, [envelope(type="Shipped", correlation="c-new", id="new-s")])
    status, answer = ask(f"events/{line.head + 1}/deliveries")
    assert answer["deliveries"] == []  # of a kind of trace nothing is usual of
    append(line.timeline, [
        envelope(type="Ordered", correlation="c-newer", id="new-o", source="/web"),
        envelope(type="Shipped", correlation="c-newer", id="new-t", causation="new-o"),
    ])  # fmt: skip
    status, answer = ask(f"events/{line.head + 3}/deliveries")
    assert {(d["subscriber"], d["outcome"], d["evidence"]) for d in answer["deliveries"]} == {
        ("mail", "unknown", "none"), ("stock", "unknown", "none"),
    }  # fmt: skip


def test_the_four_problems_are_found_and_worded(line: Line) -> None:
    said = [p.text.replace("\u00a0", " ") for p in find(line, WRONG).problems]
    assert said[0] == (
        "bank handled Ordered twice. Redelivered after 2.82 s."
        " Charged 258.00 instead of 129.00 EUR."
    )
    assert said[1] == (
        "mail dead-lettered Shipped. 3 attempts in 2.01 s; last answer 451 Greylisted."
    )
    assert said[2].startswith("stock did not react to Shipped. Released follows in 9")
    assert said[3].startswith("depot took 5.30 s. Charged → Shipped: p50 0.6")
    assert len(said) == 4


def test_a_trace_is_found_by_position_delivery_id_and_correlation(line: Line) -> None:
    root = find(line, WRONG).tree.roots[0]
    for which in (f"{root}", f"#{root}", f"{root + 1}", "wrong-Shipped"):
        assert find(line, which).tree.roots == [root]
    assert traces.find(line, "nothing", upto=line.head) is None
    assert traces.find(line, WRONG, upto=root - 1) is None


def test_as_of_every_position_equals_the_log_cut_there() -> None:
    create_system("whole")
    create_system("cut")
    whole, cut = log.line("whole"), log.line("cut")
    envelopes = history(3)
    # Effects and deliveries before their events, too.
    envelopes = [*envelopes[:24], *reversed(envelopes[24:34]), *envelopes[34:]]
    append(whole.timeline, envelopes)
    whole = log.line("whole")
    for n, each in enumerate(envelopes, 1):
        append(cut.timeline, [each])
        now = traces.of_correlation(whole, WRONG, upto=n)
        then = traces.of_correlation(log.line("cut"), WRONG, upto=n)
        assert (now is None) == (then is None)
        if now is not None and then is not None:
            assert now.tree.order == then.tree.order
            assert now.tree.lost == then.tree.lost
            assert now.delivered == then.delivered
            assert now.critical == then.critical


def test_the_list_is_newest_first_and_pages(line: Line) -> None:
    every = lists.traces(line, at=line.head, limit=200)
    assert [t.root for t in every.traces] == sorted((t.root for t in every.traces), reverse=True)
    assert len(every.traces) == 125
    paged, before = [], None
    while True:
        page = lists.traces(line, at=line.head, before=before, limit=7)
        paged += page.traces
        before = page.next
        if before is None:
            break
    assert [t.root for t in paged] == [t.root for t in every.traces]


@pytest.mark.parametrize("problem", [*CODES, "any"])
def test_the_list_filters_by_problem(line: Line, problem: str) -> None:
    found = lists.traces(line, at=line.head, problem=problem, limit=200).traces
    every = lists.traces(line, at=line.head, limit=200).traces
    expected = [t.root for t in every if problem in t.codes or (problem == "any" and t.codes)]
    assert [t.root for t in found] == expected
    if problem in ("handled_twice", "dead_lettered", "slow", "missing_step"):
        assert [t.correlation for t in found] == [WRONG]


def test_the_list_filters_by_query_kind_and_shape(line: Line) -> None:
    one = lists.traces(line, at=line.head, query="stream:order-wrong").traces
    assert [t.correlation for t in one] == [WRONG]
    same = lists.traces(line, at=line.head, shape=one[0].variant, limit=200).traces
    assert [t.root for t in same] == [one[0].root]
    assert not lists.traces(line, at=line.head, kind="Nothing").traces
    assert len(lists.traces(line, at=line.head, kind="Ordered", limit=200).traces) == 125


def test_the_list_is_as_of_its_moment(line: Line) -> None:
    root = find(line, WRONG).tree.roots[0]
    (then,) = lists.traces(line, at=root, limit=1).traces
    assert (then.root, then.events, then.codes) == (root, 1, [])
    assert lists.traces(line, at=root - 1, limit=1).traces[0].root < root


def test_a_trace_without_a_correlation_id_is_what_descends_from_its_first_cause() -> None:
    create_system("plain")
    append(log.line("plain").timeline, [
        envelope(id="a"), envelope(id="b", causation="a"), envelope(id="lone"),
        delivery("x", causation="b", id="d"), envelope(id="c", causation="b"),
    ])  # fmt: skip
    plain = log.line("plain")
    for which in ("1", "2", "4", "5"):
        assert sorted(find(plain, which).tree.events) == [1, 2, 5]
    assert [t.root for t in lists.traces(plain, at=plain.head).traces] == [1]


def test_a_sandbox_has_traces_of_its_own(line: Line) -> None:
    root = find(line, WRONG).tree.roots[0]
    branch = fork(line, base=root)
    append(branch.timeline, [envelope(type="Other", correlation=WRONG, cause=root)])
    branch = log.line("shop", timeline=branch.timeline)
    assert [e.type for e in find(branch, WRONG).tree.events.values()] == ["Ordered", "Other"]
    assert lists.traces(branch, at=branch.head).traces[0].events == 2
    assert len(find(line, WRONG).tree.events) == 4


def test_the_api_answers_as_promised(line: Line, ask: Any) -> None:
    status, found = ask("traces", problem="handled_twice")
    assert status == 200
    assert found["next"] is None
    (row,) = found["traces"]
    assert row.keys() >= {
        "root", "correlation", "type", "started", "duration_ms", "events", "services", "problems"
    }  # fmt: skip
    status, one = ask(f"traces/{WRONG}")
    assert status == 200
    assert one["root"] == row["root"]
    assert one["edges"] == [[c, e["position"]] for e in one["events"] if (c := e["cause"])]
    assert one["critical_path"][0] == one["root"]
    assert [p["code"] for p in one["problems"]] == row["problems"]
    assert one["deliveries"][0].keys() >= {
        "position", "subscriber", "attempt", "outcome", "evidence", "earliest", "latest",
        "started_at", "finished_at", "duration_ms", "error",
    }  # fmt: skip
    assert ask(f"traces/{one['root']}", at=str(one["root"]))[1]["edges"] == []


@pytest.mark.parametrize(
    ("path", "parameters", "status"),
    [
        ("traces/nothing", {}, 404), ("traces/0", {}, 404), ("traces/99999999", {}, 404),
        ("traces", {"problem": "x"}, 422), ("traces", {"at": "x"}, 422),
        ("traces", {"query": "nofield:1"}, 422), ("traces", {"limit": "0"}, 422),
    ],
)  # fmt: skip
def test_the_api_refuses_in_words(
    ask: Any, path: str, parameters: dict[str, str], status: int
) -> None:
    got, body = ask(path, **parameters)
    assert got == status
    assert {"code", "detail"} <= body.keys()


def test_the_command_prints_the_tree(line: Line) -> None:
    out = StringIO()
    with pytest.raises(SystemExit) as left:
        call_command("trace", "shop", WRONG, stdout=out, stderr=StringIO())
    assert left.value.code == 1
    text = out.getvalue().replace("\u00a0", " ")
    assert "! bank handled Ordered twice." in text
    assert "Shipped by depot" in text
    assert "→ mail dead-lettered, attempt 3 (reported): 451 Greylisted" in text

    out = StringIO()
    call_command("trace", "shop", "c-1", "--json", stdout=out)
    assert json.loads(out.getvalue())["problems"] == []
    with pytest.raises(CommandError, match="'none' is no position, event id or correlation id"):
        call_command("trace", "shop", "none")


def test_names_cannot_steer_a_terminal() -> None:
    create_system("odd")
    append(log.line("odd").timeline, [envelope(type="A\x1b[2J\nB\u202e", correlation="c")])
    out = StringIO()
    call_command("trace", "odd", "c", stdout=out, stderr=StringIO())
    assert out.getvalue().strip().isprintable() or "\u00a0" in out.getvalue()
    assert "\x1b" not in out.getvalue()
    assert "\u202e" not in out.getvalue()


def test_rebuild_says_how_far_it_came(line: Line) -> None:
    out = StringIO()
    call_command("rebuild", "traces", "shop", "--json", stdout=out)
    assert json.loads(out.getvalue())["position"] == line.head
    assert len(lists.traces(line, at=line.head, limit=200).traces) == 125
