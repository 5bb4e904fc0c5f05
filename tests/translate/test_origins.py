from rhumb.ir.origin import Origin
from rhumb.model.proxy import Proxy, Role
from rhumb.testing.world import proxy, resources, world
from rhumb.translate.origins import Origins, origins

FILES = """\
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec: {clusterIP: 10.1.0.1, selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: default}
spec: {clusterIP: 10.1.0.2, selector: {app: db}, ports: [{name: tcp, port: 3306}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: reviews-1, namespace: default}
spec: {address: 10.2.0.1, labels: {app: reviews, version: v1}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: default}
spec:
  host: reviews
  subsets:
  - name: v1
    labels: {version: v1}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: default}
spec:
  hosts: [reviews, x.example.com]
  gateways: [mesh, web]
  http:
  - match: [{uri: {prefix: /a}}]
    redirect: {uri: /b}
  - route: [{destination: {host: reviews, subset: v1}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: web, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: [x.example.com]
"""
SERVICE = Origin("Service", "default", "reviews", "", "input-0.yaml", 1)
DATABASE = Origin("Service", "default", "db", "", "input-0.yaml", 6)
RULE = Origin("DestinationRule", "default", "reviews", "spec.subsets[0]", "input-0.yaml", 22)
FIRST = Origin("VirtualService", "default", "reviews", "spec.http[0]", "input-0.yaml", 32)
SECOND = Origin("VirtualService", "default", "reviews", "spec.http[1]", "input-0.yaml", 34)
HOST = "reviews.default.svc.cluster.local"
VHDS = {"RHUMB_VHDS": "true"}
CLIENT = proxy(metadata=VHDS)


def found(who: Proxy = CLIENT) -> Origins:
    snapshot = world(resources(FILES))
    return origins(snapshot, snapshot.view(who))


def test_routes_cite_their_rule_and_those_without_one_their_service() -> None:
    table = found().routes["9080"]
    assert table[f"{HOST}:9080"] == ((FIRST,), (SECOND,))
    assert table["allow_any"] == ((),)


def test_clusters_cite_the_service_and_what_shaped_it() -> None:
    clusters = found().clusters
    assert clusters[f"outbound|9080||{HOST}"][0] == SERVICE
    assert clusters[f"outbound|9080|v1|{HOST}"] == (SERVICE, RULE)
    assert clusters["PassthroughCluster"] == ()


def test_endpoints_cite_the_workload() -> None:
    (cited,) = found().endpoints[f"outbound|9080|v1|{HOST}"]["10.2.0.1:9080"]
    assert (cited.kind, cited.name, cited.line) == ("WorkloadEntry", "reviews-1", 11)


def test_chains_cite_what_their_traffic_is_for() -> None:
    listeners = found().listeners
    assert listeners["10.1.0.2_3306"] == ((DATABASE,),)
    assert FIRST in listeners["0.0.0.0_9080"][0]
    assert listeners["virtualOutbound"][-1] == ()
    inbound = found(proxy(address="10.2.0.1", labels={"app": "reviews"}, metadata=VHDS))
    assert (SERVICE,) in inbound.listeners["virtualInbound"]
    assert inbound.routes["inbound|9080||"]["inbound|http|9080"] == ((SERVICE,),)


def test_a_gateway_cites_its_servers() -> None:
    made = found(proxy(role=Role.ROUTER, labels={"istio": "ingressgateway"}, metadata=VHDS))
    ((server,),) = made.listeners["0.0.0.0_80"]
    assert (server.kind, server.field, server.line) == ("Gateway", "spec.servers[0]", 42)
    (routes,) = made.routes["http.80"].values()
    assert routes == ((FIRST,), (SECOND,))


PATCHES = """\
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: patched, namespace: default}
spec:
  configPatches:
  - applyTo: CLUSTER
    match: {context: SIDECAR_OUTBOUND, cluster: {service: db.default.svc.cluster.local}}
    patch: {operation: MERGE, value: {alt_stat_name: x}}
  - applyTo: LISTENER
    match: {context: SIDECAR_OUTBOUND, listener: {portNumber: 3306}}
    patch: {operation: MERGE, value: {stat_prefix: y}}
  - applyTo: CLUSTER
    match: {context: SIDECAR_OUTBOUND}
    patch: {operation: ADD, value: {name: added}}
"""


def test_patches_are_cited_after_what_they_shape() -> None:
    snapshot = world(resources(FILES, PATCHES))
    made = origins(snapshot, snapshot.view(proxy()))
    patch = Origin("EnvoyFilter", "default", "patched", "spec.configPatches[0]", "input-1.yaml", 6)
    assert made.clusters["outbound|3306||db.default.svc.cluster.local"] == (DATABASE, patch)
    ((first, second),) = made.listeners["10.1.0.2_3306"]
    assert (first, second.field) == (DATABASE, "spec.configPatches[1]")
    (added,) = made.clusters["added"]
    assert added.field == "spec.configPatches[2]"
