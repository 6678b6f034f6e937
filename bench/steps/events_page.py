"""The events page over the long log: server time, queries, and what a cold load sends.

In process, through every middleware: the time is the server's, without network and browser.
"""

from __future__ import annotations

import gzip
import random
import re
import time
from typing import Any
from urllib.parse import urlencode, urljoin

from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.eventlog.queries import log
from bench.steps.pages import QUERIES
from evdebug import first

PATH = "/bench/events"
PART = {"HX-Request": "true"}
LINK = re.compile(r"""(?:src|href)=["'](/static/[^"']+)["']""")
IMPORT = re.compile(r"""(?:\bfrom|\bimport)\s*\(?\s*["']([^"']+\.js)["']""")
IMPORTED = re.compile(r"""(?:@import\s+|url\()\s*["']?([^"')]+\.(?:css|woff2|svg))""")


def run(*, times: int) -> dict[str, Any]:
    """Return the seconds of pages and parts, the most queries, and the bytes of a cold load."""
    call_command("migrate", verbosity=0)
    client = _signed_in()
    addresses = _addresses(times)
    for address in addresses[: len(QUERIES)]:  # templates are parsed once, not in every request
        _get(client, address, {})
        _get(client, address, PART)
    pages = [_get(client, address, {})[0] for address in addresses]
    parts = [_get(client, address, PART)[0] for address in addresses]
    queries = []
    for address in addresses[: len(QUERIES)]:
        with CaptureQueriesContext(connection) as captured:
            _get(client, address, {})
        queries.append(len(captured))
    return {
        "pages": pages, "parts": parts, "queries": max(queries), "cold": _cold(client, addresses[0])
    }  # fmt: skip


def _signed_in() -> Client:
    client = Client(headers={"Host": "localhost"})
    client.get(f"/signin/{first.link()}")
    client.post(f"/signin/{first.link()}")
    return client


def _addresses(times: int) -> list[str]:
    """Return pages of every filter in turn, as of random moments."""
    line = log.line("bench")
    rng = random.Random(11)
    queries = list(QUERIES.values())
    asked = [
        {"at": rng.randint(1, line.head), "query": queries[n % len(queries)](line, rng)}
        for n in range(times)
    ]
    return [f"{PATH}?{urlencode(each)}" for each in asked]


def _get(client: Client, address: str, headers: dict[str, str]) -> tuple[float, bytes]:
    started = time.perf_counter()
    answer: Any = client.get(address, headers=headers)
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    seconds = time.perf_counter() - started
    if answer.status_code != 200:
        raise RuntimeError(f"{address} answered {answer.status_code}: {body[:500]!r}")
    return seconds, body


def _cold(client: Client, address: str) -> int:
    """Return the bytes of the page and all it loads, each compressed as a server would."""
    page = _get(client, address, {})[1]
    total = len(gzip.compress(page))
    waiting = set(LINK.findall(page.decode()))
    seen: set[str] = set()
    while waiting - seen:
        name = sorted(waiting - seen)[0]
        seen.add(name)
        body = _get(client, name, {})[1]
        total += len(gzip.compress(body))
        pattern = IMPORT if name.endswith(".js") else IMPORTED if name.endswith(".css") else None
        if pattern:
            waiting |= {urljoin(name, found) for found in pattern.findall(body.decode())}
    return total
