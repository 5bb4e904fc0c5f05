"""Addresses inside a local mesh: of workloads, and of services."""

import ipaddress
from collections.abc import Set as AbstractSet

Pool = ipaddress.IPv4Network | ipaddress.IPv6Network

WORKLOADS: Pool = ipaddress.ip_network("100.64.0.0/16")
"""Addresses of workloads; the first is the hub's own, where the control plane listens."""
SERVICES: Pool = ipaddress.ip_network("100.65.0.0/16")
"""Virtual addresses of services: never on a link, always captured."""
MESH: Pool = ipaddress.ip_network("100.64.0.0/15")
"""Both of them: all other addresses are outside."""
HOST = "100.127.255.254"
"""Outside: the host's own loopback, which has another meaning in every namespace."""
HUB = str(WORKLOADS[1])


def next_address(pool: Pool, taken: AbstractSet[str]) -> str:
    """Return the first address of a pool that is not taken."""
    return next(str(host) for host in pool.hosts() if str(host) not in taken)
