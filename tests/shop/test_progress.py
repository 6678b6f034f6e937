from __future__ import annotations

from io import StringIO

from examples.shop.progress import Progress, grouped


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_works() -> None:
    screen, clock = Terminal(), Clock()
    progress = Progress("shop", stream=screen, clock=clock)
    clock.now = 2.0
    progress.update(0.25, 25_000)

    text = screen.getvalue()
    assert text.startswith("shop [#######.....")
    assert " 25%  25\u00a0000  12\u00a0500/s  6 s left" in text
    assert text.endswith("\r")


def test_it_draws_at_most_ten_times_a_second() -> None:
    screen, clock = Terminal(), Clock()
    progress = Progress("shop", stream=screen, clock=clock)
    for n in range(100):
        clock.now = n / 100
        progress.update(n / 100, n)

    assert screen.getvalue().count("\r") <= 10


def test_away_from_a_terminal_it_writes_lines_now_and_then() -> None:
    log, clock = StringIO(), Clock()
    progress = Progress("shop", stream=log, clock=clock)
    for n in range(12):
        clock.now = float(n)
        progress.update(n / 12, n * 10)
    progress.finish(120)

    lines = log.getvalue().splitlines()
    assert len(lines) == 3
    assert "\r" not in log.getvalue()
    assert lines[-1] == "shop: 120 entries in 11.0 s, 11/s"


def test_before_anything_is_done_it_promises_nothing() -> None:
    screen, clock = Terminal(), Clock()
    progress = Progress("shop", stream=screen, clock=clock)
    clock.now = 1.0
    progress.update(0.0, 0)

    assert "…" in screen.getvalue()


def test_grouped() -> None:
    assert grouped(1_308_517) == "1\u00a0308\u00a0517"
