"""Making people, giving and taking roles, setting passwords."""

from __future__ import annotations

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from apps.access.actor import Actor
from apps.access.commands.trail import note
from apps.access.errors import NotVisible, Refused
from apps.access.models import Membership, SignInLink, User
from apps.access.roles import ROLES


@transaction.atomic
def create_user(
    username: str, *, by: Actor, password: str | None = None, everywhere: bool = False
) -> User:
    """Make a person.

    password    None: they sign in by link until they set one
    everywhere  an administrator of every system there is and will be
    raises      Refused for a name that is taken or not usable, and for a weak password
    """
    user = User(username=username, is_superuser=everywhere)
    _set_password(user, password)
    _checked(user)
    if User.objects.filter(username=username).exists():
        raise Refused(f"There is a user {username!r} already. Choose another name.")
    user.save()
    note(by, "created user", username)
    return user


@transaction.atomic
def set_password(user: User, password: str | None, *, by: Actor) -> None:
    """Set a person's password, or take it away (None); their other sessions end.

    raises  Refused for a weak one, with the reasons
    """
    _set_password(user, password)
    user.save(update_fields=["password"])
    # A link still lying in a terminal must not outlive the change.
    SignInLink.objects.filter(user=user, used_at=None).delete()
    note(by, "set password" if password else "removed password", user.username)


@transaction.atomic
def set_active(user: User, active: bool, *, by: Actor) -> None:
    """Let a person in or lock them out; locked out, their sessions and links end at once."""
    user.is_active = active
    user.save(update_fields=["is_active"])
    if not active:
        SignInLink.objects.filter(user=user, used_at=None).delete()
    note(by, "let in user" if active else "locked out user", user.username)


@transaction.atomic
def set_role(user: User, system_id: int, role: str, *, by: Actor) -> None:
    """Make a person a member of a system, or change their role in it.

    raises  Refused for a role there is not
    """
    if role not in ROLES:
        raise Refused(f"The role is {role!r}; expected one of {', '.join(ROLES)}.")
    Membership.objects.update_or_create(user=user, system_id=system_id, defaults={"role": role})
    note(by, f"made {role}", user.username, system_id=system_id)


@transaction.atomic
def remove_member(user: User, system_id: int, *, by: Actor) -> None:
    """Take a person out of a system.

    raises  NotVisible for whoever is no member
    """
    gone, _ = Membership.objects.filter(user=user, system_id=system_id).delete()
    if not gone:
        raise NotVisible
    note(by, "removed member", user.username, system_id=system_id)


def _set_password(user: User, password: str | None) -> None:
    if password is None:
        user.set_unusable_password()
        return
    try:
        if len(password) > 4096:  # hashing takes time by its length
            raise ValidationError("This password is longer than 4096 characters.")
        validate_password(password, user)
    except ValidationError as error:
        raise Refused(" ".join(error.messages)) from error
    user.set_password(password)


def _checked(user: User) -> None:
    try:
        user.clean_fields()
    except ValidationError as error:
        words = " ".join(error.messages)
        raise Refused(f"The name is {user.username[:160]!r}. {words}") from error
