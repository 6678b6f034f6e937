"""What the doors answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from apps.eventlog.envelope import Envelope
from apps.ingest.decode import Decoded
from apps.ingest.jobs import Stored
from apps.ingest.problems import Problem, Refused

Headers = list[tuple[bytes, bytes]]
POSITIONS = 10_000  # listed in an answer; of a longer stream only the counts are told
PROBLEMS = 1000


@dataclass
class Report:
    """What became of a request's events, counted as they are stored."""

    received: int = 0
    stored: int = 0
    duplicates: int = 0
    head: int = 0
    positions: list[int | None] | None = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    conflicts: list[tuple[int, int]] = field(default_factory=list)
    rejected: int = 0

    def add(self, stored: Stored, indexes: Sequence[int], problems: Iterable[Problem]) -> None:
        """Count what came next: the events at `indexes` of the request, and those with problems."""
        found = sorted(
            [*problems, *(Problem(indexes[p.index], p.code, p.detail) for p in stored.problems)],
            key=lambda problem: problem.index,
        )
        count = len(indexes) + len(found) - len(stored.problems)
        positions: list[int | None] = [None] * count
        for index, position in zip(indexes, stored.positions, strict=True):
            positions[index - self.received] = position
        if self.positions is not None:
            self.positions += positions
            if len(self.positions) > POSITIONS:
                self.positions = None
        self.conflicts += [(indexes[i], earlier) for i, earlier in stored.conflicts.items()]
        del self.conflicts[PROBLEMS:]
        self.problems += found[: PROBLEMS - len(self.problems)]
        self.received += count
        self.rejected += len(found)
        self.stored += stored.stored
        self.duplicates += stored.duplicates
        self.head = stored.head

    def shape(self) -> dict[str, Any]:
        """Return the answer of INTERFACES §3."""
        shape: dict[str, Any] = {
            "received": self.received, "stored": self.stored, "duplicates": self.duplicates,
            "rejected": self.rejected, "head": self.head,
        }  # fmt: skip
        if self.positions is not None:
            shape["positions"] = self.positions
        if self.conflicts:
            shape["conflicts"] = [
                {"index": index, "conflicts_with": earlier} for index, earlier in self.conflicts
            ]
        if self.problems:
            shape["problems"] = self.problems
        return shape


def report_on(decoded: Decoded, stored: Stored) -> Report:
    """Return what became of a body; Refused (400) where it is one event that was not stored."""
    if not decoded.single:
        report = Report()
        problems = [item for item in decoded.items if isinstance(item, Problem)]
        sound = [i for i, item in enumerate(decoded.items) if isinstance(item, Envelope)]
        report.add(stored, sound, problems)
        return report
    if stored.problems:
        raise Refused(400, stored.problems[0].code, stored.problems[0].detail)
    conflicts = [(0, earlier) for earlier in stored.conflicts.values()]
    return Report(1, stored.stored, stored.duplicates, stored.head, stored.positions, [], conflicts)


def good(report: Report) -> tuple[int, Headers, bytes]:
    """Return status, headers and body for a request that was stored."""
    return 200, [], msgspec.json.encode(report.shape())


def bad(refused: Refused) -> tuple[int, Headers, bytes]:
    """Return status, headers and body for a request that was not."""
    headers = []
    if refused.retry_after is not None:
        headers.append((b"retry-after", b"%d" % refused.retry_after))
    if refused.allow:
        headers.append((b"allow", refused.allow.encode()))
    if refused.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    body = {"code": refused.code, "detail": refused.detail}
    return refused.status, headers, msgspec.json.encode(body)
