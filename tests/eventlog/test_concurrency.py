from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import _database_url

ROOT = Path(__file__).resolve().parents[2]
WRITERS, BATCHES, SIZE = 6, 20, 30
SHARED = BATCHES * SIZE // 10
EVENTS = WRITERS * BATCHES * (SIZE - SIZE // 10) + SHARED


def environment(folder: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("EVDEBUG_")}
    return kept | {
        "EVDEBUG_DATA": str(folder),
        "DATABASE_URL": _database_url(),
        "DJANGO_SETTINGS_MODULE": "evdebug.settings",
    }


@pytest.mark.slow
@pytest.mark.django_db  # says that it is about the database; it uses one of its own
def test_six_writers_and_a_live_reader(tmp_path: Path) -> None:
    """No gap, none missed, none twice, while duplicates race one another."""
    variables = environment(tmp_path)

    def start(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, *map(str, arguments)]
        return subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True)

    for command in (["migrate", "--verbosity=0"], ["system", "create", "shop"]):
        assert start("manage.py", *command).wait() == 0
    program = ("-m", "tests.eventlog.writing")
    reader = start(*program, "follow", "shop", EVENTS)
    writers = [start(*program, "write", "shop", f"w{n}", BATCHES, SIZE) for n in range(WRITERS)]
    assert [writer.wait() for writer in writers] == [0] * WRITERS
    said, _ = reader.communicate()

    seen = [line.split() for line in said.splitlines()]
    assert [int(position) for position, _ in seen] == list(range(1, EVENTS + 1))
    assert len({name for _, name in seen}) == EVENTS
    assert start("manage.py", "verify", "shop").wait() == 0
