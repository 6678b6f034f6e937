"""The settings under test: evdebug's own, in a folder of their own, whatever the shell has set.

`DATABASE_URL` alone is kept: with a PostgreSQL there, the same tests run on PostgreSQL.
"""

from __future__ import annotations

import os
import tempfile

_KEPT = {"EVDEBUG_REQUIRE_SERVICES"}
for _name in [name for name in os.environ if name.startswith("EVDEBUG_") and name not in _KEPT]:
    del os.environ[_name]
os.environ.pop("REDIS_URL", None)
_FOLDER = tempfile.TemporaryDirectory(prefix="evdebug-tests-", ignore_cleanup_errors=True)
os.environ["EVDEBUG_DATA"] = _FOLDER.name

from evdebug.settings import *  # noqa: E402, F403
from evdebug.settings import DATA_DIR, DATABASES  # noqa: E402

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A real file: SQLite in memory knows neither WAL nor BEGIN IMMEDIATE, and threads need both.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
    # Nobody pulls the plug on these tests; the crash suites run servers with the real settings.
    _options = DATABASES["default"]["OPTIONS"]
    _options["init_command"] = _options["init_command"].replace("=FULL", "=OFF")

# The real one is slow on purpose.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
