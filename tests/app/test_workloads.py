import pytest

from rhumb.app.workloads import proxy_of
from rhumb.base.errors import RhumbError
from rhumb.model.proxy import Interception, Role
from rhumb.model.resource import ResourceSet
from rhumb.testing.world import resources, world

FILES = """\
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {selector: {app: reviews}, ports: [{port: 9080, name: http}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: reviews-1, namespace: shop}
spec: {address: 10.2.0.1, labels: {app: reviews, version: v1}, serviceAccount: rev}
---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: machines, namespace: shop}
spec:
  metadata: {labels: {app: machine}}
  template: {serviceAccount: vm}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: web, namespace: shop}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: v1
kind: Service
metadata: {name: edge, namespace: shop}
spec: {selector: {istio: ingressgateway, app: edge}, ports: [{port: 80, name: http}]}
"""


def known() -> ResourceSet:
    return world(resources(FILES)).resources


def test_an_entry_tells_all_of_its_workload() -> None:
    found = proxy_of(known(), "reviews-1.shop")
    assert (found.role, found.name, found.namespace) == (Role.SIDECAR, "reviews-1", "shop")
    assert found.addresses == ("10.2.0.1",)
    assert dict(found.labels)["version"] == "v1"
    assert found.service_account == "rev"
    assert found.interception is Interception.REDIRECT


def test_a_service_and_a_group_tell_the_labels_of_their_workloads() -> None:
    assert dict(proxy_of(known(), "reviews.shop").labels)["app"] == "reviews"
    group = proxy_of(known(), "machines.shop")
    assert dict(group.labels)["app"] == "machine"
    assert group.service_account == "vm"


@pytest.mark.parametrize("name", ["edge.shop", "istio-ingressgateway.any", "ingressgateway.any"])
def test_what_a_gateway_selects_is_a_router(name: str) -> None:
    found = proxy_of(known(), name)
    assert found.role is Role.ROUTER
    assert ("istio", "ingressgateway") in found.labels
    assert found.namespace == name.split(".")[1]


def test_a_name_that_nobody_has_gets_the_closest() -> None:
    with pytest.raises(RhumbError, match=r"no workload review-1\.shop") as caught:
        proxy_of(known(), "review-1.shop")
    assert "reviews-1.shop" in caught.value.hint
    with pytest.raises(RhumbError) as caught:
        proxy_of(ResourceSet(), "a")
    assert "--node" in caught.value.hint


PODS = """\
apiVersion: v1
kind: Pod
metadata:
  name: web-5d8f7-x2x
  generateName: web-5d8f7-
  namespace: shop
  labels: {app: web, pod-template-hash: 5d8f7}
  ownerReferences: [{kind: ReplicaSet, name: web-5d8f7, controller: true}]
spec: {serviceAccountName: seller}
status: {podIP: 172.16.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: pending, namespace: shop, labels: {app: late}}
status: {phase: Pending}
"""


@pytest.mark.parametrize("name", ["web-5d8f7-x2x.shop", "web.shop"])
def test_a_pod_is_known_by_its_name_and_by_its_deployments(name: str) -> None:
    found = proxy_of(world(resources(PODS)).resources, name)
    assert found.id == "sidecar~172.16.0.1~web-5d8f7-x2x.shop~shop.svc.cluster.local"
    assert found.service_account == "seller"
    assert found.workload == "web"
    assert ("app", "web") in found.labels


def test_a_pod_without_address_has_no_proxy_yet() -> None:
    with pytest.raises(RhumbError, match=r"no workload pending\.shop"):
        proxy_of(world(resources(PODS)).resources, "pending.shop")
