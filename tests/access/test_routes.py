"""Who gets what answer on every route there is. A route without a row here fails.

A row: method, route and path asked for, and the status for nobody, a viewer, an administrator of
the system, and an administrator of another system. Methods without a row are refused to all.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from apps.access.actor import CONSOLE
from apps.access.commands.keys import create_key, revoke_key
from apps.access.commands.systems import TAKEN
from apps.access.models import User
from apps.eventlog.commands.append import append
from apps.eventlog.places import Line
from apps.ingest.queries import Health
from tests.access.conftest import browser, key_of
from tests.factories import envelope

# Who may come in does not depend on the database.
pytestmark = [pytest.mark.django_db, pytest.mark.only("sqlite")]

SYSTEM = "<slug:system>"
STREAM = "<path:stream>"
API = f"api/v1/{SYSTEM}"
EVENT = f"{SYSTEM}/events/<int:position>"
SANDBOXES = f"{API}/sandboxes"
SANDBOX = f"{SANDBOXES}/<int:sandbox>"
RUN = f"{SANDBOX}/runs/<int:run>"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

ALL = (200, 200, 200, 200)
SIGNED_IN = (302, 200, 200, 200)
MEMBERS = (302, 200, 200, 404)
PARTS = (302, 302, 302, 404)  # htmx swaps them; as a page they lead to the page they belong to
GOES_ON = (302, 302, 302, 302)
EMPTY_FORM = (302, 422, 422, 404)  # let in, and told what is missing
NOT_THEIRS = (302, 404, 404, 404)  # number 1 of whatever it is does not exist
FINDING = (302, 403, 404, 404)  # a viewer may not mute one
READERS = (401, 200, 200, 404)  # programs come there too: no sign-in page for them
NOT_FOUND = (401, 404, 404, 404)
MAKERS = (401, 403, 422, 404)  # for debuggers, who are told what is missing
NOT_TO_MAKE = (302, 403, 404, 404)
STEERERS = (401, 403, 422, 404)  # for administrators, whom no key stands for
NO_MAKER = (401, 403, 404, 404)
NOTHING = (404, 404, 404, 404)
ADMINS = (302, 404, 422, 404)  # for an administrator alone: others are not told it is there

ROWS: list[tuple[str, str, str, tuple[int, int, int, int]]] = [
    ("GET", "healthz", "/healthz", ALL),
    ("GET", "readyz", "/readyz", ALL),
    ("GET", "metrics", "/metrics", ALL),
    ("GET", "api/v1/docs", "/api/v1/docs", ALL),
    ("GET", "api/v1/openapi.json", "/api/v1/openapi.json", ALL),
    ("GET", "api/v1/", "/api/v1/", NOTHING),
    ("GET", "api/v1/<path:rest>", "/api/v1/no/such/thing", NOTHING),
    ("GET", f"{API}/head", "/api/v1/shop/head", READERS),
    ("GET", f"{API}/events", "/api/v1/shop/events", READERS),
    ("GET", f"{API}/events/<int:position>", "/api/v1/shop/events/1", READERS),
    ("GET", f"{API}/events/<int:position>/data", "/api/v1/shop/events/1/data", READERS),
    ("GET", f"{API}/events/<int:position>/deliveries", "/api/v1/shop/events/1/deliveries", READERS),
    ("GET", f"{API}/histogram", "/api/v1/shop/histogram", READERS),
    ("GET", f"{API}/facets", "/api/v1/shop/facets", READERS),
    ("GET", f"{API}/streams", "/api/v1/shop/streams", READERS),
    ("GET", f"{API}/traces", "/api/v1/shop/traces", READERS),
    ("GET", f"{API}/traces/<which>", "/api/v1/shop/traces/1", READERS),
    ("GET", f"{API}/state/{STREAM}", "/api/v1/shop/state/order-1", READERS),
    ("GET", f"{API}/diff/{STREAM}", "/api/v1/shop/diff/order-1?from=0&to=1", READERS),
    ("GET", f"{API}/history/{STREAM}", "/api/v1/shop/history/order-1?field=/a", READERS),
    ("POST", f"{API}/find", "/api/v1/shop/find", (401, 422, 422, 404)),
    ("GET", f"{API}/subscribers", "/api/v1/shop/subscribers", READERS),
    ("GET", f"{API}/flows", "/api/v1/shop/flows", READERS),
    ("GET", f"{API}/taps", "/api/v1/shop/taps", READERS),
    ("POST", f"{API}/taps", "/api/v1/shop/taps", STEERERS),
    ("GET", f"{API}/taps/<name>", "/api/v1/shop/taps/none", NOT_FOUND),
    ("POST", f"{API}/taps/<name>", "/api/v1/shop/taps/none", STEERERS),
    ("GET", f"{API}/rejects", "/api/v1/shop/rejects", READERS),
    ("POST", f"{API}/rejects", "/api/v1/shop/rejects", STEERERS),
    ("GET", SANDBOXES, "/api/v1/shop/sandboxes", READERS),
    ("POST", SANDBOXES, "/api/v1/shop/sandboxes", MAKERS),
    ("GET", SANDBOX, "/api/v1/shop/sandboxes/999", NOT_FOUND),
    ("POST", SANDBOX, "/api/v1/shop/sandboxes/999", NO_MAKER),
    ("POST", f"{SANDBOX}/runs", "/api/v1/shop/sandboxes/999/runs", NO_MAKER),
    ("GET", RUN, "/api/v1/shop/sandboxes/999/runs/1", NOT_FOUND),
    ("POST", RUN, "/api/v1/shop/sandboxes/999/runs/1", NO_MAKER),
    ("GET", f"{RUN}/export", "/api/v1/shop/sandboxes/999/runs/1/export", NO_MAKER),
    ("GET", f"{RUN}/comparison", "/api/v1/shop/sandboxes/999/runs/1/comparison", NOT_FOUND),
    ("GET", "signin", "/signin", (200, 302, 302, 302)),
    ("POST", "signin", "/signin", (422, 422, 422, 422)),
    ("GET", "signin/<str:token>", "/signin/unknown", (410, 302, 302, 302)),
    ("POST", "signout", "/signout", GOES_ON),
    ("GET", "", "/", GOES_ON),
    ("GET", "welcome", "/welcome", SIGNED_IN),
    ("POST", "welcome/key", "/welcome/key", (302, 403, 403, 403)),
    ("POST", "welcome/tour", "/welcome/tour", GOES_ON),
    ("GET", "keyboard", "/keyboard", SIGNED_IN),
    ("GET", "account", "/account", SIGNED_IN),
    ("POST", "account/password", "/account/password", (302, 422, 422, 422)),
    ("POST", "account/preferences", "/account/preferences", GOES_ON),
    ("POST", f"account/{SYSTEM}/keys", "/account/shop/keys", ADMINS),
    ("POST", f"account/{SYSTEM}/keys/<int:number>", "/account/shop/keys/999", ADMINS),
    ("POST", f"account/{SYSTEM}/members", "/account/shop/members", ADMINS),
    ("GET", f"{SYSTEM}/events", "/shop/events", MEMBERS),
    ("GET", f"{SYSTEM}/events/results", "/shop/events/results", PARTS),
    ("GET", f"{SYSTEM}/events/rows", "/shop/events/rows", PARTS),
    ("GET", f"{SYSTEM}/events/counts", "/shop/events/counts", PARTS),
    ("GET", f"{SYSTEM}/events/suggest", "/shop/events/suggest", MEMBERS),
    ("GET", f"{SYSTEM}/events/drawer", "/shop/events/drawer", PARTS),
    ("GET", f"{SYSTEM}/events/export", "/shop/events/export", MEMBERS),
    ("GET", f"{SYSTEM}/events/saved", "/shop/events/saved", MEMBERS),
    ("POST", f"{SYSTEM}/events/saved", "/shop/events/saved", EMPTY_FORM),
    ("POST", f"{SYSTEM}/events/saved/<int:number>", "/shop/events/saved/999", NOT_THEIRS),
    ("GET", f"{EVENT}/part", "/shop/events/1/part", MEMBERS),
    ("GET", f"{EVENT}/raw", "/shop/events/1/raw", MEMBERS),
    ("GET", f"{EVENT}/hex", "/shop/events/1/hex", MEMBERS),
    ("GET", f"{EVENT}/copy/<slug:form>", "/shop/events/1/copy/cloudevent", MEMBERS),
    ("GET", f"{EVENT}/download", "/shop/events/1/download", MEMBERS),
    ("GET", f"{SYSTEM}/traces", "/shop/traces", MEMBERS),
    ("GET", f"{SYSTEM}/traces/<str:which>", "/shop/traces/1", MEMBERS),
    ("GET", f"{SYSTEM}/traces/<str:which>/<slug:form>", "/shop/traces/1/json", MEMBERS),
    ("GET", f"{SYSTEM}/state", "/shop/state", PARTS),
    ("GET", f"{SYSTEM}/state/{STREAM}", "/shop/state/order-1", MEMBERS),
    ("GET", f"{SYSTEM}/states/entity", "/shop/states/entity", PARTS),
    ("GET", f"{SYSTEM}/states/entities", "/shop/states/entities", PARTS),
    ("GET", f"{SYSTEM}/states/watches", "/shop/states/watches", PARTS),
    ("POST", f"{SYSTEM}/states/watch", "/shop/states/watch", (302, 403, 302, 404)),
    ("GET", f"{SYSTEM}/states/code", "/shop/states/code", MEMBERS),
    ("POST", f"{SYSTEM}/states/code", "/shop/states/code", (302, 403, 422, 404)),
    ("GET", f"{SYSTEM}/states/code/news", "/shop/states/code/news", (302, 204, 204, 404)),
    ("GET", f"{SYSTEM}/states/find", "/shop/states/find", EMPTY_FORM),
    ("GET", f"{SYSTEM}/states/find/<int:number>", "/shop/states/find/1", NOT_THEIRS),
    ("POST", f"{SYSTEM}/states/find/<int:number>/stop", "/shop/states/find/1/stop", NOT_THEIRS),
    ("GET", f"{SYSTEM}/subscribers", "/shop/subscribers", MEMBERS),
    ("GET", f"{SYSTEM}/subscribers/export", "/shop/subscribers/export", MEMBERS),
    ("POST", f"{SYSTEM}/subscribers/flows", "/shop/subscribers/flows", (302, 403, 422, 404)),
    ("GET", f"{SYSTEM}/sources", "/shop/sources", MEMBERS),
    ("POST", f"{SYSTEM}/sources", "/shop/sources", (302, 403, 404, 404)),
    ("POST", f"{SYSTEM}/sources/tap/<slug:name>", "/shop/sources/tap/none", (302, 403, 404, 404)),
    ("POST", f"{SYSTEM}/sources/quarantine", "/shop/sources/quarantine", (302, 403, 302, 404)),
    (
        "GET",
        f"{SYSTEM}/sources/quarantine/<int:number>",
        "/shop/sources/quarantine/999",
        NOT_THEIRS,
    ),
    ("GET", f"{SYSTEM}/sandboxes", "/shop/sandboxes", MEMBERS),
    ("POST", f"{SYSTEM}/sandboxes", "/shop/sandboxes", (302, 403, 422, 404)),
    ("GET", f"{SYSTEM}/sandboxes/<int:number>", "/shop/sandboxes/999", NOT_THEIRS),
    ("POST", f"{SYSTEM}/sandboxes/<int:number>/act", "/shop/sandboxes/999/act", NOT_TO_MAKE),
    ("GET", f"{SYSTEM}/sandboxes/<int:number>/export", "/shop/sandboxes/999/export", NOT_TO_MAKE),
    ("GET", f"{SYSTEM}/sandboxes/<int:number>/part", "/shop/sandboxes/999/part", NOT_THEIRS),
    ("POST", f"{SYSTEM}/sandboxes/<int:number>/recipe", "/shop/sandboxes/999/recipe", NOT_TO_MAKE),
    ("GET", f"{SYSTEM}/bookmarks", "/shop/bookmarks", MEMBERS),
    ("POST", f"{SYSTEM}/bookmarks", "/shop/bookmarks", EMPTY_FORM),
    ("POST", f"{SYSTEM}/bookmarks/<int:number>", "/shop/bookmarks/999", NOT_THEIRS),
    ("GET", f"{SYSTEM}/live", "/shop/live", MEMBERS),
    ("GET", f"{SYSTEM}/live/moment", "/shop/live/moment", MEMBERS),
    ("POST", f"{SYSTEM}/live/findings/<int:number>", "/shop/live/findings/999", FINDING),
    ("GET", f"{SYSTEM}/dock", "/shop/dock", PARTS),
    ("GET", f"{SYSTEM}/moment", "/shop/moment", MEMBERS),
]
PATHS = {row[1]: row[2] for row in ROWS}
NAMED = {row[:2] for row in ROWS}


def routes(
    patterns: list[URLPattern | URLResolver] | None = None, before: str = ""
) -> Iterator[str]:
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        else:
            yield route


@pytest.fixture
def people(
    shop: Line, viewer: User, admin: User, stranger: User, monkeypatch: pytest.MonkeyPatch
) -> list[User | None]:
    """Nobody, a viewer and an administrator of `shop`, which has an event, and a stranger."""
    # The writer is a thread of its own, which this test's transaction would keep waiting.
    monkeypatch.setattr("evdebug.health.queries.health", lambda: Health(True, "", 0, 0))
    append(shop, [envelope(type="A", stream="order-1", data=b'{"a":1}')])
    return [None, viewer, admin, stranger]


def client(user: User | None) -> Client:
    """Return a client whose forms need no token: what counts here is who asks."""
    made = browser(user)
    made.handler.enforce_csrf_checks = False
    return made


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    assert set(routes()) == {row[1] for row in ROWS}


@pytest.mark.parametrize(("method", "route", "path", "expected"), ROWS)
def test_each_gets_the_answer_they_should(
    people: list[User | None], method: str, route: str, path: str, expected: tuple[int, ...]
) -> None:
    answers = [client(user).generic(method, path) for user in people]
    assert tuple(answer.status_code for answer in answers) == expected
    if expected[0] == 302:
        assert answers[0]["Location"].startswith("/signin")


def test_a_method_without_a_row_is_refused_to_all(people: list[User | None]) -> None:
    clients = [client(user) for user in people]
    for route, path in PATHS.items():
        for method in METHODS:
            if (method, route) not in NAMED:
                first, *rest = [each.generic(method, path).status_code for each in clients]
                assert first in {302, 405}, (method, path)
                assert set(rest) <= {404, 405}, (method, path)


def test_no_session_changes_anything_without_the_form_token(people: list[User | None]) -> None:
    strict = browser(people[2])
    for path in sorted({row[2] for row in ROWS}):
        for method in METHODS[1:]:
            assert strict.generic(method, path).status_code in {403, 405}, (method, path)


def test_a_foreign_system_looks_like_one_there_is_not(people: list[User | None]) -> None:
    asking = client(people[3])
    for path in sorted({row[2] for row in ROWS if SYSTEM in row[1]}):
        method = next(row[0] for row in ROWS if row[2] == path)
        foreign = asking.generic(method, path)
        unknown = asking.generic(method, path.replace("shop", "none"))
        assert foreign.status_code == unknown.status_code == 404, path
        assert foreign.content.replace(b"shop", b"none") == unknown.content, path


STEERED = {f"{API}/taps", f"{API}/taps/<name>", f"{API}/rejects"}


def of_keys(row: tuple[str, str, str, tuple[int, int, int, int]]) -> tuple[int, int]:
    """Return what a reader's and a writer's key get."""
    return (403, 403) if row[1] in STEERED and row[0] == "POST" else (row[3][1], row[3][2])


API_ROWS = [(row[0], row[2], of_keys(row)) for row in ROWS if row[1].startswith(API)]


def test_a_key_opens_its_own_system_to_its_own_scopes(
    people: list[User | None], shop: Line, bank: Line
) -> None:
    revoked = create_key(shop.system, scopes=["read"], by=CONSOLE)
    revoke_key(revoked.id, by=CONSOLE)
    good = [key_of(shop, "read"), key_of(shop, "write")]  # a viewer's, and an administrator's
    bad = {
        key_of(shop, "ingest"): 403,
        key_of(bank, "write"): 404,
        revoked.secret: 401,
        "evk_" + "x" * 43: 401,
        "": 401,
    }
    for user in (None, people[2]):  # a good session does not make up for a bad key
        asking = browser(user)
        for method, path, seen in API_ROWS:
            for key, status in (dict(zip(good, seen, strict=True)) | bad).items():
                headers = {"Authorization": f"Bearer {key}"}
                answer = asking.generic(method, path, headers=headers)
                assert answer.status_code == status, (method, path)
                assert status == 200 or {"code", "detail"} <= set(answer.json()), path


def test_a_key_in_the_address_opens_nothing(people: list[User | None], shop: Line) -> None:
    key, asking = key_of(shop, "read"), Client()
    for method, path, _ in API_ROWS:
        for name in ("key", "token", "access_token", "api_key", "authorization"):
            longer = f"{path}{'&' if '?' in path else '?'}{name}={key}"
            assert asking.generic(method, longer).status_code == 401, (method, path)


def test_no_system_can_take_the_name_of_a_page() -> None:
    first = {route.partition("/")[0] for route in routes()}
    assert {name for name in first if name and name != SYSTEM} <= TAKEN


def test_an_address_there_is_not_is_404_for_everybody(people: list[User | None]) -> None:
    for user in people:
        assert client(user).get("/no/such/page").status_code == 404
