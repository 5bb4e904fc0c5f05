"""Which traffic of a workload goes through Envoy, as a plan: data that is applied elsewhere.

The same decisions as Istio's iptables rules, with Envoy's own sockets known by their
mark instead of a user id.
"""

import enum

import msgspec

from rhumb.agent.settings import Ports, SidecarSettings
from rhumb.model.proxy import Interception

HBONE = 15008
LOOPBACK = "127.0.0.1"
INBOUND_SOURCE = "127.0.0.6"
"""Envoy connects to the application from here."""


class Chain(enum.StrEnum):
    """Where a rule stands."""

    INBOUND = "inbound"
    """Packets that arrive from outside (prerouting)."""
    OUTBOUND = "outbound"
    """Packets that are made here (output)."""


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """What a packet must be; None does not matter."""

    protocol: str = "tcp"
    port: int | None = None
    """Destination port."""
    destination: str = ""
    """Address or CIDR."""
    not_destination: str = ""
    source: str = ""
    loopback: bool | None = None
    """Leaves by the loopback interface, or does not."""
    marked: bool | None = None
    """Made by Envoy or the agent."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule: the first that matches decides."""

    chain: Chain
    match: Match
    to: int = 0
    """Port of this machine to redirect to; 0: leave the packet alone."""


def plan(settings: SidecarSettings) -> tuple[Rule, ...]:
    """Return the rules for a sidecar; none without interception."""
    if settings.capture.mode is not Interception.REDIRECT:
        return ()
    return (*_inbound(settings), *_outbound(settings))


def _inbound(settings: SidecarSettings) -> list[Rule]:
    ports = settings.ports
    alone = (HBONE, ports.prometheus, ports.ready, ports.agent)
    found = [
        _rule(Chain.INBOUND, port=port)
        for port in (*alone, *settings.capture.exclude_inbound_ports)
    ]
    return [*found, Rule(chain=Chain.INBOUND, match=Match(), to=ports.inbound)]


def _outbound(settings: SidecarSettings) -> list[Rule]:
    capture, ports = settings.capture, settings.ports
    found = [
        Rule(chain=Chain.OUTBOUND, match=Match(source=INBOUND_SOURCE, loopback=True)),
        # Envoy chose this very workload as the endpoint: the call must come in like any other.
        Rule(
            chain=Chain.OUTBOUND,
            match=Match(marked=True, loopback=True, not_destination=LOOPBACK),
            to=ports.inbound,
        ),
        Rule(chain=Chain.OUTBOUND, match=Match(marked=True)),
        *_names(settings, ports),
        Rule(chain=Chain.OUTBOUND, match=Match(loopback=True)),
    ]
    found += [_rule(Chain.OUTBOUND, port=port) for port in capture.exclude_outbound_ports]
    found += [
        Rule(chain=Chain.OUTBOUND, match=Match(destination=cidr))
        for cidr in (f"{LOOPBACK}/32", *capture.exclude_outbound_ranges)
    ]
    ranges = capture.include_outbound_ranges or ("",)
    found += [
        Rule(chain=Chain.OUTBOUND, match=Match(destination=cidr), to=ports.outbound)
        for cidr in ranges
    ]
    return found


def _names(settings: SidecarSettings, ports: Ports) -> list[Rule]:
    if not settings.capture.dns:
        return []
    found: list[Rule] = []
    for protocol in ("udp", "tcp"):
        own = Match(protocol=protocol, port=53, marked=True)
        found.append(Rule(chain=Chain.OUTBOUND, match=own))
        servers = settings.capture.dns_servers
        asked = [Match(protocol=protocol, port=53, destination=server) for server in servers]
        # A name server of the workload's own is meant as it is written, unless resolv.conf names it.
        asked = asked or [Match(protocol=protocol, port=53, not_destination=LOOPBACK)]
        found += [Rule(chain=Chain.OUTBOUND, match=match, to=ports.dns) for match in asked]
    return found


def _rule(chain: Chain, *, port: int) -> Rule:
    return Rule(chain=chain, match=Match(port=port))
