"""What a browser test can rely on."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Page

from tests.running import Evdebug

INLINE_SCRIPT = (
    "document.body.append(Object.assign(document.createElement('script'), {textContent: '1'}))"
)


def test_a_page_is_signed_in(page: Page, server: Evdebug) -> None:
    answer = page.goto("/account")
    assert answer is not None
    assert answer.status == 200
    assert page.url == f"{server.url}/account"


def test_a_visitor_is_not(visitor: Page) -> None:
    visitor.goto("/account")
    assert "/signin" in visitor.url


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("console.error('seen')", "seen"),
        ("setTimeout(() => { throw new Error('thrown') })", "thrown"),
        (INLINE_SCRIPT, "Content Security Policy"),
    ],
)
def test_errors_in_the_console_are_noticed(
    visitor: Page, expected_errors: list[str], console: list[str], script: str, said: str
) -> None:
    visitor.goto("/signin")
    visitor.evaluate(script)
    deadline = time.monotonic() + 10
    while not any(said in line for line in console):
        assert time.monotonic() < deadline, f"{said!r} was not noticed: {console}"
        visitor.wait_for_timeout(10)
    expected_errors.append(said)
