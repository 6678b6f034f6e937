from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client

from apps.access.actor import CONSOLE
from apps.access.commands.keys import create_key
from apps.access.commands.people import create_user, set_role
from apps.access.models import User
from apps.access.queries import keys
from apps.access.views import TRIES
from apps.eventlog.commands.systems import create_system
from apps.eventlog.places import Line

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def _forgetful() -> Iterator[None]:
    """Keys and tries are remembered by the process; no test may find those of another."""
    keys.forget()
    TRIES.forget()
    yield
    keys.forget()
    TRIES.forget()


@pytest.fixture
def shop(db: None) -> Line:
    return create_system("shop", name="The shop")


@pytest.fixture
def bank(db: None) -> Line:
    return create_system("bank")


@pytest.fixture
def viewer(shop: Line) -> User:
    return person("vera", shop, "viewer")


@pytest.fixture
def admin(shop: Line) -> User:
    return person("ada", shop, "admin")


@pytest.fixture
def stranger(bank: Line) -> User:
    """An administrator, but of another system."""
    return person("sam", bank, "admin")


@pytest.fixture
def anywhere(db: None) -> User:
    return create_user("root", by=CONSOLE, password=PASSWORD, everywhere=True)


def person(name: str, line: Line, role: str) -> User:
    user = create_user(name, by=CONSOLE, password=PASSWORD)
    set_role(user, line.system, role, by=CONSOLE)
    return user


def key_of(line: Line, *scopes: str) -> str:
    return create_key(line.system, scopes=scopes, by=CONSOLE).secret


def browser(user: User | None = None) -> Client:
    """Return a client that is strict about CSRF, signed in as `user`."""
    client = Client(enforce_csrf_checks=True)
    if user:
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client
