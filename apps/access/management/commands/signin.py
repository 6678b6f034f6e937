"""`manage.py signin [USER]`: print a link that signs a person in once."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.access.actor import CONSOLE
from apps.access.address import base_url, last_listening
from apps.access.commands.links import make_link
from apps.access.errors import AccessError
from apps.access.queries.people import user_named


class Command(BaseCommand):
    help = "Print a link that signs a person in, once, within 15 minutes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", nargs="?", default="admin", help="admin when absent")
        host, port = last_listening(settings.DATA_DIR) or (
            settings.ENV["EVDEBUG_HOST"],
            settings.ENV["EVDEBUG_PORT"],
        )
        parser.add_argument("--host", default=host, help="where `up` listened last when absent")
        parser.add_argument("--port", type=int, default=port, help="likewise")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        user = user_named(options["user"])
        if user is None:
            raise CommandError(
                f"There is no user {options['user']!r}. `manage.py up` makes admin at its first "
                "start; an administrator makes the others on the account page.",
                returncode=2,
            )
        try:
            token = make_link(user, by=CONSOLE)
        except AccessError as error:
            raise CommandError(str(error), returncode=2) from error
        base = base_url(
            options["host"],
            options["port"],
            allowed=settings.ENV["EVDEBUG_ALLOWED_HOSTS"],
            tls=settings.ENV["EVDEBUG_TLS"],
        )
        link = f"{base}/signin/{token}"
        row = {"user": user.username, "link": link}
        self.stdout.write(json.dumps(row) if options["json"] else link)
        self.stderr.write(f"Signs {user.username} in, once, within 15 minutes.", str)
