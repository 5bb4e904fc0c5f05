"""The rules of Envoy's API: what breaks one here is refused by the real Envoy, and the other way round."""

from typing import Any

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from google.protobuf.json_format import ParseError

from rhumb.protos.rules import violations
from rhumb.protos.types import UnknownTypeError, message_class, parse
from rhumb.testing import envoy

Json = dict[str, Any]
GOOD: Json = {"name": "a", "type": "STATIC", "connect_timeout": "1s"}
TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"


def socket(**context: object) -> Json:
    """Return a cluster with TLS."""
    config = {"@type": TLS, **context}
    return {"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": config}}


def said(value: Json) -> list[str]:
    """Return what breaks a rule."""
    return list(violations(parse(value, Cluster)))


@pytest.mark.envoy
@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, ""),
        (socket(sni="a.example.com"), ""),
        ({"lb_policy": "RING_HASH", "ring_hash_lb_config": {"minimum_ring_size": 9}}, ""),
        ({"name": ""}, "name: must have at least 1 characters"),
        ({"connect_timeout": "-1s"}, "connect_timeout: must be greater than 0ns"),
        ({"lb_policy": 77}, "lb_policy: 77 is no value of LbPolicy"),
        (socket(sni="a" * 300), "transport_socket.typed_config.sni: must have at most 255 bytes"),
        (
            {
                "health_checks": [
                    {
                        "timeout": "1s",
                        "interval": "1s",
                        "healthy_threshold": 1,
                        "tcp_health_check": {},
                    }
                ]
            },
            "health_checks[0].unhealthy_threshold: is required",
        ),
        (
            {"lb_policy": "RING_HASH", "ring_hash_lb_config": {"maximum_ring_size": 2**40}},
            "ring_hash_lb_config.maximum_ring_size: must be at most 8388608",
        ),
    ],
)
def test_envoy_agrees(more: Json, expected: str) -> None:
    value = {**GOOD, **more}
    assert said(value) == ([expected] if expected else [])
    refusal = envoy.validate((), {}, (parse(value, Cluster),))
    assert bool(refusal) is bool(expected), refusal


def test_some_fields_alone_may_be_looked_at() -> None:
    wrong = parse({**GOOD, "connect_timeout": "-1s"}, Cluster)
    assert list(violations(wrong, fields={"name"})) == []
    assert list(violations(wrong, fields={"connect_timeout"}))


def test_of_a_oneof_that_is_required_a_member_must_be_there() -> None:
    made = message_class("envoy.config.route.v3.RouteMatch")
    assert next(violations(parse({}, made))).startswith("RouteMatch: one of prefix, path,")
    assert list(violations(parse({"prefix": "/"}, made))) == []


@pytest.mark.parametrize(
    "name",
    [
        "os.path",
        "envoy.no.such.v3.Thing",
        "envoy.api.v2.Cluster",
        "nonsense",
        "",
        "google.protobuf",
    ],
)
def test_names_that_are_no_messages_of_the_api_load_nothing(name: str) -> None:
    with pytest.raises(UnknownTypeError):
        message_class(name)


@pytest.mark.parametrize(
    "value",
    [
        {"name": 5},
        {"nme": "a"},
        {"name": {"a": 1}},
        {"connect_timeout": "soon"},
        {"transport_socket": {"typed_config": {"@type": None}}},
        {"lb_policy": []},
    ],
)
def test_what_is_no_message_is_an_error_and_nothing_else(value: Json) -> None:
    with pytest.raises(ParseError):
        parse(value, Cluster)


def test_unknown_fields_are_passed_over_where_asked() -> None:
    found = parse({"name": "a", "nme": "b"}, Cluster, lenient=True)
    assert isinstance(found, Cluster)
    assert found.name == "a"
