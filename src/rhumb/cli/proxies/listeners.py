"""Listeners: what each chain matches and where its traffic goes."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from rhumb.cli.proxies import origins
from rhumb.cli.proxies.dump import Json, dig, mapping, mappings, text_of, texts
from rhumb.cli.proxies.origins import Cited
from rhumb.cli.proxies.routes import described

HEAD = ("ADDRESSES", "PORT", "MATCH", "DESTINATION", "ORIGIN")
SHORT_HEAD = ("ADDRESSES", "PORT", "TYPE")

_PROTOCOLS: Mapping[str, frozenset[str]] = {
    "HTTP TLS": frozenset(
        ("http/1.0", "http/1.1", "h2c", "istio-http/1.0", "istio-http/1.1", "istio-h2")
    ),
    "Istio HTTP Plain": frozenset(("istio", "istio-http/1.0", "istio-http/1.1", "istio-h2")),
    "TCP TLS": frozenset(("istio-peer-exchange", "istio")),
    "HTTP": frozenset(("http/1.0", "http/1.1", "h2c")),
}
"""Sets of application protocols that have a name."""

_HTTP = "HttpConnectionManager"
_TCP = "TcpProxy"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which listeners to show."""

    address: str = ""
    port: int | None = None
    type: str = ""

    def takes(self, listener: Json) -> bool:
        """Tell whether a listener is to be shown."""
        addresses, port = places(listener)
        return (
            (not self.address or self.address.lower() in (a.lower() for a in addresses))
            and (self.port is None or self.port == port)
            and (not self.type or self.type.lower() == kind(listener).lower())
        )


def rows(
    listeners: Sequence[Json], known: Mapping[str, Sequence[list[Cited]]]
) -> Iterator[tuple[str, ...]]:
    """Yield a row for each filter chain."""
    for listener in _ordered(listeners):
        addresses, port = places(listener)
        chains = _chains(listener)
        cited = known.get(text_of(listener, "name"), ())
        for index, chain in enumerate(chains):
            yield (
                ",".join(addresses),
                str(port),
                _match(chain),
                _destination(chain),
                origins.cell(origins.nth(cited, index, len(chains)), chain),
            )


def short_rows(listeners: Sequence[Json]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each listener."""
    for listener in _ordered(listeners):
        addresses, port = places(listener)
        yield ",".join(addresses), str(port), kind(listener)


def places(listener: Json) -> tuple[list[str], int]:
    """Return the addresses that a listener has, and its port (0 for a Unix socket)."""
    found = [mapping(listener.get("address"))]
    found += [mapping(a.get("address")) for a in mappings(listener.get("additional_addresses"))]
    addresses: list[str] = []
    for address in found:
        text = dig(address, "socket_address", "address")
        text = text or dig(address, "pipe", "path")
        addresses.append(str(text or dig(address, "internal_listener") or ""))
    port = dig(found[0], "socket_address", "port_value")
    return addresses, port if isinstance(port, int) else 0


def kind(listener: Json) -> str:
    """Return what a listener speaks: HTTP, TCP, both, or UNKNOWN."""
    types = {
        text_of(mapping(each.get("typed_config")), "@type").rpartition(".")[2]
        for chain in _chains(listener)
        for each in mappings(chain.get("filters"))
    }
    spoken = [word for word, type_ in (("HTTP", _HTTP), ("TCP", _TCP)) if type_ in types]
    return "+".join(spoken) or "UNKNOWN"


def _ordered(listeners: Sequence[Json]) -> list[Json]:
    return sorted(listeners, key=lambda each: (places(each)[1], places(each)[0], kind(each)))


def _chains(listener: Json) -> list[Json]:
    default = listener.get("default_filter_chain")
    return mappings(listener.get("filter_chains")) + (
        [default] if isinstance(default, dict) else []
    )


def _match(chain: Json) -> str:
    match = mapping(chain.get("filter_chain_match"))
    found = []
    if names := texts(match.get("server_names")):
        found.append(f"SNI: {','.join(names)}")
    if protocol := text_of(match, "transport_protocol"):
        found.append(f"Trans: {protocol}")
    if spoken := texts(match.get("application_protocols")):
        named = (name for name, known in _PROTOCOLS.items() if known == frozenset(spoken))
        found.append(f"App: {next(named, ','.join(spoken))}")
    port = text_of(match, "destination_port")
    ranges = [
        f"{text_of(each, 'address_prefix')}/{text_of(each, 'prefix_len') or 0}"
        for each in mappings(match.get("prefix_ranges"))
    ]
    if ranges or port:
        found.append(f"Addr: {','.join(ranges) or '*'}{f':{port}' if port else ''}")
    return "; ".join(found) or "ALL"


def _destination(chain: Json) -> str:
    for each in mappings(chain.get("filters")):
        config = mapping(each.get("typed_config"))
        match text_of(config, "@type").rpartition(".")[2]:
            case "HttpConnectionManager":
                inline = config.get("route_config")
                if isinstance(inline, dict):
                    return described(inline)
                name = dig(config, "rds", "route_config_name")
                return f"Route: {name}" if name else "HTTP"
            case "TcpProxy":
                return _cluster(config)
    return "Non-HTTP/Non-TCP"


def _cluster(proxy: Json) -> str:
    cluster = text_of(proxy, "cluster")
    if cluster:
        return cluster if cluster.endswith("Cluster") else f"Cluster: {cluster}"
    shares = mappings(dig(proxy, "weighted_clusters", "clusters"))
    return "Cluster: " + ", ".join(f"{text_of(s, 'name')} ({text_of(s, 'weight')})" for s in shares)
