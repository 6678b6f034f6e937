"""What can go wrong with access, by what the caller can do about it.

AccessError
├── BadKey       401  send a key that is known, not revoked and not expired
├── WrongScope   403  send a key that has the scope
├── NotVisible   404  there is no such thing for this caller
├── NotAllowed   403  ask an administrator of the system for a higher role
├── BadLink      410  ask for a new sign-in link
└── Refused      422  the command cannot be done as asked: change what was asked
"""

from __future__ import annotations


class AccessError(Exception):
    """Base of what access raises. `status` is the HTTP status that says the same."""

    code = "access_error"
    status = 403


class BadKey(AccessError):
    """The key is missing, unknown, revoked or expired; which of them is not said."""

    code = "bad_key"
    status = 401

    def __init__(self) -> None:
        super().__init__(
            "The key is not known here, or was revoked, or has expired. Send a valid one as "
            "`Authorization: Bearer KEY`; `manage.py key create SYSTEM --scope …` makes one."
        )


class WrongScope(AccessError):
    """The key is valid, but not for this."""

    code = "wrong_scope"
    status = 403

    def __init__(self, *, needed: str, scopes: frozenset[str]) -> None:
        has = ", ".join(sorted(scopes))
        super().__init__(f"This needs a key with scope {needed!r}; this one has {has}.")
        self.needed, self.scopes = needed, scopes


class NotVisible(AccessError):
    """The caller may not know whether it exists, so the answer is that of nothing being there."""

    code = "not_found"
    status = 404

    def __init__(self) -> None:
        super().__init__("There is nothing here that you may see.")


class NotAllowed(AccessError):
    """The caller sees the system, but the act needs a higher role."""

    code = "not_allowed"
    status = 403

    def __init__(self, *, needed: str, role: str) -> None:
        super().__init__(
            f"This needs the role {needed!r}; yours is {role!r}. "
            "An administrator of the system can change it."
        )
        self.needed, self.role = needed, role


class BadLink(AccessError):
    """A sign-in link is unknown, was used, or has expired; which of them is not said."""

    code = "bad_link"
    status = 410

    def __init__(self) -> None:
        super().__init__(
            "This sign-in link was used already or has expired. "
            "`manage.py signin` prints a new one."
        )


class Refused(AccessError):
    """A command cannot be done as asked; the message says what to change."""

    code = "refused"
    status = 422
