"""`manage.py up`: migrate, then serve pages, doors and tasks until ctrl-C."""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import ExitStack
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser, SystemCheckError
from django.db import DatabaseError, connections

from apps.access.address import base_url, is_loopback, keep_listening
from apps.access.errors import AccessError
from evdebug import first
from evdebug.child import Child

SHOP = "shop"
SHOP_CODE = ("examples.shop.reducers", "examples.shop.services")
OWN = {"DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE"}  # no business of the shop's


class Command(BaseCommand):
    help = "Prepare the database and serve everything until ctrl-C; prints a sign-in link."
    requires_system_checks = []  # done below, for the exit code

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=settings.ENV["EVDEBUG_HOST"])
        parser.add_argument("--port", type=int, default=settings.ENV["EVDEBUG_PORT"])
        parser.add_argument("--demo", action="store_true", help="with a demo shop to look at")

    def handle(self, *args: Any, **options: Any) -> None:
        host, port, demo = options["host"], options["port"], options["demo"]
        if demo and not settings.CODE:
            settings.CODE = SHOP_CODE
        # Until the server takes over, SIGTERM is what ctrl-C is.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            _check(host, port)
            self.check()
            self.prepare()
            self.serve(host, port, demo=demo)
        except SystemCheckError as error:
            raise CommandError(str(error), returncode=2) from error
        except (DatabaseError, AccessError) as error:
            raise CommandError(f"evdebug cannot start: {error}", returncode=2) from error
        except KeyboardInterrupt:
            pass
        self.say("Stopped.")

    def prepare(self) -> None:
        """Bring the tables up to date."""
        from django.db.migrations.executor import MigrationExecutor

        executor = MigrationExecutor(connections["default"])
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            self.say("Preparing the database …")
            call_command("migrate", verbosity=0, interactive=False)

    def serve(self, host: str, port: int, *, demo: bool) -> None:
        """Serve until a signal. The link is printed when it can be opened, not before."""
        # The server installs its event loop when it is imported, so not for every command.
        from evdebug.asgi import application, at_once
        from evdebug.server import CannotListen, serve
        from evdebug.taps import Taps

        line = first.system(SHOP if demo else "main")
        token, key = first.link(), first.first_key(line)
        shop_key = first.shop_key(line) if demo else ""
        connections.close_all()
        with ExitStack() as stack:
            self.start_tasks(stack)
            taps = stack.enter_context(Taps())

            def ready(port: int) -> None:
                from twisted.internet import reactor  # the one the server installed

                keep_listening(settings.DATA_DIR, host, port)
                self.greet(_base(host, port), token, key)
                reactor.addSystemEventTrigger("before", "shutdown", self.say, "Stopping …")
                reactor.addSystemEventTrigger("before", "shutdown", taps.dismiss)
                if demo:
                    shop = _shop(base_url(host, port), shop_key)
                    # Told at once, or it would complain that the server is gone.
                    reactor.addSystemEventTrigger("before", "shutdown", shop.dismiss)
                    stack.callback(shop.stop)
                    shop.start()

            try:
                serve(application, host, port, at_once=at_once, ready=ready)
            except CannotListen as error:
                raise CommandError(str(error), returncode=2) from error

    def start_tasks(self, stack: ExitStack) -> None:
        if settings.REDIS_URL:
            self.say("Tasks are in Redis; run them with `celery -A evdebug worker --beat`.")
            return
        from evdebug.celery import app
        from evdebug.embedded import Embedded

        stack.enter_context(Embedded(app))

    def greet(self, base: str, token: str, key: str) -> None:
        """Print the link on stdout, and on stderr what to do with it."""
        self.say(f"evdebug is at {base}. Sign in with this link, once, within 15 minutes:")
        self.stdout.write(f"{base}/signin/{token}")
        self.stdout.flush()
        if key:
            self.say("Send an event:")
            self.say(
                f"  curl {base}/v1/events -H 'Authorization: Bearer {key}' "
                """-H 'Content-Type: application/json' -d '{"type":"Hello"}'"""
            )
        self.say("Ctrl-C stops it. `manage.py signin` prints another link.")

    def say(self, words: str) -> None:
        self.stderr.write(words, str)
        self.stderr.flush()


def _check(host: str, port: int) -> None:
    """Refuse an address that is taken, or that should not be served as things are set."""
    if not 0 <= port <= 65535:
        raise CommandError(f"--port is {port}; expected 0 to 65535.", returncode=2)
    if not is_loopback(host):
        if not settings.ENV["EVDEBUG_ALLOWED_HOSTS"]:
            raise CommandError(
                f"--host is {host!r}, which other machines can reach. Set EVDEBUG_ALLOWED_HOSTS "
                "to the names they use for this one, or listen on 127.0.0.1.",
                returncode=2,
            )
        if settings.DEBUG:
            raise CommandError(
                f"--host is {host!r}, which other machines can reach, and EVDEBUG_DEBUG=1 would "
                "show them the source and settings. Unset it, or listen on 127.0.0.1.",
                returncode=2,
            )
    # Now, not by the server at the end: an evdebug started twice must not touch the keys of the
    # first one before it notices.
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host.strip("[]"), port))
    except OSError as error:
        raise CommandError(
            f"{host}:{port} cannot be listened on: {error.strerror}. Stop what is there, or choose "
            "another with --host and --port.",
            returncode=2,
        ) from error


def _base(host: str, port: int) -> str:
    allowed, tls = settings.ENV["EVDEBUG_ALLOWED_HOSTS"], settings.ENV["EVDEBUG_TLS"]
    return base_url(host, port, allowed=allowed, tls=tls)


def _shop(url: str, key: str) -> Child:
    """Return the demo shop: a program like any other that sends events, with its key."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in OWN and not name.startswith("EVDEBUG_")
    }

    def command() -> list[str]:
        # It brings 45 minutes of past along, once; killed in the middle, it brings the rest.
        begun = settings.DATA_DIR / "shop.json"
        if not first.system(SHOP).head:
            begun.unlink(missing_ok=True)  # of another log
        past = ["--history", "0"] if first.system(SHOP).head and not begun.exists() else []
        connections.close_all()
        return [
            sys.executable,
            "-m",
            "examples.shop",
            "--url",
            url,
            "--remember",
            str(begun),
            *past,
        ]

    return Child(
        "The demo shop",
        command,
        cwd=settings.BASE_DIR,
        env=kept | {"EVDEBUG_SHOP_KEY": key},
    )
