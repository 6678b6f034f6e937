"""Taps in a process beside the server, from the first one there is: most have none."""

from __future__ import annotations

import logging
import os
import sys
import threading
from types import TracebackType

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from apps.ingest import buses
from apps.ingest.models import Tap
from evdebug.child import Child

logger = logging.getLogger(__name__)

LOOK_S = 1


class Taps:
    """Looks whether a tap is wanted and then runs `manage.py ingest`, from `with` to its end."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._child: Child | None = None
        self._thread = threading.Thread(target=self._look, name="taps", daemon=True)

    def __enter__(self) -> Taps:
        self._thread.start()
        return self

    def dismiss(self) -> None:
        """Tell the taps to end, and do not wait for them."""
        self._stopping.set()
        if self._child is not None:
            self._child.dismiss()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.dismiss()
        self._thread.join()
        if self._child is not None:
            self._child.stop()

    def _look(self) -> None:
        try:
            while not self._stopping.wait(LOOK_S):
                if _wanted():
                    self._child = Child(
                        "The taps",
                        lambda: [sys.executable, "manage.py", "ingest"],
                        cwd=settings.BASE_DIR,
                        env=os.environ,
                    )
                    self._child.start()
                    return
        finally:
            connection.close()


def _wanted() -> bool:
    try:
        return Tap.objects.filter(wanted=True).exclude(bus__in=buses.pushed()).exists()
    except (DatabaseError, InterfaceError) as error:
        logger.warning("Whether there are taps cannot be seen: %s", type(error).__name__)
        connection.close()
        return False
