from __future__ import annotations

from django.apps import AppConfig


class EventLogConfig(AppConfig):
    name = "apps.eventlog"
    label = "eventlog"
    default_auto_field = "django.db.models.BigAutoField"
