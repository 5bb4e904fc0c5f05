"""The names that DNS answers, from services."""

import pytest

from rhumb.model.codec import parse
from rhumb.model.proxy import Role
from rhumb.model.resource import Changes, ResourceSet
from rhumb.snapshot.build import build, empty
from rhumb.snapshot.view import Capabilities, View
from rhumb.translate.name_table import name_table

NAMES = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: books}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: alias, namespace: books}
spec: {type: ExternalName, externalName: web.books.svc.cluster.local}
---
apiVersion: v1
kind: Service
metadata: {name: loop, namespace: books}
spec: {type: ExternalName, externalName: loop.books.svc.cluster.local}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: books}
spec: {clusterIP: None, selector: {app: db}, ports: [{name: tcp, port: 5432}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: db-0, namespace: books}
spec: {address: 172.16.0.5, labels: {app: db}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: db-1, namespace: books}
spec: {address: 172.16.0.6, labels: {app: db}}
status: {conditions: [{type: Healthy, status: "False"}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: net, namespace: books}
spec:
  hosts: [net.example.com]
  addresses: [10.9.0.0/16, 10.8.0.1]
  ports: [{number: 80, name: tcp, protocol: TCP}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: auto, namespace: books}
spec: {hosts: [auto.example.com], resolution: DNS, ports: [{number: 80, name: h, protocol: HTTP}]}
"""


def test_names_of_every_kind_of_service() -> None:
    resources, findings = parse(NAMES)
    assert not findings, [f.text() for f in findings]
    known = ResourceSet(resources)
    found = build(empty(), known, Changes(added=frozenset(known)))
    view = View(role=Role.SIDECAR, namespace="books")
    records = {r.host: r for r in name_table(found, view).records}
    auto = found.services("auto.example.com")[0].auto_address
    assert {host: r.addresses for host, r in records.items()} == {
        "web.books.svc.cluster.local": ("10.0.0.1",),
        "alias.books.svc.cluster.local": ("10.0.0.1",),
        "db.books.svc.cluster.local": ("172.16.0.5",),
        "db-0.db.books.svc.cluster.local": ("172.16.0.5",),
        "net.example.com": ("10.8.0.1",),
        "auto.example.com": (auto,),
    }
    web = records["web.books.svc.cluster.local"]
    assert (web.registry, web.short_name, web.namespace) == ("Kubernetes", "web", "books")
    assert records["auto.example.com"].short_name == ""


DUAL = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: books}
spec: {clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, "fd00::1"], ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: auto, namespace: books}
spec: {hosts: [auto.com], resolution: STATIC, ports: [{number: 80, name: h, protocol: HTTP}]}
---
apiVersion: v1
kind: Service
metadata: {name: filed, namespace: books}
spec: {ports: [{name: tcp, port: 80}]}
"""


@pytest.mark.parametrize(
    ("capabilities", "families"),
    [
        (Capabilities(), {False}),
        (Capabilities(ipv6=True), {True}),
        (Capabilities(dual_stack=True), {False, True}),
    ],
)
def test_a_workload_is_told_addresses_that_it_can_call(
    capabilities: Capabilities, families: set[bool]
) -> None:
    known = ResourceSet(parse(DUAL)[0])
    found = build(empty(), known, Changes(added=frozenset(known)))
    view = View(role=Role.SIDECAR, namespace="books", capabilities=capabilities)
    records = name_table(found, view).records
    assert len(records) == 3
    assert all({":" in a for a in r.addresses} == families for r in records)
