"""Calls of SQS and SNS, signed (AWS Signature Version 4), over connections that go where they may.

AWS's own client would bring a hundred services along, looks for credentials in the environment and
at the metadata address of the machine, and connects past our guard; we need nine calls.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree

import msgspec

from apps.ingest.connector import Refused, Surroundings, Unreachable
from apps.ingest.web import Guarded

TIMEOUT_S = 30
ANSWER_MAX = 16 * 1024 * 1024
WORDS = 200  # letters of what AWS says
SNS_VERSION = "2010-03-31"
AGAIN = ("Throttl", "RequestThrottled", "InternalError", "ServiceUnavailable", "KMSThrottling",
         "QueueDeletedRecently", "OverLimit")  # fmt: skip


class Missing(Refused):
    """There is no such queue or topic."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who asks, and where. The secrets are in no representation of it."""

    region: str
    key: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)
    endpoint: str = ""  # of both services, "" for AWS itself
    domain: str = "amazonaws.com"

    def url(self, service: str) -> str:
        """Return the address of a service, without a slash at its end."""
        return self.endpoint.rstrip("/") or f"https://{service}.{self.region}.{self.domain}"


class Wire:
    """A connection to each of the two services, used by one thread."""

    def __init__(self, access: Access, around: Surroundings) -> None:
        self._access, self._around = access, around
        self._open: dict[str, Guarded] = {}

    def sqs(self, action: str, **given: Any) -> dict[str, Any]:
        """Call SQS.  raises  Missing, Refused, Unreachable"""
        headers = {
            "Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{action}",
        }  # fmt: skip
        status, body = self._post("sqs", msgspec.json.encode(given), headers)
        try:
            answer = msgspec.json.decode(body, type=dict[str, Any]) if body else {}
        except msgspec.DecodeError:
            answer = {}
        if status != 200:
            code = str(answer.get("__type", "")).rpartition("#")[2]
            raise _error("SQS", action, status, code, str(answer.get("message", "")))
        return answer

    def sns(self, action: str, **given: str) -> dict[str, list[str]]:
        """Call SNS and return the texts of its answer by their tags.

        raises  Missing, Refused, Unreachable
        """
        form = urlencode({"Action": action, "Version": SNS_VERSION, **given}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        status, body = self._post("sns", form, headers)
        said = _texts(body)
        if status != 200:
            code, words = said.get("Code", [""]), said.get("Message", [""])
            raise _error("SNS", action, status, code[0], words[0])
        return said

    def _post(self, service: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        url = self._access.url(service)
        signed = sign(self._access, service, body, headers, datetime.now(UTC))
        known = service in self._open
        try:
            return self._asked(service, url, body, signed)
        except (OSError, http.client.HTTPException) as error:
            self._let_go(service)
            if known:  # it was closed while nobody asked; a new one is not
                return self._post(service, body, headers)
            host = urlsplit(url).netloc
            raise Unreachable(f"{host} cannot be reached: {_why(error)}") from None

    def _asked(
        self, service: str, url: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        connection = self._open.get(service)
        if connection is None:
            parts = urlsplit(url)
            tls = parts.scheme == "https"
            port = parts.port or (443 if tls else 80)
            connection = Guarded(
                parts.hostname or "", port, self._around, timeout=TIMEOUT_S, tls=tls
            )
            self._open[service] = connection
        connection.request("POST", "/", body, headers=dict(headers))
        answer = connection.getresponse()
        found = answer.read(ANSWER_MAX + 1)
        if len(found) > ANSWER_MAX:
            raise OSError(f"it answers with more than {ANSWER_MAX} bytes")
        return answer.status, found

    def _let_go(self, service: str) -> None:
        if connection := self._open.pop(service, None):
            connection.close()

    def close(self) -> None:
        """Close both connections."""
        for service in list(self._open):
            self._let_go(service)


def sign(
    access: Access, service: str, body: bytes, headers: Mapping[str, str], at: datetime
) -> dict[str, str]:
    """Return the headers of a POST to `/` with those that sign it."""
    moment = at.strftime("%Y%m%dT%H%M%SZ")
    sent = {**headers, "Host": urlsplit(access.url(service)).netloc, "X-Amz-Date": moment}
    if access.token:
        sent["X-Amz-Security-Token"] = access.token
    lines = sorted((name.lower(), " ".join(value.split())) for name, value in sent.items())
    names = ";".join(name for name, _ in lines)
    asked = "\n".join(["POST", "/", "", *(f"{n}:{v}" for n, v in lines), "", names, _hash(body)])
    scope = f"{moment[:8]}/{access.region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, _hash(asked.encode())])
    key = f"AWS4{access.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    sent["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={access.key}/{scope}, SignedHeaders={names}, "
        f"Signature={signature}"
    )
    return sent


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _texts(body: bytes) -> dict[str, list[str]]:
    """Return the texts of an XML document by the names of their tags, in order."""
    found: dict[str, list[str]] = {}
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        return found
    try:
        for element in ElementTree.fromstring(body).iter():  # noqa: S314 - it declares no entities
            text = (element.text or "").strip()
            found.setdefault(element.tag.rpartition("}")[2], []).append(text)
    except ElementTree.ParseError:
        return {}
    return found


def _error(service: str, action: str, status: int, code: str, words: str) -> Exception:
    said = "".join(c if c.isprintable() else "?" for c in words[:WORDS])
    text = f"{service} answers {code or status} to {action}: {said}".rstrip(": ")
    if "NonExistent" in code or "DoesNotExist" in code or code in ("NotFound", "NotFoundException"):
        return Missing(text)
    if status >= 500 or status == 429 or any(part in code for part in AGAIN):
        return Unreachable(text)
    return Refused(text)


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", "") or error or type(error).__name__)[:WORDS]
