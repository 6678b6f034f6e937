"""Wiring. Importing the Celery application here makes `shared_task` find its broker."""

from evdebug.celery import app as celery_app

__all__ = ["celery_app"]
