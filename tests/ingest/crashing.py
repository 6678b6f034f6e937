"""`python -m tests.ingest.crashing PORT`: the doors alone, for tests that kill them.

What starting a server takes is nearly all reading its modules. They are read once, here; then
every line on stdin, a failpoint or nothing, forks a process that opens the doors. It prints its
pid once it listens, and when it is dead this process prints its exit code.
"""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module

import django
from django.db import connections

from tests.services import die_with_parent

# All but what makes Twisted's reactor: each process has its own.
MODULES = (
    "evdebug.asgi", "autobahn.websocket.protocol", "channels.generic.websocket", "daphne.utils",
    "twisted.internet.asyncioreactor", "twisted.internet.tcp",
)  # fmt: skip

os.environ["DJANGO_SETTINGS_MODULE"] = "evdebug.settings"


def main(port: int) -> None:
    """Serve one line after the other until stdin ends."""
    django.setup()
    for name in MODULES:
        import_module(name)
    connections.close_all()
    for line in sys.stdin:
        child = os.fork()
        if not child:
            open_doors(port, line.strip())
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def open_doors(port: int, failpoint: str) -> None:
    """Be a server until killed; never returns."""
    try:
        die_with_parent()
        from apps.ingest import failpoints

        failpoints.arm(failpoint)
        from evdebug.server import serve  # makes the reactor, on the loop of this process

        from evdebug.asgi import application, at_once  # isort: skip

        serve(
            application, "127.0.0.1", port, at_once=at_once,
            ready=lambda _: print(os.getpid(), flush=True),
        )  # fmt: skip
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
