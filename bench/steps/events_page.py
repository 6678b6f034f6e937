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

PAGE = "/bench/events"
PARTS = ("events/results", "events/rows", "events/counts", "events/drawer", "dock")
PART = {"HX-Request": "true"}
LINK = re.compile(r"""(?:src|href)=["'](/static/[^"']+)["']""")
IMPORT = re.compile(r"""(?:\bfrom|\bimport)\s*\(?\s*["']([^"']+\.js)["']""")
IMPORTED = re.compile(r"""(?:@import\s+|url\()\s*["']?([^"')]+\.(?:css|woff2|svg))""")


def run(*, times: int) -> dict[str, Any]:
    """Return the seconds of the page and its parts, the most queries, a cold load's bytes."""
    call_command("migrate", verbosity=0)
    client = _signed_in()
    asked = _asked(times)
    page = [f"{PAGE}?{each}" for each in asked]
    answer = {
        "page": _times(client, page, {}),
        "parts": {
            part: _times(client, [f"/bench/{part}?{each}" for each in asked], PART)
            for part in PARTS
        },
    }
    return answer | {"queries": _queries(client, page), "cold": _cold(client, page[0])}


def _times(client: Client, addresses: list[str], headers: dict[str, str]) -> list[float]:
    """Return each request's seconds; templates are parsed beforehand, as on a server that runs."""
    for address in addresses[: len(QUERIES)]:
        _get(client, address, headers)
    return [_get(client, address, headers)[0] for address in addresses]


def _queries(client: Client, addresses: list[str]) -> int:
    """Return how many queries the page asking most of them needs."""
    found = []
    for address in addresses[: len(QUERIES)]:
        with CaptureQueriesContext(connection) as captured:
            _get(client, address, {})
        found.append(len(captured))
    return max(found)


def _signed_in() -> Client:
    client = Client(headers={"Host": "localhost"})
    client.get(f"/signin/{first.link()}")
    return client


def _asked(times: int) -> list[str]:
    """Return query strings: every filter in turn, random moments, a random event in the drawer."""
    line = log.line("bench")
    rng = random.Random(11)
    filters = list(QUERIES.values())
    found = []
    for n in range(times):
        at = rng.randint(1, line.head)
        text = filters[n % len(filters)](line, rng)
        found.append(urlencode({"at": at, "q": text, "before": at, "event": rng.randint(1, at)}))
    return found


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
