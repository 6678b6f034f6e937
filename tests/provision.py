"""`python -m tests.provision SLUG [NAME]`: a system and its keys in one start of Django."""

from __future__ import annotations

import json
import sys

import django


def main(slug: str, name: str = "") -> None:
    """Make a system and print a key for each scope, as JSON."""
    django.setup()
    from apps.access.actor import CONSOLE
    from apps.access.commands.keys import create_key
    from apps.access.commands.systems import create_system
    from apps.access.roles import SCOPES

    line = create_system(slug, name=name, by=CONSOLE)
    keys = {scope: create_key(line.system, scopes=[scope], by=CONSOLE).secret for scope in SCOPES}
    print(json.dumps(keys))


if __name__ == "__main__":
    main(*sys.argv[1:])
