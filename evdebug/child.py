"""A program that runs beside the server: started again when it dies, stopped when we stop."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

logger = logging.getLogger(__name__)

LEASH = Path(__file__).with_name("leash.py")
PAUSES_S = (1, 2, 5, 10, 30)  # before it is started again, by how often it died in a row
HEALTHY_S = 60  # one that ran this long did not die in a row
STOP_S = 5


class Child:
    """One program and the thread that looks after it.

    Its output goes to our stderr. It is in a session of its own, so that ctrl-C reaches it through
    `stop` alone; if we are killed, the kernel ends it (on Linux).
    """

    def __init__(
        self, name: str, command: Callable[[], list[str]], *, cwd: Path, env: Mapping[str, str]
    ) -> None:
        """`command` is asked anew for each start, on a thread of the child's own."""
        self._name, self._command, self._cwd, self._env = name, command, cwd, dict(env)
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._look_after, name=name, daemon=True)

    def start(self) -> None:
        """Start the program. Call once."""
        self._thread.start()

    def dismiss(self) -> None:
        """Tell the program to end, and do not wait for it. May be called twice, and unstarted."""
        with self._lock:
            self._stopping.set()
            if self._process is not None:
                self._process.terminate()

    def stop(self) -> None:
        """End the program: SIGTERM, then SIGKILL after 5 s. May be called twice, and unstarted."""
        self.dismiss()
        process = self._process
        if process is not None:
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                logger.warning("%s did not stop within %s s and is killed.", self._name, STOP_S)
                process.kill()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    def _look_after(self) -> None:
        deaths = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            code = self._run()
            if self._stopping.is_set():
                return
            deaths = 1 if time.monotonic() - began > HEALTHY_S else deaths + 1
            pause = PAUSES_S[min(deaths, len(PAUSES_S)) - 1]
            logger.warning(
                "%s ended with %s and is started again in %s s.", self._name, code, pause
            )
            self._stopping.wait(pause)

    def _run(self) -> int | None:
        """Run the program once and return its exit code; None when it could not be started."""
        try:
            process = self._spawn()
            return process.wait() if process else None
        except Exception:  # whatever was wrong this time, it may be mended the next
            logger.exception("%s could not be started.", self._name)
            return None

    def _spawn(self) -> subprocess.Popen[bytes] | None:
        """Start the program once; None when it is to stop."""
        # This thread stays as long as the process: the kernel's signal is bound to the thread.
        command = [sys.executable, str(LEASH), str(os.getpid()), *self._command()]
        with self._lock:
            if self._stopping.is_set():
                return None
            self._process = subprocess.Popen(
                command,
                cwd=self._cwd,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=sys.__stderr__,
                start_new_session=True,
            )
            return self._process
