"""The project's one signal: the log grew."""

from __future__ import annotations

from django.dispatch import Signal

# Sent after the commit with timeline=int, head=int. A hint: it may be lost; the log is the truth.
appended = Signal()
