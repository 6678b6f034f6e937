"""`python -m tests.provision`: makes systems with a key for each scope, one for each line of stdin.

One start of Django for all the systems of a server: it is what takes the time.
"""

from __future__ import annotations

import json
import sys

import django


def main() -> None:
    """Read [slug, name], a line of JSON each; answer each with the keys of the new system."""
    django.setup()
    from django.db import connection

    from apps.access.actor import CONSOLE
    from apps.access.commands.keys import create_key
    from apps.access.commands.systems import create_system
    from apps.access.roles import SCOPES

    for line in sys.stdin:
        slug, name = json.loads(line)
        system = create_system(slug, name=name, by=CONSOLE).system
        keys = {scope: create_key(system, scopes=[scope], by=CONSOLE).secret for scope in SCOPES}
        connection.close()  # the database may be restarted before the next line
        print(json.dumps(keys), flush=True)


if __name__ == "__main__":
    main()
