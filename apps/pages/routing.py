"""Which socket of the pages answers which address under /ws/."""

from __future__ import annotations

from django.urls import path

from apps.access.queries.sockets import guarded
from apps.pages import consumers

urlpatterns = [path("ws/<slug:system>/live", guarded(consumers.live))]
