"""Two processes read the same log at once: each page counts once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
BEGIN = (
    "import django; django.setup()\n"
    "from apps.eventlog.queries import log\n"
    "from apps.traces.commands.follow import catch_up, rebuild\n"
    "from apps.traces.models import Figure, Trace\n"
)
MAKE = BEGIN + (
    "from django.core.management import call_command\n"
    "from apps.eventlog.commands.append import append\n"
    "from apps.eventlog.commands.systems import create_system\n"
    "from tests.traces.story import history\n"
    "call_command('migrate', verbosity=0)\n"
    "append(create_system('shop').timeline, history())\n"
)
READ = BEGIN + "print(catch_up(log.line('shop'), page=11))\n"
COMPARE = BEGIN + (
    "import json\n"
    "def derived():\n"
    "    traces = Trace.objects.order_by('first').values_list('first', 'last', 'events', 'flags')\n"
    "    sums = Figure.objects.order_by('digest').values_list('digest', 'count')\n"
    "    return [list(traces), list(sums)]\n"
    "grown = derived()\n"
    "rebuild(log.line('shop'))\n"
    "print(json.dumps([len(grown[0]), grown == derived()]))\n"
)


@pytest.mark.slow
def test_two_readers_come_to_what_one_comes_to(tmp_path: Path) -> None:
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("EVDEBUG_", "DATABASE_URL"))}
    environment = kept | {
        "DJANGO_SETTINGS_MODULE": "evdebug.settings", "EVDEBUG_DATA": str(tmp_path),
        "PYTHONPATH": str(ROOT),
    }  # fmt: skip

    def started(program: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", program], cwd=ROOT, env=environment, text=True,
            stdout=subprocess.PIPE,
        )  # fmt: skip

    def ended(process: subprocess.Popen[str]) -> str:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        return out

    ended(started(MAKE))
    both = [started(READ), started(READ)]
    reached = {ended(each) for each in both}

    assert len(reached) == 1
    assert json.loads(ended(started(COMPARE))) == [125, True]
