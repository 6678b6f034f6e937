from __future__ import annotations

from django.apps import AppConfig


class LiveConfig(AppConfig):
    default_auto_field = "django.db.models.BigAutoField"
    name = "apps.live"

    def ready(self) -> None:
        from apps.live import receivers

        receivers.listen()
