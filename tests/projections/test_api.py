from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client

from apps.access.actor import CONSOLE
from apps.access.commands.keys import create_key
from tests.conftest import Log
from tests.factories import envelope

pytestmark = pytest.mark.django_db


class Api:
    """Requests to one system's API with a key for reading."""

    def __init__(self, log: Log) -> None:
        line = log.line
        self.slug = line.slug
        secret = create_key(line.system, scopes=["read"], by=CONSOLE).secret
        self.client = Client(headers={"Authorization": f"Bearer {secret}"})

    def get(self, path: str, status: int = 200, **query: Any) -> Any:
        query = {name.rstrip("_"): value for name, value in query.items()}
        answer = self.client.get(f"/api/v1/{self.slug}/{path}", query)
        assert answer.status_code == status, answer.content
        return answer.json()

    def find(self, status: int = 200, **body: Any) -> Any:
        body = {name.rstrip("_"): value for name, value in body.items()}
        answer = self.client.post(
            f"/api/v1/{self.slug}/find", body, content_type="application/json"
        )
        assert answer.status_code == status, answer.content
        return answer.json()


@pytest.fixture
def api(log: Log) -> Api:
    log.append(envelope(stream="other", data={}))
    for n in (2, 1, 0, -1):
        log.append(envelope(stream="stock-SKU7", type="Reserved", data={"available": n, "s": 1}))
    return Api(log)


def test_a_state(api: Api) -> None:
    answer = api.get("state/stock-SKU7", blame=1)
    assert answer.pop("cost").keys() == {"snapshot", "folded", "ms"}
    assert answer == {
        "position": 5, "state": {"available": -1, "s": 1}, "error": None,
        "blame": {"/available": 5, "/s": 2},
    }  # fmt: skip
    assert "blame" not in api.get("state/stock-SKU7")
    assert api.get("state/stock-SKU7", at=3)["state"]["available"] == 1


def test_before_the_first_event_it_is_null(api: Api) -> None:
    answer = api.get("state/stock-SKU7", at=1, blame=1)
    assert answer["state"] is None
    assert answer["blame"] == {}


@pytest.mark.parametrize("path", ["state/absent", "diff/absent", "history/absent"])
def test_a_stream_there_never_is_is_404(api: Api, path: str) -> None:
    assert api.get(path, 404)["code"] == "not_found"


def test_wrong_moments_and_fields_are_422(api: Api) -> None:
    assert api.get("state/stock-SKU7", 422, at="noon")["parameter"] == "at"
    assert api.get("diff/stock-SKU7", 422, from_="noon")["parameter"] == "from"
    assert "JSON pointer" in api.get("history/stock-SKU7", 422, field="x")["detail"]


def test_digits_stay(api: Api, log: Log) -> None:
    log.append(envelope(stream="n", data=b'{"a":12345678901234567890123,"b":129.00,"c":1.0}'))
    answer = api.client.get(f"/api/v1/{api.slug}/state/n")
    assert b'"a":12345678901234567890123,"b":129.00,"c":1.0' in answer.content


def test_a_diff(api: Api) -> None:
    assert api.get("diff/stock-SKU7", from_=4, to=5) == {
        "changes": [{"op": "replace", "path": "/available", "before": 0, "after": -1}]
    }
    assert api.get("diff/stock-SKU7")["changes"][0]["op"] == "add"


def test_a_history(api: Api) -> None:
    answer = api.get("history/stock-SKU7", field="/available")
    assert [(e["position"], e["value"]) for e in answer["history"]] == [
        (2, 2), (3, 1), (4, 0), (5, -1),
    ]  # fmt: skip
    assert answer["history"][0]["log_time"].endswith("Z")
    assert [e["position"] for e in api.get("history/stock-SKU7", field="/s")["history"]] == [2]


@pytest.mark.parametrize("mode", ["scan", "bisect"])
def test_find(api: Api, mode: str) -> None:
    found = api.find(stream="stock-SKU7", expr="stock-SKU7.available < 0", mode=mode)
    assert found["position"] == 5
    assert found["stream"] == "stock-SKU7"
    assert found["checked"] > 0
    none = api.find(stream="stock-SKU7", expr="state.available < 0", mode=mode, to=4)
    assert none["position"] is None
    later = api.find(stream="stock-SKU7", expr="state.available < 2", mode=mode, from_=3)
    assert later["position"] == 4


def test_find_says_what_is_wrong(api: Api) -> None:
    wrong = api.find(422, stream="stock-SKU7", expr="state.available <")
    assert (wrong["code"], wrong["parameter"], wrong["column"]) == ("bad_expression", "expr", 17)
    assert api.find(404, stream="absent", expr="true")
    assert api.find(422, stream="stock-SKU7", expr="1 / 0 > 1")["code"] == "bad_expression"
    assert api.find(422, stream="stock-SKU7", expr="(" * 5000)["code"] == "bad_expression"
    assert api.find(422, stream="stock-SKU7", expr="true", mode="guess")
    assert api.find(422, stream="stock-SKU7", expr="true", from_=[1])


@pytest.mark.parametrize("name", ["a/b", "a?b#c", "ünï 🚀", "%41", "..", "a\\b", "a'\"<b>"])
def test_stream_names_of_any_characters(api: Api, log: Log, name: str) -> None:
    log.append(envelope(stream=name, data={"me": 1}))
    answer = api.client.get(f"/api/v1/{api.slug}/state/{quote(name, safe='')}")
    assert answer.json()["state"] == {"me": 1}


def test_another_systems_streams_are_not_there(api: Api) -> None:
    assert api.client.get("/api/v1/nothing/state/stock-SKU7").status_code == 404
    assert Client().get(f"/api/v1/{api.slug}/state/stock-SKU7").status_code == 401
