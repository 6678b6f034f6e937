"""Which page answers which address."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from evdebug import health

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
    path("api/v1/", include("evdebug.api")),
    path("", include("apps.access.urls")),
    path("", include("apps.pages.urls")),
]

handler400 = "apps.pages.views.errors.bad_request"
handler403 = "apps.pages.views.errors.forbidden"
handler404 = "apps.pages.views.errors.not_found"
