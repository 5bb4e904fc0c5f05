"""Entries of Kubernetes' own kinds."""

from rhumb.model.compatibility.entry import SUPPORTED, Message, Table, message, warned
from rhumb.model.kinds.endpoint_slice import (
    Endpoint,
    EndpointAddress,
    EndpointConditions,
    EndpointPort,
    Endpoints,
    EndpointSlice,
    EndpointSubset,
)
from rhumb.model.kinds.kubernetes import (
    ConfigMap,
    Namespace,
    ObjectReference,
    Secret,
    Service,
    ServiceAccount,
    ServicePort,
)
from rhumb.model.kinds.pod import Container, ContainerPort, Node, Pod


def _of_kubernetes(*names: str) -> Message:
    """Make entries of fields that speak to Kubernetes: the mesh rightly makes nothing of them."""
    return dict.fromkeys(names, SUPPORTED)


TABLE: Table = {
    Service: message(
        "ports selector type clusterIP clusterIPs externalName sessionAffinity "
        "internalTrafficPolicy trafficDistribution publishNotReadyAddresses",
        externalIPs=warned("has no effect: the mesh calls the service by its cluster addresses"),
        sessionAffinityConfig=warned(
            "has no effect: affinity by client address lasts as long as the endpoints do"
        ),
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
    Pod: message(
        "containers initContainers nodeName serviceAccountName hostNetwork hostname subdomain"
    ),
    Container: message("name ports restartPolicy"),
    ContainerPort: message("name containerPort protocol"),
    Node: {},
    EndpointSlice: message("addressType endpoints ports"),
    Endpoint: message("addresses conditions hostname nodeName targetRef"),
    EndpointConditions: message("ready serving terminating"),
    EndpointPort: message("name port protocol") | _of_kubernetes("appProtocol"),
    Endpoints: message("subsets"),
    EndpointSubset: message("addresses notReadyAddresses ports"),
    EndpointAddress: message("ip hostname nodeName targetRef"),
    Namespace: _of_kubernetes("finalizers"),
    ServiceAccount: message("secrets")
    | _of_kubernetes("imagePullSecrets", "automountServiceAccountToken"),
    ObjectReference: message("kind name namespace uid")
    | _of_kubernetes("apiVersion", "resourceVersion", "fieldPath"),
    Secret: message("type data stringData") | _of_kubernetes("immutable"),
    ConfigMap: message("data binaryData") | _of_kubernetes("immutable"),
}
