"""Where evdebug may connect to: one guard for brokers, webhooks' targets, registries and feeds.

It is asked when a connection is made, with the name that is about to be connected to, and gives
back the addresses to use; who connects to anything else has not asked. So neither a name that
resolves differently the second time nor an address that a broker advertises gets around it.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Clouds hand out credentials there; nobody has an event bus there.
METADATA = frozenset(map(ipaddress.ip_address, ("169.254.169.254", "fd00:ec2::254")))
NAT64 = ipaddress.ip_network("64:ff9b::/96")
ADVICE = "an administrator can allow it with EVDEBUG_REACH"


class Forbidden(Exception):
    """A connection must not be made; the text says to where and who can change that."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What may be reached: `names` ('.suffix' for all below it), `networks`, this machine."""

    names: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    local: bool = False

    def addresses(
        self, host: str, port: int, *, resolve: Callable[[str, int], Iterable[str]] | None = None
    ) -> list[str]:
        """Return the addresses of `host` to connect to, in order.

        All of them must be allowed: a name with one good address is no way to a bad one.
        raises  Forbidden; OSError where the name cannot be resolved
        """
        found = list(dict.fromkeys((resolve or _resolve)(host, port)))
        named = self._named(host)
        for text in found:
            address = canonical(ipaddress.ip_address(text.partition("%")[0]))
            if not self._allowed(address, named=named):
                raise Forbidden(f"{host} ({address}) is not to be reached from here; {ADVICE}")
        return found

    def _named(self, host: str) -> bool:
        host = host.lower().rstrip(".")
        return any(
            host == name or (name.startswith(".") and host.endswith(name)) for name in self.names
        )

    def _allowed(self, address: Address, *, named: bool) -> bool:
        if address in METADATA:
            return False
        if any(address in network for network in self.networks):
            return True
        if address.is_loopback or address.is_unspecified:
            return self.local
        # A listed name may live anywhere but where names of this machine's own net live.
        return named and not (address.is_link_local or address.is_multicast)


def parse(words: Sequence[str], *, local: bool) -> Reach:
    """Read names, addresses and networks such as `broker.example.com`, `.internal`, `10.0.0.0/8`.

    raises  ValueError for what is none of them
    """
    names, networks = [], []
    for word in words:
        try:
            networks.append(ipaddress.ip_network(word.strip("[]"), strict=False))
        except ValueError:
            if not word.replace("-", "").replace(".", "").replace("_", "").isalnum():
                raise
            names.append(word.lower().rstrip("."))
    return Reach(tuple(names), tuple(networks), local)


def canonical(address: Address) -> Address:
    """Return the address that is really connected to: IPv4 in its many IPv6 dresses."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address.sixtofour:
        return address.sixtofour
    if address in NAT64 or (int(address) >> 32 == 0 and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _resolve(host: str, port: int) -> list[str]:
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
