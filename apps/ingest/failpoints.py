"""Places where a test may kill the process: `EVDEBUG_FAILPOINT=name:n` dies the n-th time there.

Set by nobody but the crash tests; without it every call is one comparison.
"""

from __future__ import annotations

import os
import signal

_NAME, _, _LEFT = os.environ.get("EVDEBUG_FAILPOINT", "").partition(":")
_left = int(_LEFT) if _LEFT.isdigit() else 1


def reached(name: str) -> None:
    """Die as if the power went, if this is the place and the time."""
    global _left
    if name == _NAME:
        _left -= 1
        if _left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
