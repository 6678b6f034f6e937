"""Where evdebug can be reached: how a link begins, and whether only this machine gets there."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

ANY = {"0.0.0.0", "::"}  # noqa: S104
LISTENING = "listening.json"  # in the data folder: where `up` was last reached


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach `host`. A name other than localhost is not."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def base_url(host: str, port: int, *, allowed: Sequence[str] = (), tls: bool = False) -> str:
    """Return `http://HOST:PORT` as a browser can open it, without a slash at the end.

    allowed  the names the pages answer to besides this machine's own; the first one is used where
             `host` is not an address a browser can go to, or where a proxy stands in front (`tls`)
    """
    name = next((one for one in allowed if not one.startswith(".")), "")
    if tls and name:
        return f"https://{name}"
    if host in ANY or host.strip("[]") in ANY:
        host = name or "127.0.0.1"
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"http://{host}" + ("" if port == 80 else f":{port}")


def keep_listening(folder: Path, host: str, port: int) -> None:
    """Note where `up` listens, for the commands that print links."""
    (folder / LISTENING).write_text(json.dumps([host, port]))


def last_listening(folder: Path) -> tuple[str, int] | None:
    """Return the host and port `up` listened on last; None when there is no such note."""
    with suppress(OSError, ValueError, TypeError):
        host, port = json.loads((folder / LISTENING).read_text())
        return str(host), int(port)
    return None
