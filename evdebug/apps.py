from __future__ import annotations

from django.apps import AppConfig


class EvdebugConfig(AppConfig):
    name = "evdebug"

    def ready(self) -> None:
        from evdebug import checks  # noqa: F401  # registers them
