"""Entries of Kubernetes' own kinds."""

from rhumb.model.compatibility.entry import SUPPORTED, Message, Table, message, warned
from rhumb.model.kinds.kubernetes import (
    ConfigMap,
    Namespace,
    ObjectReference,
    Secret,
    Service,
    ServiceAccount,
    ServicePort,
)


def _of_kubernetes(*names: str) -> Message:
    """Make entries of fields that speak to Kubernetes: the mesh rightly makes nothing of them."""
    return dict.fromkeys(names, SUPPORTED)


TABLE: Table = {
    Service: message(
        "ports selector type clusterIP clusterIPs externalName sessionAffinity "
        "internalTrafficPolicy trafficDistribution",
        externalIPs=warned("has no effect: the mesh calls the service by its cluster addresses"),
        sessionAffinityConfig=warned(
            "has no effect: affinity by client address lasts as long as the endpoints"
        ),
        publishNotReadyAddresses=warned("has no effect: addresses come from WorkloadEntries"),
    )
    | _of_kubernetes(
        "externalTrafficPolicy",
        "ipFamilies",
        "ipFamilyPolicy",
        "loadBalancerIP",
        "loadBalancerClass",
        "loadBalancerSourceRanges",
        "allocateLoadBalancerNodePorts",
        "healthCheckNodePort",
    ),
    ServicePort: message("name port protocol appProtocol targetPort") | _of_kubernetes("nodePort"),
    Namespace: _of_kubernetes("finalizers"),
    ServiceAccount: message("secrets")
    | _of_kubernetes("imagePullSecrets", "automountServiceAccountToken"),
    ObjectReference: message("kind name namespace uid")
    | _of_kubernetes("apiVersion", "resourceVersion", "fieldPath"),
    Secret: message("type data stringData") | _of_kubernetes("immutable"),
    ConfigMap: message("data binaryData") | _of_kubernetes("immutable"),
}
