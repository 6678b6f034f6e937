"""Roles of people and scopes of keys: what each includes. Plain values, no database."""

from __future__ import annotations

from collections.abc import Iterable

ROLES = ("viewer", "debugger", "admin")  # each may do what those before it may
SCOPES = ("ingest", "read", "write")

INCLUDED = {
    "ingest": frozenset({"ingest"}),
    "read": frozenset({"read"}),
    "write": frozenset({"read", "write"}),
}
# What a key may do where a page would ask for a role. No key stands in for an administrator.
SCOPE_FOR = {"viewer": "read", "debugger": "write"}


def includes(role: str, needed: str) -> bool:
    """Return whether `role` may do what `needed` may; "" (no role) includes nothing."""
    return role in ROLES and ROLES.index(role) >= ROLES.index(needed)


def covered(scopes: Iterable[str]) -> frozenset[str]:
    """Return every scope these give, those they include among them.

    raises  KeyError for a name that is no scope
    """
    return frozenset[str]().union(*(INCLUDED[scope] for scope in scopes))
