"""The whole shop, put together: services, bus, outside world and customers on one clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any, TypeVar

from evdebug.sdk import Event, New, subscriptions
from examples.shop import story, wire
from examples.shop.broker import BrokerBus
from examples.shop.bus import Received
from examples.shop.cast import cast
from examples.shop.catalogue import PLANTED, Product, products
from examples.shop.entities import Entities
from examples.shop.host import Delivery, Host
from examples.shop.memory import LostCommit, MemoryBus
from examples.shop.outside import Request, Window, World
from examples.shop.schedule import Schedule
from examples.shop.services import (
    email,
    inventory,
    orders,
    payments,
    payments_v2_13,
    shipping,
    web,
)
from examples.shop.timing import Timing
from examples.shop.traffic import Customers, arrivals

Entry = tuple[str, str]  # which door it goes to, "events" or "deliveries", and its line
T = TypeVar("T")

PER_ORDER = 32.2  # log entries an order leads to: events, answers from outside and deliveries
REGISTRATIONS = 0.09  # accounts opened, per order
MOVES = 0.03
USUAL = 40.0  # entries a second
OPENING = 2_000  # ms until the first customer: every product is listed by then
RESTART = 2_500  # ms a service takes nothing while it is deployed


class Shop:
    """A shop from `start` on. `run` lets time pass; `take` hands over what happened.

    seed, start and edge decide everything: the same three give the same bytes.

    edge  where the past ends; the planted story lies before it if the past is long enough
    rate  log entries a second, on average
    """

    def __init__(
        self,
        *,
        seed: int,
        start: int,
        edge: int,
        rate: float = USUAL,
        bus: Callable[[Schedule], BrokerBus] | None = None,
    ) -> None:
        """bus  makes what the services talk over; in memory without it."""
        self.seed = seed
        self.start = start
        self.entries: list[Entry] = []
        self.schedule = Schedule(start)
        self._ids = Random(f"{seed}/{start}/ids")
        self.products = products(rate / USUAL)
        self.plan = story.plan(self.products, start, edge)
        self.rate = rate / PER_ORDER  # orders a second
        times = arrivals(self._random("arrivals"), start + OPENING, self.rate)
        self.cast = cast(self.plan, times, start=start, rate=self.rate * 1.5)
        self._shift = 0  # ms the shop was closed, see `close`
        timing = Timing(self._random("timing"))
        self.world = World(
            self._random("world"),
            timing,
            self.cast.numbers,
            self._goods_ordered,
            self.cast.calm,
            self.plan.quiet,
            list(self.plan.slow_settlement),
            list(self.plan.stalls),
        )
        self.bus: MemoryBus | BrokerBus = bus(self.schedule) if bus else self._in_memory()
        self.host = Host(
            self.schedule, self.bus, self.world, self, Entities(), timing, self._event_id
        )
        self.customers = Customers(self._random("customers"), self.products)
        self._install()
        self._open()
        self._plan_faults()

    def _in_memory(self) -> MemoryBus:
        bus = MemoryBus(self.schedule, self._random("bus"), offsets=80_000 + self.seed % 9_000)
        bus.lost_commits = list(self.plan.lost_commits)
        bus.rebalances = self
        return bus

    # -- time --------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        return self.schedule.now

    def run(self, until: int) -> None:
        """Let everything happen that happens up to `until`, ms since 1970."""
        self.schedule.run(until)

    def close(self, ms: int) -> None:
        """Let `ms` pass in which nothing happens and nobody comes; then all goes on."""
        self._shift += ms
        self.schedule.skip(ms)

    def take(self) -> list[Entry]:
        """Return what happened since the last call, in order, and forget it."""
        taken, self.entries = self.entries, []
        return taken

    # -- journal -----------------------------------------------------------------------------

    def event(self, event: Event) -> None:
        self.entries.append(("events", wire.event_line(event)))

    def delivery(self, delivery: Delivery) -> None:
        self.entries.append(("deliveries", wire.delivery_line(delivery)))

    def left(self, received: Received, member: str) -> None:
        self._operational("ConsumerLeft", received, member, "commit timed out")

    def joined(self, received: Received, member: str) -> None:
        self._operational("ConsumerJoined", received, member, "rebalance")

    # -- assembly ----------------------------------------------------------------------------

    def _random(self, purpose: str) -> Random:
        return Random(f"{self.seed}/{purpose}")

    def _event_id(self, now: int) -> str:
        """Return a UUID of version 7: in order of time, and another one for another start."""
        bits = self._ids.getrandbits(74)
        time = f"{now:012x}"
        return (
            f"{time[:8]}-{time[8:]}-7{bits >> 62:03x}-"
            f"{0x8000 | bits >> 48 & 0x3FFF:04x}-{bits & 0xFFFFFFFFFFFF:012x}"
        )

    def _install(self) -> None:
        before = payments_v2_13 if self.plan.deploys else payments
        for module in (web, orders, before, inventory, shipping, email):
            workers = 1 if module is inventory else 0
            self.host.install(subscriptions(module), workers=workers)

    def _open(self) -> None:
        """Plan the shop's day: listings, goods, deploys, customers."""
        at, plan = self.schedule.at, self.plan
        listed = [p for p in self.products if plan.story or p.sku != PLANTED]
        for n, product in enumerate(listed):
            at(self.start + n * 15, self._list, product)
        for time, qty in plan.goods:
            at(time, self._goods_planned, qty)
        for deploy in plan.deploys:
            at(deploy.at, self._deploy, deploy)
        self._plan_arrival()
        self._plan_visit()

    def _plan_faults(self) -> None:
        """Plan the small faults that come again and again, in the past and live."""
        slow = self.plan.slow_settlement
        calm_until = slow[-1].end if slow else self.start
        random = self._random("faults")
        self._each(story.commits_lost_now_and_then(random, self.start), _at, self._lose_commit)
        random = self._random("stalls")
        self._each(story.stalls_now_and_then(random, self.start), _stalls_at, self._stall)
        random = self._random("settlement")
        windows = story.slow_settlement_now_and_then(random, calm_until)
        self._each(windows, _starts_at, self._settle_slowly)

    def _each(self, items: Iterator[T], when: Callable[[T], int], do: Callable[[T], None]) -> None:
        """Plan the first of `items`, which plans the next when its time comes, and so on."""
        item = next(items)
        self.schedule.at(when(item), self._next, items, item, when, do)

    def _next(
        self, items: Iterator[T], item: T, when: Callable[[T], int], do: Callable[[T], None]
    ) -> None:
        do(item)
        self._each(items, when, do)

    # -- what comes from outside -------------------------------------------------------------

    def _plan_arrival(self) -> None:
        time, cart = next(self.cast.arrivals)
        self.schedule.at(time + self._shift, self._arrive, cart)

    def _arrive(self, cart: dict[str, Any] | None) -> None:
        numbers = self.cast.numbers
        order, flow = numbers.order(), numbers.flow()
        self._enter("web", web.checkout(order, cart or self.customers.cart()), flow)
        self._plan_arrival()

    def _plan_visit(self) -> None:
        pause = self.customers.random.expovariate(self.rate * (REGISTRATIONS + MOVES)) * 1000
        self.schedule.at(self.now + round(pause), self._visit)

    def _visit(self) -> None:
        """Let somebody open an account or move house."""
        somebody = self.customers.anybody()
        if self.customers.random.random() < MOVES / (REGISTRATIONS + MOVES):
            news = web.move(somebody, self.customers.anybody()["country"])
        else:
            news = web.register(somebody | {"id": self.cast.numbers.customer()})
        self._enter("web", news, "")
        self._plan_visit()

    def _list(self, product: Product) -> None:
        self._enter("inventory", inventory.listing(product), "")

    def _goods_ordered(self, request: Request, due: int, event: Event) -> None:
        data = {"sku": request["sku"], "qty": request["qty"], "supplier": request["supplier"]}
        news = [New("GoodsArrived", request["purchase"], data)]
        self.schedule.at(due, lambda: self.host.say("inventory", news, cause=event))

    def _goods_planned(self, qty: int) -> None:
        purchase = f"purchase-0-{PLANTED}"
        data = {"sku": PLANTED, "qty": qty, "supplier": "sup-88"}
        self._enter("inventory", [New("GoodsArrived", purchase, data)], f"r-0-{PLANTED}")

    def _deploy(self, deploy: story.Deploy) -> None:
        """Put a version into service: the code changes, and it takes nothing for a moment."""
        data = {
            "service": deploy.service,
            "version": deploy.version,
            "previous": deploy.previous,
            "commit": deploy.commit,
        }
        self._enter(deploy.service, [New("ServiceDeployed", f"service-{deploy.service}", data)], "")
        if deploy.service == "payments":
            self.host.install(subscriptions(payments))
        self.bus.pause(deploy.service, RESTART)

    # -- faults ------------------------------------------------------------------------------

    def _lose_commit(self, lost: LostCommit) -> None:
        self.bus.lost_commits.append(lost)

    def _stall(self, stall: tuple[str, Window]) -> None:
        self.world.stalls = [*self.world.stalls[-8:], stall]

    def _settle_slowly(self, window: Window) -> None:
        self.world.slow_settlement = [*self.world.slow_settlement[-5:], window]

    def _operational(self, type: str, received: Received, member: str, reason: str) -> None:
        event = received.event
        data = {
            "group": received.group,
            "member": member,
            "channel": event.channel,
            "partition": event.partition,
            "offset": event.offset,
            "reason": reason,
        }
        self._enter(received.group, [New(type, f"group-{received.group}", data)], "")

    def _enter(self, service: str, news: Any, flow: str) -> None:
        if flow:
            news = (_in_flow(new, flow) for new in news)
        self.host.say(service, news)


def _in_flow(new: New, flow: str) -> New:
    new.correlation = flow
    return new


def _at(lost: LostCommit) -> int:
    return lost.at


def _starts_at(window: Window) -> int:
    return window.start


def _stalls_at(stall: tuple[str, Window]) -> int:
    return stall[1].start
