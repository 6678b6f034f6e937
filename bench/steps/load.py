"""Load NDJSON into the plain table, as a short script would."""

from __future__ import annotations

import json
import time
from itertools import islice
from pathlib import Path
from typing import Any

from bench.models import Plain, from_cloudevent
from bench.steps import database


def run(*, path: str, count: int, batch: int) -> dict[str, Any]:
    """Load the first `count` lines in batches and return the events a second."""
    database.migrate()
    now = time.time_ns() // 1000
    with Path(path).open("rb") as lines:
        started = time.perf_counter()
        for _ in range(0, count, batch):
            rows = [
                from_cloudevent(json.loads(line), now) for line in islice(lines, min(batch, count))
            ]
            Plain._default_manager.bulk_create(rows)
        return {"rate": count / (time.perf_counter() - started)}
