"""The address of a broker as people write it, taken apart without connecting anywhere."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from apps.ingest.connector import BadSettings


@dataclass(frozen=True, slots=True)
class BrokerUrl:
    """`password` is in no representation of it."""

    scheme: str
    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    path: str = ""  # without the leading slash, percent signs resolved
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """What to show of it: host and port."""
        return f"{self.host}:{self.port}"


def parse(url: str, ports: Mapping[str, int]) -> BrokerUrl:
    """Return the parts of `url`.

    ports   the schemes that are taken, each with its usual port
    raises  BadSettings, whose text quotes nothing of the url: it may hold a password
    """
    expected = " or ".join(f"{scheme}://host:port" for scheme in ports)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadSettings(f"setting url cannot be read; expected {expected}") from None
    if parts.scheme not in ports or not parts.hostname:
        raise BadSettings(f"setting url has another form; expected {expected}")
    return BrokerUrl(
        parts.scheme, parts.hostname, ports[parts.scheme] if port is None else port,
        unquote(parts.username or ""), unquote(parts.password or ""),
        unquote(parts.path.removeprefix("/")), dict(parse_qsl(parts.query)),
    )  # fmt: skip


def tls_context() -> ssl.SSLContext:
    """Return how to speak TLS to a broker: its certificate is checked against the system's."""
    return ssl.create_default_context()
