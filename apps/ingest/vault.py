"""Settings of taps at rest: sealed with a key that is not in the database."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from urllib.parse import unquote, urlsplit

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from apps.ingest.connector import BadSettings, Setting

HIDDEN = "•••"


def seal(secret: str, settings: Mapping[str, str]) -> bytes:
    """Return settings encrypted and authenticated with a key made of evdebug's secret key."""
    return _fernet(secret).encrypt(msgspec.json.encode(settings))


def unseal(secret: str, sealed: bytes) -> dict[str, str]:
    """Return what `seal` took.  raises  BadSettings where the secret key is another now"""
    try:
        return msgspec.json.decode(_fernet(secret).decrypt(sealed), type=dict[str, str])
    except InvalidToken:
        raise BadSettings(
            "The settings cannot be read: they were sealed with another secret key. Set "
            "EVDEBUG_SECRET_KEY to that one, or enter them again."
        ) from None


def key_for(secret: str, what: str) -> bytes:
    """Return 32 bytes made of evdebug's secret key, for one purpose alone."""
    made = HKDF(algorithm=SHA256(), length=32, salt=None, info=f"evdebug {what}".encode())
    return made.derive(secret.encode())


def _fernet(secret: str) -> Fernet:
    return Fernet(urlsafe_b64encode(key_for(secret, "tap settings")))


def is_hidden(setting: Setting) -> bool:
    """Return whether a setting is never shown; of an address only its password is not."""
    return setting.secret and setting.kind != "url"


def shown(known: Iterable[Setting], settings: Mapping[str, str]) -> dict[str, str]:
    """Return settings as they may be shown: no secret, and no password in an address."""
    secret = {s.name for s in known if is_hidden(s)}
    return {
        name: HIDDEN if name in secret and value else without_password(value)
        for name, value in settings.items()
    }


def without_password(text: str) -> str:
    """Return a text with what is secret in addresses hidden."""
    text = re.sub(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@]*):[^\s/@]*@", rf"\1:{HIDDEN}@", text)
    return re.sub(r"(?i)\b(password|secret|token)=[^\s&,;]+", rf"\1={HIDDEN}", text)


def secrets_in(known: Iterable[Setting], settings: Mapping[str, str]) -> list[str]:
    """Return the texts that must never be in a message: passwords, also as they are written."""
    found: set[str] = set()
    for setting in known:
        value = settings.get(setting.name, "")
        if is_hidden(setting):
            found.add(value)
        elif setting.kind == "url" and "://" in value:
            written = (urlsplit(value).password if "@" in value else "") or ""
            found |= {written, unquote(written)}
    return sorted((text for text in found if len(text) > 2), key=len, reverse=True)


def kept(
    known: Iterable[Setting], new: Mapping[str, str], old: Mapping[str, str]
) -> dict[str, str]:
    """Return new settings in which what was shown hidden is what it was before."""
    merged = dict(new)
    for setting in known:
        name = setting.name
        before = old.get(name, "")
        if merged.get(name) and merged[name] == shown([setting], {name: before}).get(name):
            merged[name] = before
        if is_hidden(setting) and not merged.get(name) and before:
            merged[name] = before
    return merged
