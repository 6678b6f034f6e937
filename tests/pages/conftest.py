"""A small shop with people of every role, and clients for them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from apps.access.actor import CONSOLE
from apps.access.commands.people import create_user, set_role
from apps.access.models import User
from apps.eventlog.commands.systems import create_system
from tests.conftest import Log
from tests.factories import NOON, delivery, envelope

PASSWORD = "correct horse battery"
SECOND = 1_000_000


@pytest.fixture
def shop(db: None) -> Log:
    """A system `shop`, empty."""
    return Log(create_system("shop", name="The shop"))


@pytest.fixture
def trade(shop: Log) -> Log:
    """Fifty orders, one every ten seconds: OrderPlaced, its deliveries, PaymentCaptured.

    The first order is handled by payments twice, the second never, the third after a retry; so
    each of those takes five positions (1, 6, 11) and the others four.
    """
    for n in range(50):
        at = NOON + n * 10 * SECOND
        order = {"time": at, "stream": f"order-{n}", "correlation": f"c-{n}"}
        (placed,) = shop.append(
            envelope(
                type="OrderPlaced", source="/web", channel="orders",
                data={"total": n, "lines": [n]}, **order,
            ),
            now=at,
        )  # fmt: skip
        outcomes = {0: ["handled", "handled"], 1: ["failed", "failed"], 2: ["failed", "handled"]}
        told = [
            delivery("payments", outcome, cause=placed, time=at + SECOND, data={"attempt": a})
            for a, outcome in enumerate(outcomes.get(n, ["handled"]), 1)
        ]
        paid = envelope(
            type="PaymentCaptured", source="/payments", cause=placed, time=at + 2 * SECOND,
            data=b'{"amount": %d.00}' % n, stream=f"payment-{n}", correlation=f"c-{n}",
        )  # fmt: skip
        shop.append(
            *told, paid, delivery("email", cause=placed, time=at + 3 * SECOND), now=at + 3 * SECOND
        )
    return shop


@pytest.fixture
def person(db: None) -> Callable[..., User]:
    """Make people: person("vera", log, "viewer"); without a log an administrator of everything."""

    def make(name: str, log: Log | None = None, role: str = "") -> User:
        user = create_user(name, by=CONSOLE, password=PASSWORD, everywhere=log is None)
        if log:
            set_role(user, log.line.system, role, by=CONSOLE)
        return user

    return make


def client_of(user: User) -> Client:
    client = Client(headers={"host": "localhost"})
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def viewer(person: Callable[..., User], shop: Log) -> Client:
    return client_of(person("vera", shop, "viewer"))


@pytest.fixture
def debugger(person: Callable[..., User], shop: Log) -> Client:
    return client_of(person("dora", shop, "debugger"))


@pytest.fixture
def admin(person: Callable[..., User], shop: Log) -> Client:
    return client_of(person("ada", shop, "admin"))


@pytest.fixture
def root(person: Callable[..., User]) -> Client:
    return client_of(person("root"))
