"""Signing in and out."""

from __future__ import annotations

import time
from datetime import timedelta

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.access.commands.links import redeem_link
from apps.access.commands.trail import note
from apps.access.errors import BadLink
from apps.access.middleware import SEEN
from apps.access.models import User
from apps.access.pace import Pace
from apps.access.queries.callers import actor
from apps.access.queries.people import user_named

WRONG = "The name or the password is not right."
MOST = 8192  # characters in a form; axes keeps the form of a failed sign-in for a while
TRIES = Pace(burst=20, per_s=0.5)  # passwords an address may try
BACKEND = "django.contrib.auth.backends.ModelBackend"


@login_not_required
@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def signin(request: HttpRequest) -> HttpResponse:
    """Sign in with name and password.

    Ten wrong ones lock the name out for its address, and an address has a pace of its own (429):
    checking a password takes half a second of a processor, which nobody may have all of.
    """
    after = _safe(request.POST.get("next") or request.GET.get("next") or "")
    if request.method != "POST":
        if request.user.is_authenticated:
            return HttpResponseRedirect(after)
        return _page(request, after)
    if wait := TRIES.take(request.META.get("REMOTE_ADDR") or ""):
        return _too_many(request, "Too many sign-ins from your address.", wait)
    username, password = request.POST.get("username", ""), request.POST.get("password", "")
    if "\x00" in username or len(username) > 150 or _weight(request) > MOST:
        return _page(request, after, problem=WRONG, status=422)
    user = auth.authenticate(request, username=username, password=password)
    if isinstance(user, User):
        with transaction.atomic():
            _enter(request, user)
            note(actor(request), "signed in by password", user.username)
        return HttpResponseRedirect(after)
    locked = getattr(request, "axes_locked_out", False)
    known = None if locked else user_named(username)
    if known:  # never what was typed: it may be a password in the wrong field
        note(actor(request), "sign-in refused", known.username)
    return _page(request, after, problem=WRONG, status=422, username=username)


@login_not_required
@never_cache
@require_GET
@sensitive_variables("token")
def signin_link(request: HttpRequest, token: str) -> HttpResponse:
    """Sign in by a one-time link.

    A plain GET, as people paste the link from a terminal. A browser that only fetches ahead is
    sent away, or it would use the link up.
    """
    if "prefetch" in request.headers.get("Sec-Purpose", request.headers.get("Purpose", "")):
        return _private(HttpResponse(status=503))
    try:
        with transaction.atomic():
            user = redeem_link(token, ip=request.META.get("REMOTE_ADDR") or "")
            _enter(request, user)
    except BadLink as error:
        if request.user.is_authenticated:
            return _private(HttpResponseRedirect(settings.LOGIN_REDIRECT_URL))
        return _private(_page(request, "/", problem=str(error), status=error.status))
    return _private(HttpResponseRedirect(settings.LOGIN_REDIRECT_URL))


@require_POST
def signout(request: HttpRequest) -> HttpResponse:
    """End the session."""
    who = actor(request)
    with transaction.atomic():
        note(who, "signed out", who.name)
        auth.logout(request)
    return HttpResponseRedirect(settings.LOGIN_URL)


def locked_out(request: HttpRequest, *_: object) -> HttpResponse:
    """Answer sign-ins after too many wrong ones; axes calls it."""
    wait = int(settings.AXES_COOLOFF_TIME.total_seconds())
    return _too_many(request, "Too many wrong passwords for this name from your address.", wait)


def _too_many(request: HttpRequest, what: str, wait: int) -> HttpResponse:
    long = f"{wait} s" if wait < 120 else f"{wait // 60} minutes"
    problem = f"{what} Wait {long}, or sign in with a link from `manage.py signin`."
    response = _page(request, _safe(request.POST.get("next", "")), problem=problem, status=429)
    response["Retry-After"] = str(wait)
    return response


def _enter(request: HttpRequest, user: User) -> None:
    """Begin a session under a fresh name, so that one planted before the sign-in is worthless."""
    auth.login(request, user, backend=BACKEND)
    request.session[SEEN] = int(time.time())
    # A date, not a duration: a duration would begin anew whenever the session is saved.
    request.session.set_expiry(timezone.now() + timedelta(seconds=settings.SESSION_COOKIE_AGE))


def _weight(request: HttpRequest) -> int:
    return sum(len(name) + sum(map(len, values)) for name, values in request.POST.lists())


def _safe(address: str) -> str:
    """Return a path of this site to go to after the sign-in; the start page for anything else."""
    known = url_has_allowed_host_and_scheme(address, allowed_hosts=None)
    if not known or not address.startswith("/") or not address.isprintable():
        return settings.LOGIN_REDIRECT_URL
    if address.startswith(("/signin", "/signout")) or len(address) > 4096:
        return settings.LOGIN_REDIRECT_URL
    return address


def _page(
    request: HttpRequest, after: str, *, problem: str = "", status: int = 200, username: str = ""
) -> HttpResponse:
    context = {"next": after, "problem": problem, "username": username}
    return render(request, "access/signin.html", context, status=status)


def _private(response: HttpResponse) -> HttpResponse:
    response["Referrer-Policy"] = "no-referrer"
    return response
