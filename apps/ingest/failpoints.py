"""Places where a test may kill the process: `EVDEBUG_FAILPOINT=name:n` dies the n-th time there.

Set by nobody but the crash tests; without it every call is one comparison.
"""

from __future__ import annotations

import os
import signal

_name, _left = "", 1


def arm(spec: str) -> None:
    """Choose the place and the time: `name:n`, or "" for none."""
    global _name, _left
    _name, _, times = spec.partition(":")
    _left = int(times) if times.isdigit() else 1


arm(os.environ.get("EVDEBUG_FAILPOINT", ""))


def reached(name: str) -> None:
    """Die as if the power went, if this is the place and the time."""
    global _left
    if name == _name:
        _left -= 1
        if _left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
