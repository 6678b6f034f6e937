"""Which socket answers which address under /ws/."""

from __future__ import annotations

from django.urls import path

from apps.access.queries.sockets import guarded
from apps.live import consumers

urlpatterns = [path("ws/v1/<slug:system>/events", guarded(consumers.events))]
