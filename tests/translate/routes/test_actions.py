"""What a rule does with a request, where the golden cases say nothing."""

from rhumb.ir.route import Forward, RouteConfiguration
from rhumb.testing.world import proxy, resources, world
from rhumb.translate.proxy import resources as translated
from rhumb.xds.types import XdsType

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {clusterIP: 10.1.0.7, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: default}
spec:
  hosts: [web]
  http:
  - route:
"""


def forward(*destinations: str) -> Forward:
    """Translate a rule with these destinations."""
    text = SERVICE + "".join(f"    - {each}\n" for each in destinations)
    snapshot = world(resources(text))
    for table in translated(snapshot, snapshot.view(proxy()), XdsType.RDS):
        assert isinstance(table, RouteConfiguration)
        for host in table.virtual_hosts:
            if host.name.startswith("web."):
                action = host.routes[0].action
                assert isinstance(action, Forward)
                return action
    raise LookupError("no host")


def weighted(*weights: int) -> list[int]:
    found = forward(
        *(
            f"{{destination: {{host: web, subset: s{n}}}, weight: {w}}}"
            for n, w in enumerate(weights)
        )
    )
    return [target.weight for target in found.targets]


def test_weights_whose_sum_envoy_cannot_hold_keep_their_shares() -> None:
    most = 2**31 - 1
    assert weighted(80, 20) == [80, 20]
    assert weighted(most, most) == [most, most]
    assert weighted(most, most, most) == [most // 2] * 3
    assert weighted(most, most, most, 1)[3] == 1


def test_a_destination_without_weight_gets_nothing_beside_others() -> None:
    assert weighted(0, 5) == [1]
    assert len(forward("{destination: {host: web}, weight: 0}").targets) == 1


def test_the_authority_of_the_rule_wins_over_that_of_a_destination() -> None:
    inner = "headers: {request: {set: {host: inner.example.com}}}"
    found = forward(f"{{destination: {{host: web}}, {inner}}}")
    assert found.host_rewrite == "inner.example.com"
    both = forward(
        f"{{destination: {{host: web, subset: a}}, weight: 1, {inner}}}",
        "{destination: {host: web, subset: b}, weight: 1}",
    )
    assert [t.host_rewrite for t in both.targets] == ["inner.example.com", ""]
