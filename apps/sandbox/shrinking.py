"""The smallest part of something that still fails, by delta debugging (Zeller and Hildebrandt).

    left = smallest(range(1000), Asking(lambda kept: 7 in kept and 500 in kept))     # [7, 500]

What is left fails, and no longer does without any one of its parts: it is 1-minimal, whatever the
test is. Where tests run out before, it fails still, and `Asking.over` says that it may be larger.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
Fails = Callable[[list[T]], bool]


class Asking(Generic[T]):
    """Asks a test at most `most` times, and the same thing once.

    stop  says whether to ask no more, before each time
    """

    def __init__(
        self, fails: Fails[T], *, most: int = 10_000, stop: Callable[[], bool] = lambda: False
    ) -> None:
        self._fails, self._most, self._stop = fails, most, stop
        self._known: dict[tuple[int, ...], bool] = {}
        self.asked = 0
        self.over = False

    def fails(self, items: Sequence[T], kept: list[int]) -> bool:
        """Return whether the items at these places fail; False where no more may be asked."""
        key = tuple(kept)
        if key not in self._known:
            if self.asked >= self._most or self._stop():
                self.over = True
                return False
            self.asked += 1
            self._known[key] = self._fails([items[n] for n in kept])
        return self._known[key]


def smallest(items: Sequence[T], asking: Asking[T]) -> list[T]:
    """Return a part of items, in their order, that fails and of which nothing can be left out.

    All items together have to fail.
    """
    kept = list(range(len(items)))
    if not kept or asking.fails(items, []):
        return []
    parts = 2
    while len(kept) >= 2 and not asking.over:
        smaller = _step(items, kept, parts, asking)
        if smaller is not None:
            kept, parts = smaller
        elif parts >= len(kept):
            break
        else:
            parts = min(len(kept), parts * 2)
    return [items[n] for n in kept]


def _step(
    items: Sequence[T], kept: list[int], parts: int, asking: Asking[T]
) -> tuple[list[int], int] | None:
    """Return one of the parts, or all but one, that fails, with how many parts to try next."""
    cuts = [len(kept) * n // parts for n in range(parts + 1)]
    pieces = [kept[a:b] for a, b in itertools.pairwise(cuts)]
    for piece in pieces:
        if len(piece) < len(kept) and asking.fails(items, piece):
            return piece, 2
    for n, piece in enumerate(pieces):
        rest = kept[: cuts[n]] + kept[cuts[n + 1] :]
        if piece and parts > 2 and asking.fails(items, rest):
            return rest, max(parts - 1, 2)
    return None
