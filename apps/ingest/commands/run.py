"""Running taps: a thread each, under one who looks after them.

What a tap cannot do now it tries again, after a pause that grows to half a minute and is never
quite the same. A batch whose commit failed is kept and committed again; meanwhile nothing is read,
so the bus keeps what comes.
"""

from __future__ import annotations

import logging
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Sequence

from django.db import DatabaseError, InterfaceError, connection

from apps.eventlog.errors import EventLogError
from apps.ingest import buses, shaping, vault
from apps.ingest.commands import intake, leases, leaving, taps
from apps.ingest.commands.placing import Places
from apps.ingest.connector import BadSettings, Batch, Connector, Lag, TapError
from apps.ingest.failpoints import reached
from apps.ingest.models import Tap
from apps.ingest.problems import Invalid
from apps.ingest.records import Form

logger = logging.getLogger(__name__)

RECORDS = 2500  # in one commit
WAIT_S = 0.5
PAUSE_S = 30  # the longest
BEAT_S = 2
RENEW_S = 10
LOOK_S = 1
STOP_S = 10
Lost = (DatabaseError, InterfaceError, EventLogError)


class Run:
    """One tap at work, from its lease to the end of it."""

    def __init__(self, tap: Tap) -> None:
        self.tap = tap
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._work, name=f"tap {tap.name}", daemon=True)
        self._connector: Connector | None = None
        self._places: Places | None = None
        self._failures = 0
        self._hidden: list[str] = []
        self._pace = Pace()

    def _work(self) -> None:
        try:
            while not self.stopping.is_set():
                try:
                    self._turn()
                except intake.LeaseLost:
                    return
        finally:
            self._close()
            _quietly(lambda: leases.let_go(self.tap.pk, self.tap.fence))
            connection.close()

    def _turn(self) -> None:
        """Read until something goes wrong, say what, and wait before the next turn."""
        try:
            settings = taps.settings_of(self.tap)
            known = buses.connector_class(self.tap.bus).settings
            self._hidden = vault.secrets_in([*known, *shaping.COMMON], settings)
            form = taps.form(self.tap.system, self.tap.name, settings)
            self._connector = taps.connector(self.tap, settings)
            self._follow(self._connector, form)
        except intake.LeaseLost:
            raise
        except BadSettings as error:
            self._rest(str(error), PAUSE_S)
        except TapError as error:
            self._rest(str(error), self._pause())
        except Lost as error:
            logger.error("Tap %s: the log cannot be written: %s", self.tap.name, _kind(error))
            connection.close()
            self._rest("", self._pause())
        except Exception as error:  # a bug of ours or of a client: other taps go on
            logger.error("Tap %s failed with %s", self.tap.name, _where(error))
            self._rest(f"It failed with {_kind(error)}; the log of evdebug says where.",
                       self._pause())  # fmt: skip
        finally:
            self._close()

    def _follow(self, connector: Connector, form: Form) -> None:
        self.tap.refresh_from_db(fields=["cursor"])
        observes = getattr(connector, "observes", True)
        self._places = Places(self.tap.pk, self.tap.name) if observes else None
        connector.open(taps.cursor_of(self.tap))
        self._beat("receiving", connector.lag())
        while not self.stopping.is_set():
            batch = connector.read(limit=RECORDS, wait=WAIT_S)
            if batch:
                reached("tap_read")
                self._commit(batch, intake.decode(batch, form), form)
                connector.settle(batch)
                reached("tap_settled")
                self._failures = 0
            self._pace.add(len(batch.records))
            if self._pace.due():
                self._beat("receiving", connector.lag())

    def _commit(self, batch: Batch, decoded: intake.Decoded, form: Form) -> None:
        """Store a batch, trying until it is stored."""
        while True:
            try:
                intake.store(self.tap, batch, decoded, form, self._places)
                return
            except intake.LeaseLost:
                raise
            except Lost as error:
                logger.error("Tap %s: the log cannot be written: %s", self.tap.name, _kind(error))
                connection.close()
                if self.stopping.wait(self._pause()):
                    raise
                if self._places is not None:
                    self._places = _patiently(lambda: Places(self.tap.pk, self.tap.name))

    def _pause(self) -> float:
        self._failures += 1
        return min(2.0 ** (self._failures - 1), PAUSE_S) * random.uniform(0.5, 1)

    def _rest(self, words: str, pause: float) -> None:
        """Say what is wrong and wait, holding the lease."""
        self._close()
        if words:
            self._say(words)
        until = time.monotonic() + pause
        while not self.stopping.is_set() and (left := until - time.monotonic()) > 0:
            self.stopping.wait(min(left, BEAT_S))

    def _say(self, words: str) -> None:
        words = self._plain(words)
        logger.warning("Tap %s: %s", self.tap.name, words)
        now = time.time_ns() // 1000
        _quietly(
            lambda: leases.renew(
                self.tap.pk, self.tap.fence, state="failing", said=words[:2000], said_at=now, rate=0
            )
        )

    def _plain(self, words: str) -> str:
        """Return words without what is secret in the settings or to be redacted."""
        for secret in self._hidden:
            words = words.replace(secret, vault.HIDDEN)
        words = vault.without_password(words).replace("\0", "\\0")
        try:
            form = taps.form(self.tap.system, self.tap.name, taps.settings_of(self.tap))
        except (BadSettings, Invalid):
            return words
        return form.redactor.text(words)

    def _beat(self, state: str, lag: Lag) -> None:
        if not leases.renew(
            self.tap.pk, self.tap.fence, state=state, rate=self._pace.rate, lag=lag.records,
            delay=lag.delay_us, **({"said": ""} if state == "receiving" else {}),
        ):  # fmt: skip
            raise intake.LeaseLost

    def _close(self) -> None:
        if self._connector is not None:
            _quietly(self._connector.close)
            self._connector = None


class Pace:
    """Records a second over the last seconds, and when it is time to tell."""

    def __init__(self) -> None:
        self.rate = 0.0
        self._count, self._since = 0, time.monotonic()

    def add(self, count: int) -> None:
        """Count records."""
        self._count += count

    def due(self) -> bool:
        """Return whether it is time, and then begin anew."""
        took = time.monotonic() - self._since
        if took < BEAT_S:
            return False
        now = self._count / took
        self.rate = round(now if not self.rate else (self.rate + now) / 2, 2)
        self.rate = 0.0 if self.rate < 0.01 else self.rate
        self._count, self._since = 0, time.monotonic()
        return True


class Supervisor:
    """Looks after the taps of one process: takes those that are free, ends those that are not
    wanted, holds the leases of the others."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._names = list(names)
        self._owner = f"{socket.gethostname()[:32]}:{os.getpid()}:{random.getrandbits(32):08x}"
        self._runs: dict[int, Run] = {}
        self._renewed = time.monotonic()
        self._leaver: threading.Thread | None = None

    @property
    def running(self) -> list[str]:
        """The names of the taps at work here."""
        return [run.tap.name for run in self._runs.values()]

    def run(self, stopping: threading.Event) -> None:
        """Look after taps until `stopping`, then stop them and let go of them."""
        try:
            while not stopping.is_set():
                try:
                    self.look()
                except Lost as error:
                    logger.error("Taps cannot be looked after: %s", _kind(error))
                    connection.close()
                stopping.wait(LOOK_S)
        finally:
            self.stop()
            connection.close()

    def look(self) -> None:
        """Do once what there is to do."""
        held = dict(
            Tap.objects.filter(pk__in=self._runs, wanted=True, owner=self._owner)
            .values_list("pk", "fence")
        )  # fmt: skip
        for pk, run in list(self._runs.items()):
            if held.get(pk) != run.tap.fence:
                run.stopping.set()
            if not run.thread.is_alive():
                del self._runs[pk]
        if time.monotonic() - self._renewed > RENEW_S:
            self._renewed = time.monotonic()
            for run in self._runs.values():
                leases.renew(run.tap.pk, run.tap.fence)
        for tap in leases.take(self._owner, self._names, but=self._runs):
            self._runs[tap.pk] = run = Run(tap)
            run.thread.start()
        if not (self._leaver and self._leaver.is_alive()) and leaving.due():
            self._leaver = threading.Thread(target=leaving.work, name="leaving", daemon=True)
            self._leaver.start()

    def stop(self) -> None:
        """Stop all taps of this process and wait for them."""
        for run in self._runs.values():
            run.stopping.set()
        until = time.monotonic() + STOP_S
        for run in self._runs.values():
            run.thread.join(max(until - time.monotonic(), 0.1))
        self._runs.clear()


def _quietly(do: Callable[[], object]) -> None:
    try:
        do()
    except Exception as error:  # it ends either way
        logger.debug("Closing failed with %s", _kind(error))


def _patiently(make: Callable[[], Places]) -> Places:
    while True:
        try:
            return make()
        except Lost:
            connection.close()
            time.sleep(1)


def _kind(error: BaseException) -> str:
    return type(error).__name__


def _where(error: BaseException) -> str:
    """Return an error's kind and place, not its words: they may hold what a record held."""
    at = error.__traceback__
    while at and at.tb_next:
        at = at.tb_next
    place = f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}" if at else "?"
    return f"{_kind(error)} at {place}"
