"""The account page: password, theme and keys of one's own; keys and members of systems."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from apps.access.commands import people as people_commands
from apps.access.commands.keys import create_key, revoke_key
from apps.access.errors import AccessError, Refused
from apps.access.queries.callers import actor
from apps.access.queries.keys import keys_of
from apps.access.queries.people import Seat, members_of, systems_of, user_named
from apps.access.roles import ROLES, SCOPES, includes
from apps.pages.commands.preferences import set_preferences
from apps.pages.views.liking import remember

THEMES = (("", "As the system"), ("light", "Light"), ("dark", "Dark"))


@require_GET
def account(request: HttpRequest) -> HttpResponse:
    """Everything one can change about oneself, and what an administrator can about systems."""
    return _page(request, {})


@sensitive_post_parameters()
@require_POST
def password(request: HttpRequest) -> HttpResponse:
    """Set one's password; other sessions end, this one stays."""
    user: Any = request.user
    if user.has_usable_password() and not user.check_password(request.POST.get("old", "")):
        return _page(request, {"password_problem": "The present password is not right."}, 422)
    try:
        people_commands.set_password(user, request.POST.get("new", ""), by=actor(request))
    except Refused as error:
        return _page(request, {"password_problem": str(error)}, 422)
    update_session_auth_hash(request, user)
    return _back(request, "The password is set. Your other sessions have ended.")


@require_POST
def preferences(request: HttpRequest) -> HttpResponse:
    """Choose a theme, and whether single keys do things."""
    try:
        held = set_preferences(
            int(request.user.pk or 0),
            theme=request.POST.get("theme", ""),
            single_keys=bool(request.POST.get("single_keys")),
        )
    except Refused as error:
        return _page(request, {"problem": str(error)}, 422)
    remember(request, held)
    return _back(request, "Saved.")


def of_administrator(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Call `view(request, seat, …)` for a system the person runs; refusals go on the page."""

    @wraps(view)
    def answer(request: HttpRequest, system: str, **rest: Any) -> HttpResponse:
        seats = systems_of(request.user)
        seat = next((s for s in seats if s.line.slug == system), None)
        if seat is None or not includes(seat.role, "admin"):
            raise Http404(f"You administer no system {system!r}.")
        try:
            with transaction.atomic():
                return view(request, seat, **rest)
        except AccessError as error:
            return _page(request, {"problem": str(error), "open": system}, 422)

    return answer


@sensitive_post_parameters()
@require_POST
@of_administrator
def keys(request: HttpRequest, seat: Seat) -> HttpResponse:
    """Make a key and show it, once."""
    made = create_key(
        seat.line.system,
        scopes=request.POST.getlist("scope"),
        by=actor(request),
        name=request.POST.get("name", ""),
    )
    return _page(request, {"secret": made.secret, "open": seat.line.slug})


@require_POST
@of_administrator
def key(request: HttpRequest, seat: Seat, number: int) -> HttpResponse:
    """Revoke a key."""
    revoke_key(number, by=actor(request), system_id=seat.line.system)
    return _back(request, "The key is revoked; it is refused everywhere within 5 seconds.")


@require_POST
@of_administrator
def members(request: HttpRequest, seat: Seat) -> HttpResponse:
    """Add a person to a system, change their role, or take them out."""
    name, role = request.POST.get("username", "").strip(), request.POST.get("role", "")
    user = user_named(name) if name and "\0" not in name and len(name) <= 150 else None
    if user is None:
        user = _newcomer(request, name)
    if user.pk == request.user.pk:
        raise Refused("Your own role is changed by another administrator.")
    if role == "none":
        people_commands.remove_member(user, seat.line.system, by=actor(request))
        return _back(request, f"{name} is no longer in {seat.line.slug}.")
    people_commands.set_role(user, seat.line.system, role, by=actor(request))
    return _back(request, f"{name} is {role} in {seat.line.slug} now.")


def _newcomer(request: HttpRequest, name: str) -> Any:
    """Make a person who signs in by link; only an administrator of everything may."""
    user: Any = request.user
    if not user.is_superuser or not request.POST.get("new"):
        raise Refused(
            f"There is no user {name[:150]!r}. An administrator of all systems can make one."
        )
    return people_commands.create_user(name, by=actor(request))


def _page(request: HttpRequest, extra: dict[str, Any], status: int = 200) -> HttpResponse:
    seats = systems_of(request.user)
    user: Any = request.user
    run = [
        {"seat": s, "keys": keys_of(s.line.system), "members": members_of(s.line.system)}
        for s in seats
        if includes(s.role, "admin")
    ]
    context = {
        "title": "Account", "seats": seats, "run": run, "roles": ROLES, "scopes": SCOPES,
        "has_password": user.has_usable_password(), "themes": THEMES, **extra,
    }  # fmt: skip
    response = render(request, "pages/account.html", context, status=status)
    add_never_cache_headers(response)
    return response


def _back(request: HttpRequest, said: str) -> HttpResponse:
    messages.success(request, said)
    return HttpResponseRedirect(reverse("pages:account"))
