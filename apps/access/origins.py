"""Which site a browser's socket was opened by. Plain values, no database.

Sockets are outside the same-origin policy: any page a person opens may connect with their cookie,
so what the browser says of the page is all that tells ours from others.
"""

from __future__ import annotations

from urllib.parse import urlsplit

PORTS = {"http": 80, "https": 443}


def is_own(origin: str, *, scheme: str, host: str) -> bool:
    """Return whether `origin` is the very site it connects to: same scheme, same host, same port.

    origin  as the browser sent it; "" (none) and "null" are nobody's
    scheme  http or https, as the page was reached
    host    the Host header of the handshake, which names the port where it is unusual
    """
    given, own = _parts(origin), _parts(f"{scheme}://{host}")
    return given is not None and given == own


def _parts(origin: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port; None for what is no origin, also for one with a path."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    if parts.path or parts.query or parts.fragment or not origin.isprintable():
        return None
    return parts.scheme, parts.hostname, PORTS[parts.scheme] if port is None else port
