"""What a proxy says of its own configuration counts, where it shapes what the proxy is sent."""

import pytest

from rhumb.ir.listener import HttpConnectionManager
from rhumb.model.proxy import Role
from rhumb.snapshot import own_config
from rhumb.testing.world import mesh_config, proxy, resources, world
from rhumb.translate.gateway_servers import merge
from rhumb.translate.listeners.gateway import listeners
from rhumb.translate.perspective import Perspective

GATEWAY = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: default}
spec:
  selector: {app: front}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
"""
MESH = "defaultConfig: {gatewayTopology: {numTrustedProxies: 1}}"


def hops(**metadata: object) -> int:
    """Return how many proxies in front a gateway trusts."""
    found = world((*resources(GATEWAY), *mesh_config(MESH)))
    view = found.view(proxy(role=Role.ROUTER, labels={"app": "front"}, metadata=metadata))
    seen = Perspective(found, view)
    (made,) = listeners(seen, merge(seen))
    assert isinstance(made.chains[0].filter, HttpConnectionManager)
    return made.chains[0].filter.trusted_hops


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (None, 1),
        ({"gatewayTopology": {"numTrustedProxies": 2.0}}, 2),
        ('{"gatewayTopology": {"numTrustedProxies": 3}}', 3),
        ({"concurrency": 2.0}, 0),
        ("{nonsense", 1),
        ({"gatewayTopology": {"noSuchField": 1}}, 1),
        (["a", "list"], 1),
    ],
)
def test_the_proxys_own_word_counts_else_the_meshs(said: object, expected: int) -> None:
    assert hops(**({"PROXY_CONFIG": said} if said is not None else {})) == expected


def test_views_know_only_what_shapes_what_is_sent() -> None:
    one = own_config.shaping({"PROXY_CONFIG": {"concurrency": 1, "gatewayTopology": {}}})
    other = own_config.shaping({"PROXY_CONFIG": {"statusPort": 9, "gatewayTopology": {}}})
    assert one == other == '{"gatewayTopology": {}}'
    assert own_config.shaping({}) == ""
