"""Tables that are made from the ones before are what a newcomer gets."""

from rhumb.model.proxy import Role
from rhumb.snapshot.view import View
from rhumb.testing.ads import views_of
from rhumb.testing.world import following, resources, service, world
from rhumb.xds.types import XdsType

ONE, TWO = service("one", "10.0.0.1", namespace="a"), service("two", "10.0.0.2", namespace="b")
NARROW = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: a}
spec:
  egress:
  - {port: {number: 80, protocol: HTTP, name: http}, hosts: [a/one.a.svc.cluster.local]}
  - {hosts: ["b/*"]}
"""
ALIAS = """
apiVersion: v1
kind: Service
metadata: {name: alias, namespace: b}
spec: {type: ExternalName, externalName: one.a.svc.cluster.local, ports: [{name: http, port: 81}]}
"""
VIEW = View(role=Role.SIDECAR, namespace="a")


def test_another_name_that_one_listener_sees_is_a_domain_in_the_others_too() -> None:
    before = world(resources(ONE, TWO, NARROW))
    views = views_of(before)
    first = views.table(VIEW, XdsType.RDS)
    after = following(before, resources(ALIAS))
    views.following(after, {VIEW}, after.impact)
    second = views.table(VIEW, XdsType.RDS)
    assert second.entries["80"].version != first.entries["80"].version
    newcomers = views_of(after).table(VIEW, XdsType.RDS)
    assert second.entries["80"].version == newcomers.entries["80"].version
