"""Whether a webhook was sent by who knows the secret, in the ways senders sign.

standard  standardwebhooks.com: webhook-id, webhook-timestamp, webhook-signature
github    X-Hub-Signature-256 over the body
stripe    Stripe-Signature with a time
hmac      HMAC-SHA256 of the body, in hexadecimal or base64, in a header of the sender's choice
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping

SCHEMES = ("standard", "github", "stripe", "hmac")
TOLERANCE_S = 300  # a signed request that is older may have been recorded and sent again


class BadSignature(Exception):
    """A request was not signed by who knows the secret; the text says what is wrong with it."""


def check(
    scheme: str, secret: str, header: str, headers: Mapping[str, str], body: bytes, *, now: float
) -> None:
    """Return if a request is signed as it should be; header names are lower-case.

    raises  BadSignature
    """
    if scheme == "standard":
        number, at = _header(headers, "webhook-id"), _header(headers, "webhook-timestamp")
        _recent(at, now)
        given = [part.partition(",")[2] for part in _header(headers, "webhook-signature").split()]
        _match(_key(secret), f"{number}.{at}.".encode() + body, given)
    elif scheme == "github":
        given = [_header(headers, "x-hub-signature-256").removeprefix("sha256=")]
        _match(secret.encode(), body, given)
    elif scheme == "stripe":
        pairs = [part.partition("=") for part in _header(headers, "stripe-signature").split(",")]
        at = next((value for name, _, value in pairs if name.strip() == "t"), "")
        _recent(at, now)
        given = [value for name, _, value in pairs if name.strip() == "v1"]
        _match(secret.encode(), f"{at}.".encode() + body, given)
    else:
        given = [_header(headers, header.lower()).removeprefix("sha256=")]
        _match(secret.encode(), body, given)


def _header(headers: Mapping[str, str], name: str) -> str:
    if not (value := headers.get(name, "").strip()):
        raise BadSignature(f"header {name} is missing")
    return value


def _recent(at: str, now: float) -> None:
    if not at.isdecimal() or len(at) > 12:
        raise BadSignature("the time it was signed at is missing")
    if abs(int(at) - now) > TOLERANCE_S:
        raise BadSignature(f"it was signed {abs(round(int(at) - now))} s from now")


def _match(key: bytes, signed: bytes, given: Iterable[str]) -> None:
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    good = (digest.hex(), base64.b64encode(digest).decode())
    found = False
    for text in given:
        raw = text.strip().encode("utf-8", "replace")
        for one in good:  # all of them, so that the time it takes says nothing
            found |= hmac.compare_digest(one.encode(), raw)
    if not found:
        raise BadSignature("the signature does not match")


def _key(secret: str) -> bytes:
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            raise BadSignature("the secret set here is no whsec_ secret") from None
    return secret.encode()
