"""The world the shop depends on: payment provider, warehouse, carrier, mail server, supplier.

Each service is one class with a method per call. They answer as such services do: with numbers of
their own, slowly at times, and now and then with an error; never more than twice in a row for the
same request, except where the README says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from evdebug.sdk import Event
from examples.shop.timing import Timing

Answer = tuple[dict[str, Any], int]  # what came back, and after how many ms
Request = dict[str, Any]

# ms: median, p99
TIMES = {
    "acquire/authorize": (150, 360),
    "acquire/capture": (390, 650),
    "wms/allocate": (62, 270),
    "carrier/labels": (560, 1_760),
    "smtp/send": (172, 300),
    "supplier/orders": (320, 900),
}

# how often a first try fails, and with what
HICCUPS = {
    "acquire/authorize": (0.012, 504, "acquire did not answer within 2 s", 2_000),
    "acquire/capture": (0.004, 504, "acquire did not answer within 2 s", 2_000),
    "wms/allocate": (0.006, 503, "deadlock on stock_row", 45),
    "carrier/labels": (0.003, 503, "label service is restarting", 30),
}

UNSETTLED = 0.7  # of the captures while settlement is slow: 3.1 questions until one is settled
NEVER = (0.0, 0, "", 0)
GREYLISTED = {"status": 451, "error": "451 4.7.1 Greylisted"}
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time, in ms since 1970; `end` is not part of it."""

    start: int
    end: int

    def __contains__(self, time: int) -> bool:
        return self.start <= time < self.end


class Numbers(Protocol):
    """Where the outside takes its numbers from (see numbering.py)."""

    def payment(self, terminal: str) -> str: ...

    def shipment(self, warehouse: str) -> str: ...


class Outside(Protocol):
    """What a handler reaches through `ctx.call`."""

    def answer(self, name: str, request: Request, at: int, event: Event) -> Answer:
        """Return the answer to a call made at `at` while `event` was handled, and its duration."""
        ...


@dataclass(slots=True)
class World:
    """All outside services behind one door.

    calm     orders whose requests are spared random failures
    quiet    when everybody's are: what waits behind a failure would come late into the story
    slow_settlement  when the payment provider takes captures on but does not settle them at once
    stalls   when a warehouse's carrier answers nothing: requests wait for the end of the window
    """

    random: Random
    timing: Timing
    numbers: Numbers
    goods: Callable[[Request, int, Event], None]
    calm: frozenset[str] = frozenset()
    quiet: Window = Window(0, 0)
    slow_settlement: list[Window] = field(default_factory=list)
    stalls: list[tuple[str, Window]] = field(default_factory=list)
    _curves: dict[str, tuple[float, float]] = field(default_factory=dict)
    _failing: dict[str, int] = field(default_factory=dict)
    _shipments: dict[str, str] = field(default_factory=dict)
    _provider: Provider = field(init=False)
    _mail: MailServer = field(init=False)

    def __post_init__(self) -> None:
        self._curves = {name: self.timing.curve(*times) for name, times in TIMES.items()}
        self._provider = Provider(self)
        self._mail = MailServer(self)

    def answer(self, name: str, request: Request, at: int, event: Event) -> Answer:
        failure = self._hiccup(name, request, at)
        if failure:
            return failure
        took = self.timing.draw(self._curves[name])
        service, _, call = name.partition("/")
        if service == "acquire":
            return getattr(self._provider, call)(request, at), took
        if service == "smtp":
            return self._mail.send(request, at), took
        if service == "carrier":
            return self._label(request), took + self._stalled(request, at)
        if service == "wms":
            return self._allocate(request), took
        return self._order_goods(request, at + took, event), took

    def spares(self, order: str, at: int) -> bool:
        """Return whether a request for `order` is spared random failures."""
        return order in self.calm or at in self.quiet

    def _hiccup(self, name: str, request: Request, at: int) -> Answer | None:
        """Let a request fail: once mostly, twice at times, then never again."""
        share, status, error, took = HICCUPS.get(name, NEVER)
        left = self._failing.pop(f"{name} {request}", None) if self._failing else None
        if left is None:
            if self.random.random() >= share or self.spares(request.get("order", ""), at):
                return None
            left = 2 if self.random.random() < 0.2 else 1
        if not left:
            return None
        if len(self._failing) > 1_000:  # requests nobody repeated
            self._failing.clear()
        self._failing[f"{name} {request}"] = left - 1
        return {"status": status, "error": error}, took

    # -- carrier, warehouse, supplier --------------------------------------------------------

    def _stalled(self, request: Request, at: int) -> int:
        for warehouse, window in self.stalls:
            if warehouse == request["warehouse"] and at in window:
                return window.end - at
        return 0

    def _label(self, request: Request) -> dict[str, Any]:
        digits = f"{self.random.randrange(10**12):012d}"
        tracking = f"0034 {digits[:4]} {digits[4:8]} {digits[8:]}"
        return {"status": 200, "carrier": "DHL", "tracking": tracking}

    def _allocate(self, request: Request) -> dict[str, Any]:
        """Set goods aside. All lines of an order go into one shipment, however often they come."""
        shipment = self._shipments.get(request["order"])
        if shipment is None:
            shipment = self.numbers.shipment(request["warehouse"])
            self._shipments[request["order"]] = shipment
            if len(self._shipments) > 5_000:
                del self._shipments[next(iter(self._shipments))]
        place = f"{'ABCDEF'[self.random.randrange(6)]}-{self.random.randrange(1, 80):02d}"
        return {"status": 200, "bin": place, "shipment": shipment}

    def _order_goods(self, request: Request, at: int, event: Event) -> dict[str, Any]:
        if request["lead_days"]:
            return {"status": 202, "state": "backordered", "lead_days": request["lead_days"]}
        due = at + self.random.randint(35_000, 90_000)
        self.goods(request, due, event)
        return {"status": 200, "state": "confirmed"}


class Provider:
    """acquire, the payment provider.

    It numbers payments by terminal. A request without an idempotency key is a new payment, however
    often it has been sent before; with one, the first answer is given again.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self._answers: dict[str, dict[str, Any]] = {}

    def authorize(self, request: Request, at: int) -> dict[str, Any]:
        key = request["idempotency_key"]
        if key and key in self._answers:
            return self._answers[key]
        random = self.world.random
        reference = "acq_" + "".join(random.choices(BASE62, k=6))
        answer = {
            "status": 402 if declined(request["token"]) else 200,
            "payment": self.world.numbers.payment(request["terminal"]),
            "reference": reference,
        }
        if answer["status"] == 402:
            answer["reason"] = "card_declined"
        if key:
            if len(self._answers) > 10_000:
                self._answers.clear()
            self._answers[key] = answer
        return answer

    def capture(self, request: Request, at: int) -> dict[str, Any]:
        if self.world.random.random() < 0.0008 and not self.world.spares(request["order"], at):
            return {"status": 200, "state": "review"}
        slow = any(at in window for window in self.world.slow_settlement)
        if slow and self.world.random.random() < UNSETTLED:
            return {"status": 200, "state": "accepted"}
        return {"status": 200, "state": "settled"}


class MailServer:
    """The mail server: greylists some mails, and whoever gets a fourth mail within `WINDOW`."""

    QUOTA = 3
    WINDOW = 15_000

    def __init__(self, world: World) -> None:
        self.world = world
        self._taken: dict[str, deque[int]] = {}
        self._greylisted: dict[tuple[str, str], int] = {}  # recipient, order: refusals left

    def send(self, request: Request, at: int) -> dict[str, Any]:
        taken = self._recent(request["to"], at)
        if len(taken) >= self.QUOTA or self._refuses(request, at):
            return GREYLISTED
        taken.append(at)
        queued = "".join(self.world.random.choices(BASE62, k=10))
        return {"status": 250, "message_id": f"{queued}@mail.example"}

    def _recent(self, to: str, at: int) -> deque[int]:
        # Oldest first, so that those with nothing recent are found at the front.
        taken = self._taken.pop(to, None) or deque()
        while taken and taken[0] <= at - self.WINDOW:
            taken.popleft()
        self._taken[to] = taken
        if len(self._taken) > 500:
            del self._taken[next(iter(self._taken))]
        return taken

    def _refuses(self, request: Request, at: int) -> bool:
        key = (request["template"], request["order"])
        left = self._greylisted.pop(key, None)
        struck = left is None and self.world.random.random() < 0.004
        if struck and not self.world.spares(request["order"], at):
            left = 3 if self.world.random.random() < 0.15 else 1
        if not left:
            return False
        self._greylisted[key] = left - 1
        if len(self._greylisted) > 1_000:
            self._greylisted.clear()
        return True


def declined(token: str) -> bool:
    """Return whether the bank behind a card token says no: three in a hundred."""
    return int(token[-2:], 16) < 8


def every(random: Random, start: int, gap: int, length: int) -> Iterator[Window]:
    """Yield windows of about `length`, about `gap` apart, without end."""
    while True:
        start += round(gap * random.uniform(0.6, 1.4))
        window = Window(start, start + round(length * random.uniform(0.6, 1.4)))
        yield window
        start = window.end
