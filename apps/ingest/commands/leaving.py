"""Taking away what removed taps left on their buses: slots, queues, sessions.

A bus may be out of reach just then, and whoever ran the tap may still hold what is to go. So what
there is to take away is written down with the removal, and tried until it is done or a week old.
"""

from __future__ import annotations

import logging
import time

from django.conf import settings as django
from django.db import connection
from django.db.models import F

from apps.ingest import buses, shaping, vault
from apps.ingest.commands import taps
from apps.ingest.connector import BadSettings, TapError
from apps.ingest.models import Leaving

logger = logging.getLogger(__name__)

FIRST_S = 3
PAUSE_S = 600  # the longest between two tries
GIVEN_UP_S = 7 * 86_400
CLAIMED_S = 120  # longer than a try takes


def due() -> bool:
    """Return whether there is something to try now."""
    return Leaving.objects.filter(due__lte=_now()).exists()


def work() -> None:
    """Try once what is due."""
    try:
        for one in Leaving.objects.filter(due__lte=_now()).order_by("due")[:100]:
            claimed = Leaving.objects.filter(pk=one.pk, due=one.due).update(
                due=_now() + CLAIMED_S * 1_000_000, tries=F("tries") + 1
            )
            if claimed:
                _try(one)
    finally:
        connection.close()


def _try(one: Leaving) -> None:
    try:
        settings = vault.unseal(django.SECRET_KEY, bytes(one.sealed))
        around = taps.around(one.name)
        buses.connector(one.bus, shaping.split(settings)[0], around).leave()  # type: ignore[attr-defined]
    except (TapError, BadSettings) as error:
        words = vault.without_password(str(error))
    except Exception as error:  # a bug of a client: other taps' are still to be tried
        words = f"it failed with {type(error).__name__}"
    else:
        Leaving.objects.filter(pk=one.pk).delete()
        return
    if _now() - one.since > GIVEN_UP_S * 1_000_000:
        logger.error("Left on %s by the removed tap %s: %s", one.bus, one.name, words)
        Leaving.objects.filter(pk=one.pk).delete()
        return
    pause = min(FIRST_S * 2 ** min(one.tries, 10), PAUSE_S)
    logger.warning("%s still holds what is left of tap %s: %s", one.bus, one.name, words)
    Leaving.objects.filter(pk=one.pk).update(due=_now() + pause * 1_000_000)


def _now() -> int:
    return time.time_ns() // 1000
