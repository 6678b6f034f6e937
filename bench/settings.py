"""evdebug's own settings, and beside its tables the plain one it is measured against."""

from __future__ import annotations

from evdebug.settings import *  # noqa: F403
from evdebug.settings import INSTALLED_APPS as OURS

INSTALLED_APPS = [*OURS, "bench"]
