from __future__ import annotations

import pytest

from apps.access.origins import is_own

HERE = "127.0.0.1:8000"


@pytest.mark.parametrize(
    ("origin", "scheme", "host"),
    [
        ("http://127.0.0.1:8000", "http", HERE),
        ("http://LOCALHOST:8000", "http", "localhost:8000"),
        ("http://[::1]:8000", "http", "[::1]:8000"),
        ("https://bus.example", "https", "bus.example"),
        ("https://bus.example:443", "https", "bus.example"),
        ("http://bus.example", "http", "bus.example:80"),
    ],
)
def test_a_page_of_this_site(origin: str, scheme: str, host: str) -> None:
    assert is_own(origin, scheme=scheme, host=host)


@pytest.mark.parametrize(
    "origin",
    [
        "", "null", "http://127.0.0.1", "http://127.0.0.1:8001", "https://127.0.0.1:8000",
        "http://localhost:8000", "http://127.0.0.1.evil.example:8000", "http://evil.example",
        "http://evil.example@127.0.0.1:8000", "http://127.0.0.1:8000/", "http://127.0.0.1:8000?x",
        "http://127.0.0.1:8000,http://127.0.0.1:8000", "file://", "http://127.0.0.1:80000",
        "http://[::1", "127.0.0.1:8000", "ftp://127.0.0.1:8000", "http://127.0.0.1:8000\n",
    ],
)  # fmt: skip
def test_any_other_page(origin: str) -> None:
    assert not is_own(origin, scheme="http", host=HERE)


@pytest.mark.parametrize("host", ["", ":8000", "127.0.0.1:x"])
def test_a_host_that_is_none(host: str) -> None:
    assert not is_own(f"http://{host}", scheme="http", host=host)
