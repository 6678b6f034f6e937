from __future__ import annotations

from io import StringIO

import pytest

from examples.shop.progress import ERASE, Progress, grouped


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_it_works() -> None:
    screen, clock = Terminal(), Clock()
    progress = Progress("shop", stream=screen, clock=clock)
    clock.now = 2.0
    progress.update(0.25, 25_000)

    bar = f"[{'#' * 7}{'.' * 21}]"
    expected = f"shop {bar}  25%    25\u00a0000   12\u00a0500/s  6 s left"
    assert screen.getvalue() == f"{expected}{ERASE}\r"


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 200])
def test_it_fits_where_there_is_room_for_the_words(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    screen, clock = Terminal(), Clock()
    progress = Progress("shop: sending the past", stream=screen, clock=clock)
    clock.now = 10.0
    progress.update(0.99, 110_000)

    text = screen.getvalue().removesuffix(f"{ERASE}\r")
    words = "shop: sending the past  99%   110\u00a0000   11\u00a0000/s  0 s left"
    assert len(text) < max(columns, len(words) + 1)
    assert ("[" in text) == (columns >= 80)


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
