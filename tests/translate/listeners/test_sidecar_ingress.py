"""Ingress listeners of a Sidecar whose fields leave something open."""

import pytest

from rhumb.ir.cluster import Cluster
from rhumb.ir.listener import Listener
from rhumb.snapshot.snapshot import Snapshot
from rhumb.testing.world import proxy, resources, world
from rhumb.translate.proxy import resources as translated
from rhumb.xds.types import XdsType

SIDECAR = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: without}
spec: {mtls: {mode: DISABLE}}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: a}
spec:
  ingress:
  - port: {number: 9080, name: tls, protocol: TLS}
    defaultEndpoint: "%s"
    tls: %s
"""


def snapshot(endpoint: str, tls: str) -> Snapshot:
    return world(resources(SIDECAR % (endpoint, tls)))


def inbound(endpoint: str) -> Cluster:
    seen = snapshot(endpoint, "{mode: PASSTHROUGH}")
    found = translated(seen, seen.view(proxy()), XdsType.CDS)
    (made,) = (c for c in found if isinstance(c, Cluster) and c.name == "inbound|9080||")
    return made


@pytest.mark.parametrize("endpoint", [":9080", "[::]:9080"])
def test_an_endpoint_without_an_address_is_the_address_that_was_meant(endpoint: str) -> None:
    assert inbound(endpoint) == inbound("0.0.0.0:9080")


@pytest.mark.parametrize(
    ("tls", "terminated"),
    [
        ("{mode: SIMPLE, serverCertificate: /a, privateKey: /b}", True),
        ("{mode: PASSTHROUGH}", False),
        ("{serverCertificate: /a}", False),
    ],
)
def test_only_a_mode_that_terminates_needs_certificates(tls: str, *, terminated: bool) -> None:
    seen = snapshot("0.0.0.0:9080", tls)
    found = translated(seen, seen.view(proxy()), XdsType.LDS)
    chains = [
        chain
        for listener in found
        if isinstance(listener, Listener)
        for chain in listener.chains
        if chain.match.port == 9080
    ]
    assert chains
    assert any(chain.tls is not None for chain in chains) == terminated
