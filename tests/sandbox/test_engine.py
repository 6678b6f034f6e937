"""The engine over the shop's whole past, and over small histories made for the purpose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from apps.eventlog.envelope import Envelope, Recorded
from apps.sandbox.edits import read
from apps.sandbox.emissions import Emission, Stopped
from apps.sandbox.executing import _World
from apps.sandbox.plan import Plan
from apps.sandbox.recording import Execution
from evdebug.sdk import Context, Event, New, Unavailable, subscriber, subscriptions
from tests.factories import NOON
from tests.sandbox.history import Bench, handlers, recorded, shop_log

SECOND = 1_000_000


@pytest.mark.slow
def test_without_edits_the_shop_does_again_all_it_did() -> None:
    """Every entry of half an hour, deploy and planted faults among them: identical, and twice."""
    log = shop_log(34)
    assert sum(entry.kind != "delivery" for entry in log) > 50_000
    out = Bench(log).run()

    assert [e.ref for e in out] == [entry.position for entry in log]
    assert not any(e.differs for e in out)
    for e, entry in zip(out, log, strict=True):
        assert said(e.envelope) == said(entry)
    again = Bench(log).run()
    assert [msgspec.msgpack.encode(e.envelope) for e in again] == [
        msgspec.msgpack.encode(e.envelope) for e in out
    ]


def said(e: Envelope | Recorded) -> tuple[Any, ...]:
    """Return what an entry says, its data byte by byte."""
    return e.id, e.kind, e.type, e.source, e.stream, e.time, e.correlation, e.cause, e.data


def test_without_edits_the_shop_does_again_what_it_did() -> None:
    log = shop_log(4)
    middle = Bench(log, base=3_000, until=8_000)
    out = middle.run()
    assert [e.ref for e in out] == [entry.position for entry in log[3_000:8_000]]
    assert not any(e.differs for e in out)
    assert middle.engine.gone == {}


def test_the_same_run_twice_gives_the_same_bytes() -> None:
    log = shop_log(4)
    placed = next(e for e in log[5000:] if e.type == "OrderPlaced")
    base, until = placed.position - 200, placed.position + 800
    edits = read([
        {"op": "skip", "position": placed.position + 1},
        {"op": "repeat", "position": placed.position},
        {"op": "delay", "position": placed.position + 40, "ms": 700},
    ])  # fmt: skip

    def raw() -> bytes:
        bench = Bench(log, base=base, until=until, plan=Plan(edits), policy="lenient")
        return msgspec.msgpack.encode([(e.envelope, e.ref, e.descends) for e in bench.run()])

    assert raw() == raw()


def test_a_run_goes_on_from_its_journal_without_running_handlers() -> None:
    log = shop_log(4)
    whole = Bench(log, base=3_000, until=5_000)
    out = whole.run()
    journal = whole.engine.journal

    for cut in (0, 1, len(journal) // 2, len(journal)):
        again = Bench(log, base=3_000, until=5_000, journal=journal[:cut])
        ran = Counted(again)
        assert [e.envelope for e in again.run()] == [e.envelope for e in out]
        assert ran.count == len(journal) - cut


class Counted:
    """Counts the handlers a bench runs."""

    def __init__(self, bench: Bench) -> None:
        self.count = 0
        for name, host in list(bench.engine.hosts.items()):
            bench.engine.hosts = {**bench.engine.hosts, name: _Counting(host, self)}


class _Counting:
    def __init__(self, host: Any, counted: Counted) -> None:
        self.host, self.counted = host, counted

    def run(self, task: Any, world: Any) -> Any:
        self.counted.count += 1
        return self.host.run(task, world)


# -- small histories ---------------------------------------------------------------------------


@subscriber("billing", to="Ordered")
def bill(event: Event, ctx: Context) -> Iterator[New]:
    answer = ctx.call("bank", {"cents": event.data["cents"]})
    if answer["status"] >= 500:
        raise Unavailable("the bank is closed")
    total = ctx.state("books").get("total", 0) + event.data["cents"]
    yield New("Billed", "books", {"total": total})


class Module:
    bill = bill


BILLING = {"billing": subscriptions(Module)}


def history(*cents: int, answered: bool = True) -> tuple[Recorded, ...]:
    """Orders a second apart, each billed by the one handler there is."""
    made: list[Envelope] = []
    total = 0
    for n, amount in enumerate(cents):
        at = NOON + n * SECOND
        total += amount
        order = {"source": "/web", "id": f"o{n}"}
        answer = {
            "call": "bank", "request": {"cents": amount}, "response": {"status": 200},
            "duration_ms": 20,
        }  # fmt: skip
        delivery = {
            "event": order, "subscriber": "billing", "attempt": 1, "outcome": "handled",
            "started_at": _text(at + 1000), "finished_at": _text(at + 30_000), "error": "",
        }  # fmt: skip
        said: dict[str, Any] = {"source": "/billing", "causation": f"o{n}"}
        made.append(
            Envelope(
                type="Ordered", id=f"o{n}", source="/web", stream=f"order-{n}", time=at,
                data=_json({"cents": amount}),
            )
        )  # fmt: skip
        if answered:
            made.append(
                Envelope(
                    type="bank", id=f"r{n}", kind="response", time=at + 21_000,
                    data=_json(answer), **said,
                )
            )  # fmt: skip
        made.append(
            Envelope(
                type="Billed", id=f"b{n}", stream="books", time=at + 30_000,
                data=_json({"total": total}), **said,
            )
        )  # fmt: skip
        made.append(
            Envelope(
                type="handled", id=f"d{n}", source="billing", kind="delivery", time=at + 30_000,
                causation=f"o{n}", data=_json(delivery),
            )
        )  # fmt: skip
    return tuple(recorded(made))


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)


def _text(us: int) -> str:
    from apps.eventlog.envelope import isoformat

    return isoformat(us)


def run(log: tuple[Recorded, ...], *edits: dict[str, Any], **more: Any) -> list[Emission]:
    return Bench(log, plan=Plan(read(edits)), services=BILLING, **more).run()


def totals(out: list[Emission]) -> list[int]:
    return [
        msgspec.json.decode(e.envelope.data)["total"] for e in out if e.envelope.type == "Billed"
    ]


def test_nothing_edited() -> None:
    out = run(history(5, 7, 9))
    assert totals(out) == [5, 12, 21]
    assert not any(e.differs for e in out)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        ({"op": "skip", "position": 1}, [7, 16]),
        ({"op": "skip", "position": 4}, [7, 16]),  # the delivery: the event stays, unbilled
        ({"op": "skip", "position": 3}, [7, 16]),  # what it said is not in the books
        ({"op": "change", "position": 3, "data": {"total": 100}}, [100, 107, 116]),
        ({"op": "move", "position": 1, "after": 12}, [7, 16, 21]),
        ({"op": "delay", "position": 1, "ms": 1500}, [7, 12, 21]),
        ({"op": "insert", "after": 4, "event": {"type": "Billed", "stream": "books",
          "data": {"total": 50}}}, [5, 50, 57, 66]),
        ({"op": "repeat", "position": 4}, [5, 10, 17, 26]),
    ],
)  # fmt: skip
def test_what_an_edit_does(edit: dict[str, Any], expected: list[int]) -> None:
    out = run(history(5, 7, 9), edit, policy="nearest")
    assert totals(out) == expected
    assert all(e.descends for e in out if e.differs)


def test_an_edit_that_is_off_does_nothing() -> None:
    out = run(history(5, 7, 9), {"op": "skip", "position": 1, "on": False})
    assert not any(e.differs for e in out)


def test_a_call_nothing_answers_stops_the_run_and_says_which() -> None:
    with pytest.raises(Stopped) as stopped:
        run(history(5, answered=False))
    assert stopped.value.wanted == {"call": "bank", "request": {"cents": 5}}


def test_a_call_nothing_answers_may_fail_and_be_tried_again_to_the_end() -> None:
    out = run(history(5, answered=False), policy="fail")
    outcomes = [e.envelope.type for e in out if e.envelope.kind == "delivery"]
    assert outcomes == ["failed", "failed", "dead_lettered"][: len(outcomes)]
    assert totals(out) == []


def test_a_handler_that_multiplies_events_is_stopped() -> None:
    @subscriber("echo", to="Ordered")
    def echo(event: Event, ctx: Context) -> Iterator[New]:
        yield New("Ordered", "x", event.data)
        yield New("Ordered", "x", event.data)

    class Echo:
        pass

    Echo.echo = echo  # type: ignore[attr-defined]
    with pytest.raises(Stopped, match="multiplies"):
        Bench(history(5, 7), services={"echo": subscriptions(Echo)}).run()


def test_the_shop_knows_which_of_its_handlers_are_not_idempotent() -> None:
    bench = Bench(
        shop_log(4), base=5000, until=7000,
        plan=Plan(check="twice"), policy="lenient",
    )  # fmt: skip
    bench.run()
    again = {service for service, _, _, said in bench.engine.twins if said}
    assert {"payments", "email"} <= again <= {"payments", "email", "inventory"}
    assert {s for s, *_ in bench.engine.twins} == set(handlers())


@pytest.mark.parametrize("touched", [True, False])
def test_who_has_to_make_do_with_an_answer_again_descends_from_who_took_the_last(
    touched: bool,
) -> None:
    engine = Bench(history(5), services=BILLING, policy="lenient").engine
    (own,) = engine.recording.executions
    answer = engine.answers.take("bank", {"cents": 5}, None)  # the only one there is
    assert answer is not None
    if touched:
        engine._edited_keys.add(engine.answers.key_at[answer.position])
    world, other = _World(engine, own), _World(engine, Execution(own.cause, "billing", 2, NOON))
    world.call("bank", {"cents": 5})
    assert not world.edited  # it is what it was answered when it was recorded
    world.call("bank", {"cents": 5})
    other.call("bank", {"cents": 5})
    assert world.edited == other.edited == touched
