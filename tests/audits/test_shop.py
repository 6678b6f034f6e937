"""The shop's planted anomaly: on the Live page within a minute, and its start is a link."""

from __future__ import annotations

import json
import re
from http.cookiejar import CookieJar
from typing import Any
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

import pytest

from tests.conftest import Servers
from tests.running import Evdebug
from tests.services import wait_for


def signed_in(server: Evdebug) -> OpenerDirector:
    opener = build_opener(HTTPCookieProcessor(CookieJar()))
    opener.open(server.sign_in_link(), timeout=30).close()
    return opener


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_it_works(new_server: Servers) -> None:
    server = new_server("--demo")
    opener = signed_in(server)

    def moment(at: str = "") -> Any:
        with opener.open(f"{server.url}/shop/live/moment?at={at}", timeout=60) as answer:
            return json.load(answer)

    for _ in range(4):  # it takes longer than one wait on a busy machine
        try:
            wait_for(lambda: "shop: open" in server.said(), "the shop to have sent its past")
            break
        except AssertionError:
            continue
    # `wait_for` gives it a minute.
    wait_for(lambda: "PaymentCaptured rate" in moment()["parts"]["attention"], "the anomaly")
    start = re.search(r'href="\?at=(\d+)"', moment()["parts"]["attention"])
    assert start
    before = moment(start[1])
    assert before["head"] == int(start[1])
    assert "PaymentCaptured rate" not in before["parts"]["attention"]  # it was not noticed yet
