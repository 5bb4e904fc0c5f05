"""A WorkloadGroup, a WorkloadEntry written by hand, and the workloads that speak for themselves by them."""

from rhumb.model.kinds.table import NETWORKING
from rhumb.model.proxy import Proxy, Role
from rhumb.model.resource import Key
from rhumb.testing import world

GROUP = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: vms}
spec:
  metadata: {labels: {app: ratings, from: group}}
  template: {serviceAccount: ratings, network: net1, labels: {from: template, kept: "yes"}, ports: {http: 8080}}
"""
ENTRY = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: reviews-1}
spec: {address: 10.0.0.2, labels: {app: reviews}, serviceAccount: reviews}
"""
VM = Key(NETWORKING, "WorkloadEntry", "default", "vms-10-0-0-9")
REVIEWS = Key(NETWORKING, "WorkloadEntry", "default", "reviews-1")


def machine(role: Role = Role.SIDECAR, *, account: str = "ratings", **metadata: str) -> Proxy:
    said = {"AUTO_REGISTER_GROUP": "vms", "SERVICE_ACCOUNT": account, **metadata}
    return world.proxy(role=role, metadata=said, labels={"version": "v1"})


def reviews(account: str = "reviews", *, name: str = REVIEWS.name) -> Proxy:
    said = {"WORKLOAD_ENTRY": name, "SERVICE_ACCOUNT": account}
    return world.proxy(address="10.0.0.2", name="reviews-1", role=Role.AGENT, metadata=said)
