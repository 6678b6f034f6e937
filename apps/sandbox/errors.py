"""What can go wrong with sandboxes, by what the caller can do about it.

EventLogError
├── BadRecipe        the edits, the code or the range cannot be meant: change them
├── UnknownSandbox   name another sandbox or run
└── NotNow           the run is in a state in which this cannot be done
"""

from __future__ import annotations

from apps.eventlog.errors import EventLogError


class BadRecipe(EventLogError):
    """A recipe cannot be run as it is; the message says what to change."""

    code = "bad_recipe"


class UnknownSandbox(EventLogError):
    """The system has no such sandbox, or the sandbox no such run."""

    code = "unknown_sandbox"


class NotNow(EventLogError):
    """The run is finished, or not yet; look at its status."""

    code = "not_now"
