"""A ServiceEntry for all names of the namespace that the proxy is in."""

from rhumb.ir.route import RouteConfiguration
from rhumb.testing.world import proxy, resources, world
from rhumb.translate.proxy import resources as translated
from rhumb.xds.types import XdsType

ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a}
spec:
  hosts: ["*.default.svc.cluster.local"]
  resolution: STATIC
  endpoints: [{address: 10.0.0.1}]
  ports: [{number: 80, name: http, protocol: HTTP}]
"""


def test_it_is_not_for_everything_there_is() -> None:
    snapshot = world(resources(ENTRY))
    found = translated(snapshot, snapshot.view(proxy()), XdsType.RDS)
    domains = [
        (host.name, domain)
        for table in found
        if isinstance(table, RouteConfiguration) and table.name == "80"
        for host in table.virtual_hosts
        for domain in host.domains
    ]
    assert [name for name, domain in domains if domain == "*"] == ["allow_any"]
    assert "*.default" in {domain for _, domain in domains}
