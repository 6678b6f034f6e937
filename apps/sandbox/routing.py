"""Which socket answers which address under /ws/."""

from __future__ import annotations

from django.urls import path

from apps.access.queries.sockets import guarded
from apps.sandbox import consumers

urlpatterns = [
    path("ws/<slug:system>/sandboxes/<int:sandbox>/runs/<int:run>", guarded(consumers.progress))
]
