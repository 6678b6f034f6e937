"""The Celery application: tasks are found in every app's tasks.py."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evdebug.settings")

app = Celery("evdebug")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
