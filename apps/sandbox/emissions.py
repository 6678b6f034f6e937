"""What a run makes: entries one after the other, or why it cannot go on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from apps.eventlog.envelope import Envelope


class Emission(msgspec.Struct):
    """One entry of the sandbox.

    ref        the recorded position it stands for; below 0 for what only the sandbox has
    descends   whether what differs about it comes of an edit
    differs    whether its content differs from the recorded
    orphan     its cause did not happen here, and its service is not under test
    """

    envelope: Envelope
    ref: int
    descends: bool = False
    differs: bool = False
    orphan: bool = False


class Stopped(Exception):
    """The run cannot go on by itself.

    wanted  the call nothing answers, if that is it
    again   whether it can go on later, from where it is
    """

    def __init__(
        self, text: str, wanted: Mapping[str, Any] | None = None, *, again: bool = False
    ) -> None:
        super().__init__(text)
        self.text, self.wanted = text, dict(wanted) if wanted else None
        self.again = again or wanted is not None
