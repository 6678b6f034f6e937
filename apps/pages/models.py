"""What people keep about a system: named moments, saved queries, and how they like the pages."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Bookmark(models.Model):
    """A named moment of a timeline. Private ones are seen by whoever made them alone."""

    system_id = models.BigIntegerField()
    timeline_id = models.BigIntegerField()
    position = models.BigIntegerField()
    time = models.BigIntegerField(help_text="log_time of the position, µs since 1970.")
    name = models.CharField(max_length=200)
    shared = models.BooleanField(default=False)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["timeline_id", "position"], name="pages_bookmarks")]

    def __str__(self) -> str:
        return f"#{self.position} {self.name}"


class SavedQuery(models.Model):
    """A query under a name, with the columns it was looked at."""

    system_id = models.BigIntegerField(db_index=True)
    name = models.CharField(max_length=200)
    text = models.CharField(max_length=2000, blank=True)
    columns = models.JSONField(default=list)
    shared = models.BooleanField(default=False)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    made_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class Preferences(models.Model):
    """How one person likes the pages, and how far they are in the tour."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, primary_key=True, on_delete=models.CASCADE, related_name="+"
    )
    theme = models.CharField(
        max_length=5, blank=True, choices=[("", "system"), ("light", "light"), ("dark", "dark")]
    )
    single_keys = models.BooleanField(default=True)
    tour = models.JSONField(default=list, help_text="Names of the steps done.")

    def __str__(self) -> str:
        return f"preferences of {self.user_id}"
