"""Who may see which system, and who did what."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """A person who signs in. A superuser is an administrator of every system."""


class Membership(models.Model):
    """One person's role in one system."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    system_id = models.BigIntegerField()
    role = models.CharField(
        max_length=16,
        choices=[("viewer", "Viewer"), ("debugger", "Debugger"), ("admin", "Administrator")],
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "system_id"], name="access_one_role"),
        ]
        indexes = [models.Index(fields=["system_id"], name="access_members")]

    def __str__(self) -> str:
        return f"{self.user_id} is {self.role} of {self.system_id}"


class ApiKey(models.Model):
    """What a program shows at the doors instead of a password. Only the hash is kept."""

    system_id = models.BigIntegerField(db_index=True)
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12, db_index=True, help_text="Its start, shown in lists.")
    hash = models.CharField(max_length=64, unique=True)
    scopes = models.CharField(max_length=32, help_text="Names separated by spaces.")
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, help_text="To the minute.")
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.prefix}…"


class SignInLink(models.Model):
    """A link that signs a person in, once and within minutes. Only the token's hash is kept."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="links")
    hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"link {self.pk}"


class Trail(models.Model):
    """Who did what, to what, when and from where. Written once; never data of events, no secrets.

    Names, not foreign keys: an entry outlives the person, the key and the system it names.
    """

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    who = models.CharField(max_length=150)
    user_id = models.BigIntegerField(null=True)
    what = models.CharField(max_length=64)
    object = models.CharField(max_length=255)
    system_id = models.BigIntegerField(null=True)
    ip = models.CharField(max_length=45)

    class Meta:
        indexes = [models.Index(fields=["system_id", "id"], name="access_trail_of_system")]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.who} {self.what} {self.object}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert the entry; one that exists is never changed."""
        assert self._state.adding, "the trail is written once"
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Refuse; only the sweep erases entries, and only old ones."""
        raise AssertionError("the trail is written once")


class Heartbeat(models.Model):
    """One row that `/readyz` writes: the proof that the database takes writes now."""

    name = models.CharField(max_length=32, primary_key=True)
    at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.name
