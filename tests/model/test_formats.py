"""Variables of header values, against the real Envoy."""

import json

import pytest

from rhumb.encode.clusters import cluster
from rhumb.encode.listeners import listener
from rhumb.encode.routes import route_configuration
from rhumb.ir.cluster import Cluster
from rhumb.ir.listener import Listener
from rhumb.ir.route import RouteConfiguration
from rhumb.model.formats import EITHER, PLAIN, WITH_ARGUMENT, refused_variable
from rhumb.testing import envoy
from rhumb.testing.world import proxy, resources, world
from rhumb.translate.proxy import resources as translated
from rhumb.xds.types import XdsType

_ARGUMENTS = {
    "CEL": "request.path",
    "COALESCE": '{"operators": ["PROTOCOL"]}',
    "COMMON_DURATION": "DS_RX_BEG:DS_TX_END",
    "GRPC_STATUS": "NUMBER",
    "PATH": "NQ",
    "QUERY_PARAMS": "ORIG",
    "REQUESTED_SERVER_NAME": "SNI_FIRST",
}
_SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {clusterIP: 10.1.0.7, ports: [{name: http, port: 80}]}
"""


def routed(values: list[str]) -> tuple[list[Listener], list[RouteConfiguration], list[Cluster]]:
    """Translate a VirtualService that sets headers to these values."""
    wanted = {f"x-{at}": value for at, value in enumerate(values)}
    rule = {
        "headers": {"request": {"set": wanted}},
        "route": [{"destination": {"host": "web"}}],
    }
    document = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"hosts": ["web"], "http": [rule]},
    }
    snapshot = world(resources(_SERVICE, json.dumps(document)))
    view = snapshot.view(proxy())
    return (
        [v for v in translated(snapshot, view, XdsType.LDS) if isinstance(v, Listener)],
        [v for v in translated(snapshot, view, XdsType.RDS) if isinstance(v, RouteConfiguration)],
        [v for v in translated(snapshot, view, XdsType.CDS) if isinstance(v, Cluster)],
    )


@pytest.mark.envoy
def test_envoy_takes_every_variable_that_is_known() -> None:
    values = [f"%{name}%" for name in sorted(PLAIN | EITHER)]
    values += [f"%{name}({_ARGUMENTS.get(name, 'a')})%" for name in sorted(WITH_ARGUMENT | EITHER)]
    assert [refused_variable(value) for value in values] == [None] * len(values)
    listeners, routes, clusters = routed(values)
    sent = sum(len(r.headers.request) for c in routes for v in c.virtual_hosts for r in v.routes)
    assert sent >= len(values)
    spelled = {r.name: r for r in map(route_configuration, routes)}
    found = envoy.validate(map(listener, listeners), spelled, map(cluster, clusters))
    assert found == ""


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ("plain", None),
        ("100%%", None),
        ("%PROTOCOL% %REQ(x-a?:path):10% %START_TIME(%Y/%m/%d)%", None),
        ('%UPSTREAM_METADATA(["a", "b"])%', None),
        ("%NOBODY%", "Envoy knows no variable %NOBODY%"),
        ("%protocol%", "Envoy knows no variable %protocol%"),
        ("%PROTOCOL(x)%", "%PROTOCOL% takes no argument"),
        ("a%REQ%b", "%REQ% needs an argument: %REQ(...)%"),
        ("%PROTOCOL%%NOBODY(x)%", "Envoy knows no variable %NOBODY%"),
    ],
)
def test_what_envoy_would_refuse_is_known_before(value: str, wrong: str | None) -> None:
    said = refused_variable(value)
    assert (said is None) if wrong is None else (said is not None and said.startswith(wrong))


def test_a_header_that_envoy_would_refuse_costs_only_itself() -> None:
    _, routes, _ = routed(["%NOBODY%", "fine"])
    names = [
        h.name for c in routes for v in c.virtual_hosts for r in v.routes for h in r.headers.request
    ]
    assert "x-1" in names
    assert "x-0" not in names
