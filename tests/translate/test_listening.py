"""Listeners that are carried along are what a newcomer gets."""

from rhumb.model.proxy import Role
from rhumb.snapshot.view import View
from rhumb.testing.ads import views_of
from rhumb.testing.world import following, resources, service, world
from rhumb.xds.types import XdsType

RESOLVED = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: resolved, namespace: b}
spec:
  hosts: ["*.example.com"]
  location: MESH_EXTERNAL
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: DYNAMIC_DNS
"""
VIEW = View(role=Role.SIDECAR, namespace="a")


def test_the_first_service_that_is_resolved_by_name_makes_listeners_resolve() -> None:
    plain = resources(service("one", "10.0.0.1"), service("two", "10.0.0.2"))
    before = world(plain)
    views = views_of(before)
    first = views.table(VIEW, XdsType.LDS)
    after = following(before, resources(RESOLVED))
    views.following(after, {VIEW}, after.impact)
    second = views.table(VIEW, XdsType.LDS)
    newcomers = views_of(after).table(VIEW, XdsType.LDS)
    versions = [
        {name: entry.version for name, entry in table.entries.items()}
        for table in (first, second, newcomers)
    ]
    assert versions[0] != versions[1]
    assert versions[1] == versions[2]
