import pytest

from rhumb.base.durations import Duration
from rhumb.model.decode import Decoder, Problem
from rhumb.model.kinds.destination_rule import DestinationRule, Distribute, SimpleLb
from rhumb.model.kinds.extension_provider import FileAccessLog
from rhumb.model.kinds.kubernetes import Secret, Service
from rhumb.model.kinds.mesh_config import MeshConfig, MeshOutboundMode
from rhumb.model.kinds.peer_authentication import MutualTlsMode, PeerAuthentication
from rhumb.model.kinds.table import KINDS
from rhumb.model.kinds.virtual_service import HttpRetry, HttpRoute, StringMatch, VirtualService
from rhumb.model.kinds.wire import NONE, Kind


def decode(struct: type[Kind], tree: object) -> Kind:
    problems: list[Problem] = []
    value = Decoder().decode(struct, tree, "spec", problems)
    assert problems == []
    assert value is not None
    return value


def wrong(struct: type[Kind], tree: object) -> list[tuple[str, str, str]]:
    problems: list[Problem] = []
    assert Decoder().decode(struct, tree, "spec", problems) is None
    assert problems
    return [(p.field, p.message, p.fix) for p in problems]


def test_what_is_not_written_has_istios_meaning_of_unset() -> None:
    spec = decode(VirtualService, {})
    assert spec == VirtualService()
    route = HttpRoute()
    assert (route.timeout, route.match, route.name, route.headers) == (None, (), "", None)
    assert HttpRetry().retry_ignore_previous_hosts is None
    assert StringMatch().exact is None
    assert PeerAuthentication().port_level_mtls is NONE


def test_both_spellings_of_a_name_are_read_but_not_at_once() -> None:
    assert decode(HttpRetry, {"per_try_timeout": "2s"}) == decode(
        HttpRetry, {"perTryTimeout": "2s"}
    )
    ((field, message, _),) = wrong(HttpRetry, {"per_try_timeout": "2s", "perTryTimeout": "2s"})
    assert (field, message) == ("spec.perTryTimeout", "is written twice, in two spellings")


def test_protobuf_json_is_lenient_where_the_standard_says_so() -> None:
    assert decode(HttpRetry, {"attempts": "3", "retryOn": None}) == HttpRetry(attempts=3)
    assert decode(HttpRetry, {"attempts": 3.0}) == HttpRetry(attempts=3)
    rule = decode(DestinationRule, {"trafficPolicy": {"loadBalancer": {"simple": 4}}})
    assert isinstance(rule, DestinationRule)
    assert rule.traffic_policy is not None
    assert rule.traffic_policy.load_balancer is not None
    assert rule.traffic_policy.load_balancer.simple is SimpleLb.ROUND_ROBIN
    mesh = decode(MeshConfig, {"outboundTrafficPolicy": {"mode": 3}})
    assert isinstance(mesh, MeshConfig)
    assert mesh.outbound_traffic_policy is not None
    assert mesh.outbound_traffic_policy.mode is MeshOutboundMode.ALLOW_ANY_DYNAMIC_DNS
    peer = decode(PeerAuthentication, {"portLevelMtls": {"80": {"mode": "STRICT"}}})
    assert isinstance(peer, PeerAuthentication)
    assert peer.port_level_mtls[80].mode is MutualTlsMode.STRICT
    assert decode(Distribute, {"from": "a"}) == Distribute(from_="a")


def test_durations_bytes_and_free_objects_are_read() -> None:
    assert decode(HttpRetry, {"backoff": "1m0.5s"}) == HttpRetry(backoff=Duration(60_500_000_000))
    assert decode(Secret, {"data": {"a": "aGk", "b": "aGk="}}) == Secret(
        data={"a": b"hi", "b": b"hi"}
    )
    log = decode(FileAccessLog, {"logFormat": {"labels": {"a": {"b": [1, True]}}}})
    assert isinstance(log, FileAccessLog)
    assert log.log_format is not None
    assert log.log_format.labels == {"a": {"b": (1, True)}}
    service = decode(Service, {"ports": [{"targetPort": "web"}, {"targetPort": 80}]})
    assert isinstance(service, Service)
    assert [port.target_port for port in service.ports] == ["web", 80]


@pytest.mark.parametrize(
    ("tree", "field", "message", "fix"),
    [
        ({"http": [{"rout": []}]}, "spec.http[0].rout", 'unknown field "rout"', 'did you mean "route"?'),
        ({"nosuchthing": 1}, "spec.nosuchthing", 'unknown field "nosuchthing"', "there are: hosts, gateways, http, tls, tcp, exportTo"),
        ({"nosuchthing": None}, "spec.nosuchthing", 'unknown field "nosuchthing"', "there are: hosts, gateways, http, tls, tcp, exportTo"),
        ({"hosts": "a"}, "spec.hosts", 'must be a list, not "a"', 'write one "- " line for each item'),
        ({"hosts": [1]}, "spec.hosts[0]", "must be a text, not the number 1", "put the value in quotes"),
        ({"hosts": [None]}, "spec.hosts[0]", "must be a text, not null", ""),
        ({"http": {}}, "spec.http", "must be a list, not an object", 'write one "- " line for each item'),
        ({"http": [[]]}, "spec.http[0]", "must be an object, not a list", 'remove the "- "'),
        ({"http": [{"timeout": 5}]}, "spec.http[0].timeout", "must be a duration such as 5s, not the number 5", 'write "5s" for seconds'),
        ({"http": [{"retries": {"attempts": True}}]}, "spec.http[0].retries.attempts", "must be a whole number, not true", ""),
        ({"http": [{"retries": {"attempts": 2**31}}]}, "spec.http[0].retries.attempts", "2147483648 is out of range, it must be between -2147483648 and 2147483647", ""),
        ({"http": [{"match": [{"ignoreUriCase": "true"}]}]}, "spec.http[0].match[0].ignoreUriCase", 'must be true or false, not "true"', "remove the quotes"),
        ({"http": [{"match": [{"uri": {"exact": "/", "regex": "/"}}]}]}, "spec.http[0].match[0].uri", "only one of `exact` and `regex` may be set", "keep one of them"),
        ({"http": [{"redirect": {"derivePort": "FROM_REQUEST"}}]}, "spec.http[0].redirect.derivePort", 'must be one of FROM_PROTOCOL_DEFAULT, FROM_REQUEST_PORT, not "FROM_REQUEST"', 'did you mean "FROM_REQUEST_PORT"?'),
        ({"http": [{"match": [{"headers": {"a.b": {"exactly": "1"}}}]}]}, "spec.http[0].match[0].headers[a.b].exactly", 'unknown field "exactly"', 'did you mean "exact"?'),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_with_field_and_fix(
    tree: object, field: str, message: str, fix: str
) -> None:
    assert wrong(VirtualService, tree) == [(field, message, fix)]


@pytest.mark.parametrize("name", ["websocketUpgrade", "websocket_upgrade", "appendHeaders"])
def test_removed_fields_name_their_successor(name: str) -> None:
    ((_, message, fix),) = wrong(VirtualService, {"http": [{name: True}]})
    assert message == f'field "{name}" was removed from the API'
    assert fix


def test_every_problem_of_a_resource_is_told_at_once() -> None:
    found = wrong(VirtualService, {"host": ["a"], "http": [{"timeout": "x"}, {"name": 1}]})
    assert [field for field, _, _ in found] == [
        "spec.host",
        "spec.http[0].timeout",
        "spec.http[1].name",
    ]


def test_every_field_of_every_kind_can_be_read() -> None:
    decoder = Decoder()
    for info in KINDS:
        problems: list[Problem] = []
        assert decoder.decode(info.struct, {}, "spec", problems) == info.struct()
