"""Sign-in first, everywhere; and a session that was left alone ends."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

SEEN = "seen"  # in the session: when it was last used, in seconds, exact to NOTED_S
NOTED_S = 300  # how often that is written: every request would be a write to the log's database


class SignInFirst(LoginRequiredMiddleware):
    """Send whoever is not signed in to the sign-in page, unless the view is open to all.

    A view is opened with django.contrib.auth.decorators.login_not_required. What is under /api/
    judges its callers itself, since programs come there with keys.

    Last of all middleware, and synchronous only: Django then runs those before it in one go on
    one thread. Where the innermost one is asynchronous, each of the others takes two changes of
    thread, which more than doubled the time of a short answer.
    """

    async_capable = False

    def process_view(
        self, request: HttpRequest, view_func: Any, view_args: Any, view_kwargs: Any
    ) -> HttpResponseBase | None:
        if request.path_info.startswith("/api/"):
            return None
        return super().process_view(request, view_func, view_args, view_kwargs)

    def handle_no_permission(  # type: ignore[override]
        self, request: HttpRequest, view_func: Any
    ) -> HttpResponseBase:
        """Redirect to the sign-in page; htmx is told to go there with the whole page.

        It would follow a redirect and put the sign-in page where a part was expected.
        """
        if request.headers.get("HX-Request") == "true":
            return HttpResponse(status=401, headers={"HX-Redirect": settings.LOGIN_URL})
        if request.method in {"GET", "HEAD"}:
            query = urlencode({"next": request.get_full_path()})
            return HttpResponseRedirect(f"{settings.LOGIN_URL}?{query}")
        return HttpResponseRedirect(settings.LOGIN_URL)


class IdleLimit(MiddlewareMixin):
    """End a session nobody used for EVDEBUG_IDLE_HOURS.

    The other limit, EVDEBUG_SESSION_DAYS after signing in, is the session's own expiry.
    """

    def process_request(self, request: HttpRequest) -> None:
        if not request.session.session_key or "_auth_user_id" not in request.session:
            return
        now = int(time.time())
        idle = now - request.session.get(SEEN, now)
        if idle > settings.SESSION_IDLE_S:
            logout(request)
        elif idle >= NOTED_S or SEEN not in request.session:
            _note(request, now)


def _note(request: HttpRequest, now: int) -> None:
    modified = request.session.modified
    request.session[SEEN] = now
    try:
        request.session.save()
    except DatabaseError:
        # A disk that is full must not take the reading away too.
        request.session.modified = modified
        return
    request.session.modified = modified
