"""The log's signals: it grew, or it forgot."""

from __future__ import annotations

from django.dispatch import Signal

# Sent after the commit with timeline=int, head=int. A hint: it may be lost; the log is the truth.
appended = Signal()

# Sent in the transaction that erases data, with timelines=list[int]: those that may have shown it.
# Whoever keeps anything made of it drops that now; an error undoes the erasing.
forgotten = Signal()
