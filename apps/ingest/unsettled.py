"""Exactly once from a queue that numbers nothing.

A queue gives back what was not acknowledged, in the old order and marked as redelivered. If the
process died after the commit and before the acknowledgement, what comes back first is exactly what
the commit held. So each commit's cursor holds the digests of its records; after a restart a
redelivered record with such a digest is taken once as stored already.

Of two records that are equal in all, message id and time included, the later one may so be counted
as the earlier one's repetition, if we die while it is in flight. A note that an acknowledgement was
sent would not help: acknowledgements get lost, and then all that they stood for would be twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b

from apps.ingest.connector import Cursor, Record

LANE = "unsettled"
SIZE = 8  # bytes of a digest: only compared with the few thousand of one batch


class Unsettled:
    """What the last commit held and the bus may not know yet."""

    def __init__(self, cursor: Cursor) -> None:
        held = bytes.fromhex(cursor.get(LANE, ""))
        self._left = Counter(held[i : i + SIZE] for i in range(0, len(held), SIZE))

    def again(self, record: Record, *, redelivered: bool) -> bool:
        """Return whether `record` was stored by the last commit. Ask for each one, in order.

        What is given back comes first: with the first new record, nothing old is awaited any more.
        """
        if not redelivered:
            self._left.clear()
            return False
        mark = digest(record)
        if self._left[mark] <= 0:
            return False
        self._left[mark] -= 1
        return True

    def cursor(self, records: Iterable[Record]) -> dict[str, str]:
        """Return the cursor of a commit that holds `records` and all that is not given back yet."""
        left = b"".join(mark * count for mark, count in self._left.items() if count > 0)
        return {LANE: (b"".join(digest(r) for r in records) + left).hex()}


def digest(record: Record) -> bytes:
    """Return what tells a record of a queue from others: all but the mark of its redelivery."""
    h = blake2b(digest_size=SIZE)
    for part in (record.channel, record.partition, record.key, str(record.time)):
        h.update(part.encode("utf-8", "surrogatepass") + b"\0")
    for name, value in record.headers:
        h.update(b"%d %d " % (len(name), len(value)) + name.encode() + value)
    h.update(record.body or b"")
    return h.digest()
