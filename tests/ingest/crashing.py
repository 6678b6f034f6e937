"""`python -m tests.ingest.crashing PORT`: the doors alone, quick to start, for tests that kill it.

Prints one line once it listens.
"""

from __future__ import annotations

import os
import sys

# Before Django: importing it installs the reactor.
import daphne.server  # noqa: F401
import django

os.environ["DJANGO_SETTINGS_MODULE"] = "evdebug.settings"


def main() -> None:
    django.setup()
    from evdebug.asgi import application, at_once
    from evdebug.server import serve

    serve(
        application, "127.0.0.1", int(sys.argv[1]), at_once=at_once,
        ready=lambda port: print(port, flush=True),
    )  # fmt: skip


if __name__ == "__main__":
    main()
