"""What a user's own code imports. Plain Python, without Django or any other package."""

from evdebug.sdk.events import Event
from evdebug.sdk.handlers import (
    Context,
    Handler,
    New,
    Subscription,
    Unavailable,
    subscriber,
    subscriptions,
)
from evdebug.sdk.registry import DELETED, reducer, upcast

__all__ = [
    "DELETED",
    "Context",
    "Event",
    "Handler",
    "New",
    "Subscription",
    "Unavailable",
    "reducer",
    "subscriber",
    "subscriptions",
    "upcast",
]
