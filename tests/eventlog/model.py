"""The log as a list: what append, read and resolve must agree with, in the plainest words."""

from __future__ import annotations

from dataclasses import dataclass, field

from apps.eventlog.envelope import Envelope


@dataclass
class Row:
    position: int
    envelope: Envelope
    log_time: int
    recorded_at: int
    revision: int | None
    correlation: str
    cause: int | None = None
    seen: int = 1
    conflicts_with: int | None = None


@dataclass
class Model:
    """One timeline."""

    rows: list[Row] = field(default_factory=list)

    @property
    def head(self) -> int:
        return len(self.rows)

    def append(self, envelopes: list[Envelope], now: int) -> list[int]:
        """Append and return every envelope's position."""
        positions = []
        before = self.head
        for e in envelopes:
            same = [r for r in self.rows if (r.envelope.source, r.envelope.id) == (e.source, e.id)]
            twin = next((r for r in same if content(r.envelope) == content(e)), None)
            if twin:
                twin.seen += 1
                positions.append(twin.position)
                continue
            last = self.rows[-1].log_time if self.rows else -(1 << 62)
            at = now if e.time is None else e.time
            in_stream = sum(r.envelope.stream == e.stream for r in self.rows)
            self.rows.append(
                Row(
                    self.head + 1, e, max(last, min(at, now)), now,
                    in_stream if e.stream else None, e.correlation,
                    conflicts_with=same[0].position if same else None,
                )
            )  # fmt: skip
            positions.append(self.head)
        self._resolve(before)
        return positions

    def _resolve(self, before: int) -> None:
        """Causes: this batch's newest first, then what was there; those that waited get theirs."""
        for row in self.rows:
            e = row.envelope
            if row.cause is None and e.causation:
                named = [
                    r
                    for r in (self.rows if row.position > before else self.rows[before:])
                    if r.envelope.id == e.causation
                    and e.causation_source in {"", r.envelope.source}
                ]
                if named:
                    row.cause = named[-1].position
        for row in self.rows[before:] + self.rows[:before]:
            if row.envelope.kind == "delivery" and not row.correlation and row.cause is not None:
                cause = self.rows[row.cause - 1]
                if row.position > before or row.cause > before:
                    row.correlation = cause.correlation


def content(e: Envelope) -> tuple[str, str, str, bytes]:
    return e.kind, e.type, e.stream, e.data
