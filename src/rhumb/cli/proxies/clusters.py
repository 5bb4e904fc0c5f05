"""Clusters and their endpoints."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from rhumb.cli.proxies import origins
from rhumb.cli.proxies.dump import Dump, Json, dig, mapping, mappings, text_of
from rhumb.cli.proxies.origins import Cited

HEAD = ("SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE", "ORIGIN")
ENDPOINT_HEAD = ("ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER", "ORIGIN")


class Name(msgspec.Struct, frozen=True):
    """Istio's name of a cluster, `outbound|9080|v1|reviews.default.svc.cluster.local`; or another name."""

    host: str
    port: int | None = None
    subset: str = ""
    direction: str = ""

    @classmethod
    def parse(cls, text: str) -> "Name":
        """Read a name; what is not Istio's is a host alone."""
        separator = "_." if text.startswith(("outbound_.", "inbound_.")) else "|"
        parts = text.split(separator)
        if len(parts) != 4 or not parts[1].isdigit():
            return cls(text)
        direction, port, subset, host = parts
        return cls(host, int(port), subset, direction)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which clusters to show."""

    fqdn: str = ""
    direction: str = ""
    port: int | None = None
    subset: str = ""

    def takes(self, cluster: Json) -> bool:
        """Tell whether a cluster is to be shown."""
        name = Name.parse(text_of(cluster, "name"))
        return (
            (not self.fqdn or self.fqdn == name.host)
            and (not self.direction or self.direction.lower() == name.direction)
            and (self.port is None or self.port == name.port)
            and (not self.subset or self.subset == name.subset)
        )


def rows(clusters: Sequence[Json], known: Mapping[str, list[Cited]]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each cluster."""

    def key(cluster: Json) -> tuple[str, int, str, str]:
        name = Name.parse(text_of(cluster, "name"))
        return name.host, name.port or 0, name.direction, name.subset

    for cluster in sorted(clusters, key=key):
        text = text_of(cluster, "name")
        name = Name.parse(text)
        rule = origins.config_path(cluster)
        yield (
            name.host,
            "-" if name.port is None else str(name.port),
            name.subset or "-",
            name.direction or "-",
            str(cluster.get("type") or dig(cluster, "cluster_type", "name") or "STATIC"),
            f"{rule[2]}.{rule[1]}" if rule else "",
            origins.cell(known.get(text, []), cluster),
        )


class WantedEndpoints(msgspec.Struct, frozen=True, kw_only=True):
    """Which endpoints to show."""

    address: str = ""
    port: int | None = None
    cluster: str = ""
    status: str = ""

    def takes(self, endpoint: "Endpoint") -> bool:
        """Tell whether an endpoint is to be shown."""
        return (
            (not self.address or self.address.lower() == endpoint.address.lower())
            and (self.port is None or self.port == endpoint.port)
            and (not self.cluster or self.cluster == endpoint.cluster)
            and (not self.status or self.status.lower() == endpoint.status.lower())
        )


class Endpoint(msgspec.Struct, frozen=True, order=True):
    """One endpoint of one cluster."""

    address: str
    port: int
    cluster: str
    status: str
    is_ejected: bool = False

    @property
    def text(self) -> str:
        """Return `ADDRESS:PORT`, or the path of a Unix socket."""
        return f"{self.address}:{self.port}" if self.port else f"unix://{self.address}"


def endpoints(dump: Dump) -> list[Endpoint]:
    """Return the endpoints in order; what Envoy has found out about them where the dump has it."""
    found = [each for status in dump.statuses for each in _of_status(status)]
    if not dump.statuses:
        found = [each for assignment in dump.endpoints for each in _assigned(assignment)]
    return sorted(set(found))


def endpoint_rows(
    found: Sequence[Endpoint], known: Mapping[str, Mapping[str, list[Cited]]]
) -> Iterator[tuple[str, ...]]:
    """Yield a row for each endpoint."""
    for each in found:
        cited = known.get(each.cluster, {}).get(f"{each.address}:{each.port}", [])
        check = "FAILED" if each.is_ejected else "OK"
        yield each.text, each.status, check, each.cluster, origins.cell(cited)


def _of_status(status: Json) -> Iterator[Endpoint]:
    for host in mappings(status.get("host_statuses")):
        health = mapping(host.get("health_status"))
        yield Endpoint(
            *_place(mapping(host.get("address"))),
            text_of(status, "name"),
            text_of(health, "eds_health_status") or "UNKNOWN",
            bool(health.get("failed_outlier_check")),
        )


def _assigned(assignment: Json) -> Iterator[Endpoint]:
    for group in mappings(assignment.get("endpoints")):
        for each in mappings(group.get("lb_endpoints")):
            yield Endpoint(
                *_place(mapping(dig(each, "endpoint", "address"))),
                text_of(assignment, "cluster_name"),
                text_of(each, "health_status") or "HEALTHY",
            )


def _place(address: Json) -> tuple[str, int]:
    port = dig(address, "socket_address", "port_value")
    text = dig(address, "socket_address", "address") or dig(address, "pipe", "path")
    internal = dig(address, "envoy_internal_address", "server_listener_name")
    return str(text or internal or ""), port if isinstance(port, int) else 0
