"""The log's signals: it grew, or it forgot."""

from __future__ import annotations

from django.dispatch import Signal

# Sent after the commit with timeline=int, head=int. A hint: it may be lost; the log is the truth.
appended = Signal()

# Sent before data is erased that is to leave states behind, with line=Line, before=int. Receivers
# keep what was made of the events below that position, and return a line of text of what they did.
keeping = Signal()

# Sent in the transaction that erases data, with timelines=list[int]: those that may have shown it;
# stream=int|None, before=int|None: what is forgotten; kept=bool: whether `keeping` was sent before.
# Whoever keeps anything made of it drops that now; an error undoes the erasing.
forgotten = Signal()
