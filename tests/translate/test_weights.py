"""Weights of endpoints that Envoy could not add up."""

import pytest

from rhumb.encode.endpoints import load_assignment
from rhumb.ir.endpoint import LoadAssignment
from rhumb.testing.world import proxy, resources, world
from rhumb.translate.proxy import resources as translated
from rhumb.xds.types import XdsType

LIMIT = 2**32 - 1
ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a}
spec:
  hosts: [a.example.com]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints:
  - {address: 10.0.0.1, weight: %d, locality: east}
  - {address: 10.0.0.2, weight: %d, locality: west}
  - {address: 10.0.0.3, weight: 1, locality: west}
"""


@pytest.mark.parametrize(
    ("first", "second", "share"),
    [(3, 1, 3), (LIMIT, LIMIT, 1), (LIMIT, LIMIT // 2, 2)],
    ids=["small", "equal", "double"],
)
def test_the_sum_fits_and_proportions_stay(first: int, second: int, share: int) -> None:
    snapshot = world(resources(ENTRY % (first, second)))
    (found,) = translated(snapshot, snapshot.view(proxy()), XdsType.EDS)
    assert isinstance(found, LoadAssignment)
    weights = {e.address: e.weight for g in found.groups for e in g.endpoints}
    assert sum(weights.values()) <= LIMIT
    assert weights["10.0.0.1"] / weights["10.0.0.2"] == pytest.approx(share, rel=1e-6)
    assert weights["10.0.0.3"] == 1
    assert load_assignment(found).cluster_name == found.name
