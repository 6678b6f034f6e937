from __future__ import annotations

from django.apps import AppConfig

from evdebug import celery  # noqa: F401  # makes `shared_task` find its broker


class EvdebugConfig(AppConfig):
    name = "evdebug"

    def ready(self) -> None:
        from evdebug import checks  # noqa: F401  # registers them
