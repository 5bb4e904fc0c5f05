"""When virtual hosts are resources of their own."""

import pytest

from rhumb.model.proxy import Proxy
from rhumb.snapshot.build import World
from rhumb.testing.world import resources, service, world
from rhumb.translate.proxy import parts
from rhumb.translate.proxy import resources as translated
from rhumb.xds.types import XdsType

FILTER = """
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: patched, namespace: istio-system}
spec:
  configPatches:
  - applyTo: %s
    match: {context: %s}
    patch: {operation: MERGE, value: {%s}}
"""
ON_ROUTES = ("ROUTE_CONFIGURATION", "VIRTUAL_HOST", "HTTP_ROUTE")
VALUES = {
    "ROUTE_CONFIGURATION": "validate_clusters: false",
    "VIRTUAL_HOST": "per_request_buffer_limit_bytes: 1",
    "HTTP_ROUTE": "stat_prefix: x",
    "CLUSTER": "per_connection_buffer_limit_bytes: 1",
    "LISTENER": "stat_prefix: x",
}


def proxy(name: str, metadata: dict[str, object] | None = None) -> Proxy:
    metadata = {"RHUMB_VHDS": "true"} if metadata is None else metadata
    return Proxy.parse(f"sidecar~10.0.0.9~{name}.a~a.svc.cluster.local", metadata)


def mesh(*filters: str) -> World:
    return world(resources(service("one", "10.0.0.1", namespace="a"), *filters))


def takes_apart(found: World, who: Proxy) -> bool:
    view = found.view(who)
    routes = translated(found, view, XdsType.RDS)
    hosts = translated(found, view, XdsType.VHDS)
    assert all(getattr(route, "hosts_apart", False) is bool(hosts) for route in routes)
    return bool(hosts)


def test_virtual_hosts_are_apart_where_the_client_can_take_them_so() -> None:
    assert takes_apart(mesh(), proxy("x"))
    assert not takes_apart(mesh(), proxy("x", {}))


@pytest.mark.parametrize("context", ["ANY", "SIDECAR_OUTBOUND", "SIDECAR_INBOUND"])
@pytest.mark.parametrize("what", list(VALUES))
def test_only_patches_of_outbound_routes_keep_them_together(what: str, context: str) -> None:
    found = mesh(FILTER % (what, context, VALUES[what]))
    together = what in ON_ROUTES and context != "SIDECAR_INBOUND"
    assert takes_apart(found, proxy("x")) is not together


def test_patches_of_the_side_that_serves_are_no_matter_of_what_is_shared() -> None:
    filters = FILTER % ("CLUSTER", "SIDECAR_INBOUND", VALUES["CLUSTER"])
    selecting = filters.replace("spec:\n", "spec:\n  workloadSelector: {labels: {app: x}}\n")
    found = mesh(selecting)
    metadata: dict[str, object] = {"RHUMB_VHDS": "true", "LABELS": {"app": "x"}}
    for kind in (XdsType.LDS, XdsType.EDS, XdsType.VHDS):
        one, other = (
            {part for part in parts(found, found.view(who), kind) if part.is_common}
            for who in (proxy("x", metadata), proxy("y"))
        )
        assert one == other
