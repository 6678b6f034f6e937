from __future__ import annotations

import io

from apps.ingest.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_works() -> None:
    clock, out = Clock(), Terminal()
    progress = Progress(out, 1000, clock=clock)
    clock.now = 10.0
    progress.show(250, 5000)

    assert (
        out.getvalue() == "\r[######..................]  25% 5,000 events, 500/s, 0:30 left\x1b[K"
    )


def test_it_draws_at_most_ten_times_a_second() -> None:
    clock, out = Clock(), Terminal()
    progress = Progress(out, 1000, clock=clock)
    for step in range(1000):
        clock.now = step / 1000
        progress.show(step, step)

    assert 9 <= out.getvalue().count("\r") <= 11


def test_it_is_silent_where_nobody_looks() -> None:
    out = io.StringIO()
    progress = Progress(out, 1000)
    progress.show(250, 5000)
    progress.end()

    assert out.getvalue() == ""


def test_it_knows_no_end_without_a_total() -> None:
    assert Progress(Terminal(), 0).line(99, 3000, 2.0) == "3,000 events, 1,500/s"


def test_long_times_have_hours() -> None:
    assert Progress(Terminal(), 10_000).line(1, 10, 1.0).endswith("2:46:39 left")
