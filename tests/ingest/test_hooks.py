"""Webhooks: signatures, and from a request to the log."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
import uuid
from typing import Any

import pytest

from apps.access.actor import CONSOLE
from apps.eventlog.commands.systems import create_system
from apps.eventlog.places import Line
from apps.eventlog.queries import log
from apps.ingest.commands import hooks, leases, taps
from apps.ingest.connector import BadSettings
from apps.ingest.models import Tap
from apps.ingest.problems import Refused
from apps.ingest.signatures import BadSignature, check
from tests.ingest.asking import post
from tests.running import Evdebug

SECRET = "a long enough secret"
NOW = 1_700_000_000
BODY = b'{"type":"capture.done","ref":"acq_1"}'


def mac(key: bytes, signed: bytes) -> bytes:
    return hmac.new(key, signed, hashlib.sha256).digest()


def signed(
    scheme: str, body: bytes = BODY, *, secret: str = SECRET, at: int = NOW
) -> dict[str, str]:
    """Return the headers a sender of this kind sends."""
    key = secret.encode()
    if scheme == "github":
        return {"x-hub-signature-256": "sha256=" + mac(key, body).hex()}
    if scheme == "stripe":
        return {"stripe-signature": f"t={at},v1={'0' * 64},v1={mac(key, b'%d.' % at + body).hex()}"}
    if scheme == "hmac":
        return {"x-signature": base64.b64encode(mac(key, body)).decode()}
    made = base64.b64encode(mac(key, b"msg_1.%d." % at + body)).decode()
    return {"webhook-id": "msg_1", "webhook-timestamp": str(at),
            "webhook-signature": f"v1,bm9uZQ== v1,{made}"}  # fmt: skip


@pytest.mark.parametrize("scheme", ["standard", "github", "stripe", "hmac"])
def test_a_signature_is_good_for_one_body_and_one_secret(scheme: str) -> None:
    good = signed(scheme)
    check(scheme, SECRET, "X-Signature", good, BODY, now=NOW)
    for secret, body, headers in (
        ("another secret", BODY, good), (SECRET, BODY + b" ", good), (SECRET, BODY, {}),
        (SECRET, BODY, dict.fromkeys(good, "ä")),
    ):  # fmt: skip
        with pytest.raises(BadSignature):
            check(scheme, secret, "X-Signature", headers, body, now=NOW)


@pytest.mark.parametrize("scheme", ["standard", "stripe"])
@pytest.mark.parametrize("away", [-301, 301])
def test_an_old_signature_was_recorded_by_somebody(scheme: str, away: int) -> None:
    with pytest.raises(BadSignature, match="from now"):
        check(scheme, SECRET, "", signed(scheme), BODY, now=NOW + away)


def test_the_prefixed_secrets_of_standard_webhooks() -> None:
    key = b"0123456789abcdef"
    made = base64.b64encode(mac(key, b"m.%d." % NOW + BODY)).decode()
    headers = {"webhook-id": "m", "webhook-timestamp": str(NOW), "webhook-signature": f"v1,{made}"}
    check("standard", "whsec_" + base64.b64encode(key).decode(), "", headers, BODY, now=NOW)


@pytest.fixture
def line(db: None) -> Line:
    return create_system(f"s-{uuid.uuid4().hex[:12]}")


def hook(line: Line, **settings: Any) -> Tap:
    given = {"scheme": "github", "secret": SECRET} | settings
    return taps.add(line, "psp", "webhook", given, by=CONSOLE)


def sent(line: Line, body: bytes = BODY, more: dict[str, str] | None = None) -> dict[str, Any]:
    given = signed("github", body) | {"content-type": "application/json"} | (more or {})
    return hooks.take(line.slug, "psp", given, body).shape()


def test_it_works(line: Line) -> None:
    tap = hook(line)
    answer = sent(
        line, more={"authorization": "Bearer x", "cookie": "y", "x-github-delivery": "d-1"}
    )
    assert (answer["received"], answer["stored"]) == (1, 1)
    (event, *_) = log.read(log.line(line.slug))
    assert (event.type, event.tap, event.offset) == ("capture.done", "psp", "d-1")
    assert b"Bearer" not in event.metadata
    assert b"signature" not in event.metadata
    tap.refresh_from_db()
    assert tap.received == tap.stored + tap.duplicates + tap.rejected == 1


def test_the_same_request_again_is_a_duplicate(line: Line) -> None:
    hook(line)
    assert [sent(line)["stored"], sent(line)["duplicates"]] == [1, 1]


def test_what_is_no_event_is_kept(line: Line) -> None:
    tap = hook(line)
    answer = sent(line, b'{"broken"')
    assert (answer["rejected"], answer["problems"][0].code) == (1, "invalid_json")
    tap.refresh_from_db()
    assert tap.rejected == 1


def test_a_wrong_signature_stores_nothing_and_is_said(line: Line) -> None:
    tap = hook(line)
    with pytest.raises(Refused) as refused:
        hooks.take(line.slug, "psp", {"x-hub-signature-256": "sha256=00"}, BODY)
    assert refused.value.status == 401
    tap.refresh_from_db()
    assert (tap.received, tap.state) == (0, "failing")
    assert "does not match" in tap.said
    sent(line)
    tap.refresh_from_db()
    assert (tap.state, tap.said) == ("receiving", "")


def test_there_is_nothing_at_other_addresses(line: Line) -> None:
    tap = hook(line)
    for slug, name in ((line.slug, "other"), ("no-such", "psp"), (line.slug, "")):
        with pytest.raises(Refused) as refused:
            hooks.take(slug, name, signed("github"), BODY)
        assert refused.value.status == 404
    taps.stop(tap, by=CONSOLE)
    with pytest.raises(Refused):
        sent(line)


def test_nobody_has_to_run_it(line: Line) -> None:
    tap = hook(line)
    assert tap.pk not in [t.pk for t in leases.take("me", [])]


def test_a_secret_anybody_could_guess_is_refused(line: Line) -> None:
    with pytest.raises(BadSettings, match="shorter than 8"):
        hook(line, secret="short")


def test_through_the_door(server: Evdebug) -> None:
    server.manage("system", "create", "hooked")
    server.manage(
        "tap", "add", "hooked", "psp", "--bus", "webhook", "--set", "scheme=standard",
        "--set", f"secret={SECRET}",
    )  # fmt: skip
    headers = tuple(signed("standard", at=int(time.time())).items())
    path = "/v1/hooks/hooked/psp"
    good = post(server, path, BODY, headers=headers)
    assert (good.status, good.json["stored"]) == (200, 1)
    assert post(server, path, BODY + b" ", headers=headers).status == 401
    assert post(server, "/v1/hooks/hooked/none", BODY, headers=headers).status == 404
    assert post(server, path, b"", method="GET").status == 405
