"""The secrets evdebug gives out: API keys and sign-in links. Only their hashes are kept.

A plain SHA-256 is enough: the secrets are 256 random bits, so there is nothing to guess that a
slow hash would slow down, and the door checks a key on every request.
"""

from __future__ import annotations

import hashlib
import re
import secrets

KEY_SHAPE = re.compile(r"evk_[A-Za-z0-9_-]{43}\Z", re.ASCII)
LINK_SHAPE = re.compile(r"[A-Za-z0-9_-]{43}\Z", re.ASCII)
PREFIX = 12  # of a key's 47 characters; shown in lists, and too few to guess the rest from


def new_key() -> str:
    """Return a fresh API key: `evk_` and 43 characters that need no escaping anywhere."""
    return "evk_" + secrets.token_urlsafe(32)


def new_link() -> str:
    """Return a fresh token for a sign-in link."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """Return what is kept of a secret: 64 hexadecimal digits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_key(text: str) -> bool:
    """Return whether `text` has the shape of a key, so that garbage never reaches the database."""
    return KEY_SHAPE.match(text) is not None


def is_link(text: str) -> bool:
    """Return whether `text` has the shape of a link's token."""
    return LINK_SHAPE.match(text) is not None
