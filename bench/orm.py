"""The baseline of the door: a Django view that parses a batch and stores it with bulk_create.

Without middleware, so that only the way of storing is compared.
"""

from __future__ import annotations

import json
import time

from django.core.asgi import get_asgi_application
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.test.utils import override_settings
from django.urls import path

from bench.models import Plain, from_cloudevent


def store(request: HttpRequest) -> JsonResponse:
    """Store a batch of CloudEvents; a repeated id fails the whole batch."""
    now = time.time_ns() // 1000
    rows = [from_cloudevent(event, now) for event in json.loads(request.body)]
    with transaction.atomic():
        Plain._default_manager.bulk_create(rows)
    answer = JsonResponse({"received": len(rows), "stored": len(rows)})
    answer["Content-Length"] = str(len(answer.content))  # which a middleware would do
    return answer


urlpatterns = [path("bulk", store)]

override_settings(ROOT_URLCONF="bench.orm", MIDDLEWARE=[]).enable()
application = get_asgi_application()
