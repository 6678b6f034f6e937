"""`manage.py key create SYSTEM --scope …`, `key list SYSTEM`, `key revoke ID`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.access.actor import CONSOLE
from apps.access.commands.keys import create_key, revoke_key
from apps.access.errors import AccessError, NotVisible
from apps.access.models import ApiKey
from apps.access.queries.keys import keys_of
from apps.access.roles import SCOPES
from apps.eventlog.errors import EventLogError
from apps.eventlog.queries import log


class Command(BaseCommand):
    help = "Make, list and revoke the keys programs show at the doors."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="make a key; prints it, once")
        create.add_argument("system", help="the system it opens")
        create.add_argument(
            "--scope",
            action="append",
            required=True,
            choices=SCOPES,
            help="ingest = sending; read = reading; write = read, sandboxes, bookmarks, watches; "
            "may be given more than once",
        )
        create.add_argument("--name", default="", help="what it is for")
        create.add_argument("--days", type=int, help="days until it expires; never when absent")
        listing = verbs.add_parser("list", help="list a system's keys, newest first")
        listing.add_argument("system")
        revoke = verbs.add_parser("revoke", help="make a key void within 5 seconds")
        revoke.add_argument("id", type=int, help="as `key list` shows it")
        for verb in (create, listing, revoke):
            verb.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            {"create": self.make, "list": self.show, "revoke": self.revoke}[options["verb"]](
                options
            )
        except (AccessError, EventLogError) as error:
            raise CommandError(str(error), returncode=2) from error

    def make(self, options: dict[str, Any]) -> None:
        line = log.line(options["system"])
        expires_at = None
        if options["days"] is not None:
            if not 0 < options["days"] <= 36_500:
                raise CommandError(
                    f"--days is {options['days']}; expected 1 to 36500.", returncode=2
                )
            expires_at = datetime.now(UTC) + timedelta(days=options["days"])
        key = create_key(
            line.system,
            scopes=options["scope"],
            by=CONSOLE,
            name=options["name"],
            expires_at=expires_at,
        )
        row = {"id": key.id, "key": key.secret}
        self.stdout.write(json.dumps(row) if options["json"] else key.secret)
        self.stderr.write(f"Key {key.id} of {line.slug}. It is shown this once.", str)

    def show(self, options: dict[str, Any]) -> None:
        keys = keys_of(log.line(options["system"]).system)
        if options["json"]:
            self.stdout.write(json.dumps([_row(key) for key in keys]))
            return
        for key in keys:
            used = f"used {_iso(key.last_used_at)}" if key.last_used_at else "never used"
            cells = [str(key.pk), f"{key.prefix}…", key.scopes, key.name, used, _standing(key)]
            self.stdout.write("\t".join(cells))

    def revoke(self, options: dict[str, Any]) -> None:
        try:
            revoke_key(options["id"], by=CONSOLE)
        except NotVisible as error:
            raise CommandError(
                f"There is no key {options['id']}. `manage.py key list SYSTEM` shows them.",
                returncode=2,
            ) from error
        if options["json"]:
            self.stdout.write(json.dumps({"id": options["id"], "revoked": True}))
        self.stderr.write(f"Key {options['id']} is revoked.", str)


def _row(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.pk,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": key.scopes.split(),
        "created_at": _iso(key.created_at),
        "created_by": key.created_by.username if key.created_by else None,
        "last_used_at": _iso(key.last_used_at),
        "expires_at": _iso(key.expires_at),
        "revoked_at": _iso(key.revoked_at),
    }


def _standing(key: ApiKey) -> str:
    if key.revoked_at:
        return f"revoked {_iso(key.revoked_at)}"
    if key.expires_at is None:
        return "valid"
    word = "valid until" if key.expires_at > datetime.now(UTC) else "expired"
    return f"{word} {_iso(key.expires_at)}"


def _iso(moment: datetime | None) -> str | None:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else None
