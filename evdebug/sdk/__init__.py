"""What a user's own code imports. Plain Python, without Django."""

from evdebug.sdk.events import Event
from evdebug.sdk.registry import DELETED, reducer, upcast

__all__ = ["DELETED", "Event", "reducer", "upcast"]
