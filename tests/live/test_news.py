from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable

from apps.live.news import News


class Log:
    """Heads as a database would tell them; counts how often it is asked."""

    def __init__(self, **heads: int) -> None:
        self.heads = {1: 0, 2: 0}
        self.asked = 0

    async def __call__(self, timelines: Iterable[int]) -> dict[int, int]:
        self.asked += 1
        return {t: self.heads[t] for t in timelines}


async def test_who_waits_is_woken_by_news_from_any_thread() -> None:
    news = News(Log(), every=3600)
    waiting = asyncio.ensure_future(news.beyond(1, 5))
    await asyncio.sleep(0)
    news.tell(1, 5)
    threading.Thread(target=news.tell, args=(2, 9)).start()
    await asyncio.sleep(0.01)
    assert not waiting.done()
    threading.Thread(target=news.tell, args=(1, 6)).start()
    await asyncio.wait_for(waiting, 30)


async def test_what_was_told_before_is_known() -> None:
    news = News(Log(), every=3600)
    news.tell(1, 6)
    news.tell(1, 3)  # late
    await asyncio.wait_for(news.beyond(1, 5), 30)


async def test_what_nobody_told_is_found_by_the_poll() -> None:
    log = Log()
    news = News(log, every=0.01)
    waiting = [asyncio.ensure_future(news.beyond(1, n)) for n in range(50)]
    await asyncio.sleep(0)
    log.heads[1] = 50
    await asyncio.wait_for(asyncio.gather(*waiting), 30)
    asked = log.asked
    await asyncio.sleep(0.1)
    assert log.asked <= asked + 1  # nobody waits any more


async def test_who_gives_up_leaves_nothing_behind() -> None:
    news = News(Log(), every=3600)
    for _ in range(100):
        waiting = asyncio.ensure_future(news.beyond(1, 5))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert not any(news._waiting.values())
