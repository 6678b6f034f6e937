"""The ordinary clock, chance and ids, frozen: for a process that runs somebody's handlers.

`freeze` once, before their modules are imported; `begin` before each handler. After that
`time.time()`, `datetime.now()`, `random.random()`, `uuid.uuid4()` and `os.urandom()` say the same
each time the handler runs, also where it never asked its context.
"""

from __future__ import annotations

import datetime as datetimes
import os
import random
import time
import uuid
from collections.abc import Callable
from datetime import date as _real_date
from datetime import datetime as _real
from typing import Any

EPOCH = datetimes.datetime(1970, 1, 1, tzinfo=datetimes.UTC)
_clock: Callable[[], int] = lambda: 0  # noqa: E731 - µs since 1970
_dice = random.Random(0)


def begin(clock: Callable[[], int], seed: str) -> None:
    """Start a handler: its clock, and the seed of all chance."""
    global _clock
    _clock = clock
    _dice.seed(f"{seed}/ordinary")
    random.seed(f"{seed}/module")


class _Instances(type(_real)):  # type: ignore[misc]
    """Makes the frozen class stand for the real one, as far as anybody asks."""

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, _real)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, _real)


class _Dates(type(_real_date)):  # type: ignore[misc]
    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, _real_date)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, _real_date)


class Datetime(_real, metaclass=_Instances):
    """datetime.datetime whose `now` stands still. What it makes is of the real class."""

    def __new__(cls, *args: Any, **named: Any) -> Any:
        return _real(*args, **named)

    @classmethod
    def now(cls, tz: datetimes.tzinfo | None = None) -> Any:
        """Return the frozen time."""
        at = EPOCH + datetimes.timedelta(microseconds=_clock())
        return at.astimezone(tz) if tz is not None else at.replace(tzinfo=None)

    @classmethod
    def utcnow(cls) -> Any:
        """Return the frozen time, naive."""
        return (EPOCH + datetimes.timedelta(microseconds=_clock())).replace(tzinfo=None)

    @classmethod
    def today(cls) -> Any:
        """Return the frozen time, naive."""
        return cls.now()

    fromtimestamp = _real.fromtimestamp  # type: ignore[assignment]
    fromisoformat = _real.fromisoformat  # type: ignore[assignment]
    strptime = _real.strptime  # type: ignore[assignment]
    combine = _real.combine  # type: ignore[assignment]


class Date(_real_date, metaclass=_Dates):
    """datetime.date whose `today` stands still."""

    def __new__(cls, *args: Any, **named: Any) -> Any:
        return _real_date(*args, **named)

    @classmethod
    def today(cls) -> Any:
        """Return the frozen day."""
        return Datetime.now().date()

    fromisoformat = _real_date.fromisoformat  # type: ignore[assignment]
    fromtimestamp = _real_date.fromtimestamp  # type: ignore[assignment]


def freeze() -> None:
    """Put the frozen ones in place of the ordinary ones, for good."""
    changes: list[tuple[Any, str, Any]] = [
        (datetimes, "datetime", Datetime), (datetimes, "date", Date),
        (time, "time", lambda: _clock() / 1_000_000), (time, "time_ns", lambda: _clock() * 1000),
        (time, "monotonic", lambda: _clock() / 1_000_000),
        (time, "monotonic_ns", lambda: _clock() * 1000),
        (time, "perf_counter", lambda: _clock() / 1_000_000),
        (time, "perf_counter_ns", lambda: _clock() * 1000),
        (time, "sleep", lambda seconds: None),
        (os, "urandom", lambda size: _dice.randbytes(size)),
        (uuid, "uuid4", lambda: uuid.UUID(int=_dice.getrandbits(128), version=4)),
        (uuid, "uuid1", lambda *_, **__: uuid.UUID(int=_dice.getrandbits(128), version=1)),
        (random.SystemRandom, "random", lambda self: _dice.random()),
        (random.SystemRandom, "getrandbits", lambda self, k: _dice.getrandbits(k)),
    ]  # fmt: skip
    for owner, name, value in changes:
        setattr(owner, name, value)
