from __future__ import annotations

from examples.shop.schedule import Schedule


def test_it_works() -> None:
    schedule = Schedule(100)
    ran: list[str] = []
    schedule.at(130, ran.append, "late")
    schedule.at(110, ran.append, "early")

    schedule.run(120)

    assert ran == ["early"]
    assert schedule.now == 120


def test_it_runs_what_is_due_together_in_the_order_it_was_planned() -> None:
    schedule = Schedule(0)
    ran: list[str] = []
    for name in "abc":
        schedule.at(5, ran.append, name)

    schedule.run(5)

    assert ran == ["a", "b", "c"]


def test_it_runs_what_is_planned_on_the_way() -> None:
    schedule, times = Schedule(0), []

    def again() -> None:
        times.append(schedule.now)
        schedule.at(schedule.now + 10, again)

    schedule.at(10, again)
    schedule.run(35)

    assert times == [10, 20, 30]


def test_it_runs_a_moment_already_past_now() -> None:
    schedule, times = Schedule(50), []
    schedule.at(10, lambda: times.append(schedule.now))

    schedule.run(50)

    assert times == [50]


def test_it_moves_everything_along_when_time_is_skipped() -> None:
    schedule, times = Schedule(0), []
    for due in (30, 10, 20):
        schedule.at(due, lambda: times.append(schedule.now))

    schedule.skip(1_000)
    schedule.run(2_000)

    assert times == [1_010, 1_020, 1_030]
