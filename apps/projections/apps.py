from __future__ import annotations

from django.apps import AppConfig


class ProjectionsConfig(AppConfig):
    default_auto_field = "django.db.models.BigAutoField"
    name = "apps.projections"

    def ready(self) -> None:
        from apps.projections import receivers

        receivers.listen()
