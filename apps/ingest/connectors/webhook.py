"""Webhooks: what others send to `/v1/hooks/SYSTEM/NAME`, signed. Nothing is read; it comes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from apps.ingest import signatures
from apps.ingest.connector import (
    BadSettings,
    Batch,
    Checked,
    Cursor,
    Guarantee,
    Lag,
    Line,
    Record,
    Setting,
    Surroundings,
)

IDS = ("webhook-id", "ce-id", "x-github-delivery", "x-request-id", "idempotency-key")
# What says nothing of the event, or is a secret between the sender and us.
DROPPED = frozenset({
    "authorization", "cookie", "host", "connection", "content-length", "accept",
    "accept-encoding", "webhook-signature", "x-hub-signature", "x-hub-signature-256",
    "stripe-signature",
})  # fmt: skip


class Webhook:
    """One address others send to."""

    bus: ClassVar[str] = "webhook"
    title: ClassVar[str] = "Webhook"
    pushed: ClassVar[bool] = True  # nobody has to run it
    observes: ClassVar[bool] = False
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("scheme", "Signed as", kind="choice", default="standard",
                choices=signatures.SCHEMES,
                help="standard is standardwebhooks.com; hmac is SHA-256 of the body in a header"),
        Setting("secret", "Secret", required=True, secret=True, help="shared with the sender"),
        Setting("header", "Header", default="X-Signature", help="of the signature, for hmac"),
    )  # fmt: skip

    def __init__(self, settings: Mapping[str, Any], around: Surroundings) -> None:
        self._scheme: str = settings["scheme"]
        self._secret: str = settings["secret"]
        self._header: str = settings["header"]
        if len(self._secret) < 8:
            raise BadSettings("setting secret is shorter than 8 characters; anybody could guess it")
        self._name = around.name.rpartition("-")[0] or around.name

    def guarantee(self) -> Guarantee:
        return Guarantee(
            "at_least_once",
            "The answer comes after the commit, so a sender that repeats until it is answered "
            "loses nothing; repetitions are told by the sender's id, or else by the body. What a "
            "sender gives up while evdebug is down never comes.",
        )

    def place(self) -> str:
        return f"/v1/hooks/…/{self._name}, {self._scheme}"

    def record(self, headers: Mapping[str, str], body: bytes) -> Record:
        """Return a request as a record; header names are lower-case.

        raises  BadSignature
        """
        signatures.check(self._scheme, self._secret, self._header, headers, body, now=time.time())
        number = next((headers[name] for name in IDS if headers.get(name)), "")
        dropped = DROPPED | {self._header.lower()}
        return Record(
            body=body, channel=f"/v1/hooks/{self._name}",
            offset=number[:255] or hashlib.sha256(body).hexdigest()[:32],
            headers=tuple((n, v.encode()) for n, v in headers.items() if n not in dropped),
            content_type=headers.get("content-type", ""),
        )  # fmt: skip

    def check(self) -> Checked:
        words = "Senders reach it at POST /v1/hooks/SYSTEM/NAME on this evdebug."
        return Checked([Line("ok", words)])

    def open(self, cursor: Cursor) -> None:
        """There is nothing to connect to."""

    def read(self, *, limit: int, wait: float) -> Batch:
        time.sleep(wait)
        return Batch()

    def settle(self, batch: Batch) -> None:
        """Answered by the door."""

    def lag(self) -> Lag:
        return Lag()

    def close(self) -> None:
        """There is nothing to let go of."""
