"""Requests as they are read: what is read the short way says what it would have said the long way."""

from envoy.config.core.v3 import base_pb2 as core
from envoy.service.discovery.v3 import discovery_pb2 as discovery
from hypothesis import given
from hypothesis import strategies as st

from rhumb.ads import requests
from rhumb.model.proxy import UserAgent
from rhumb.xds.events import DeltaRequest
from rhumb.xds.types import XdsType

KINDS = st.sampled_from(tuple(XdsType))
NONCES = st.text(max_size=200)


def read(data: bytes) -> DeltaRequest | None:
    """Read a request, by whichever way it takes."""
    found = requests.delta(data)
    if found is None or isinstance(found, DeltaRequest):
        return found
    parsed = requests.parse(XdsType(found.type_url), found, 1000, 1000)
    assert isinstance(parsed, DeltaRequest)
    return parsed


@given(KINDS, NONCES, st.lists(st.text(max_size=3), max_size=2), st.none() | st.text(max_size=5))
def test_every_request_says_what_was_sent(
    kind: XdsType, nonce: str, names: list[str], error: str | None
) -> None:
    sent = discovery.DeltaDiscoveryRequest(
        type_url=kind.value, response_nonce=nonce, resource_names_subscribe=names
    )
    if error is not None:
        sent.error_detail.message = error
    data = sent.SerializeToString()
    assert read(data) == DeltaRequest(type=kind, nonce=nonce, error=error, subscribe=tuple(names))
    is_ack = 0 < len(nonce.encode()) < 128 and nonce.isascii() and not names and error is None
    assert isinstance(requests.delta(data), DeltaRequest) == is_ack


@given(KINDS, st.text("0123456789", min_size=1, max_size=20), st.data())
def test_what_looks_like_an_ack_and_is_more_or_less_is_read_the_long_way(
    kind: XdsType, nonce: str, data: st.DataObject
) -> None:
    ack = discovery.DeltaDiscoveryRequest(
        type_url=kind.value, response_nonce=nonce
    ).SerializeToString()
    at = data.draw(st.integers(0, len(ack)))
    spoilt = ack[:at] + data.draw(st.binary(max_size=3)) + ack[at + data.draw(st.integers(0, 3)) :]
    found = requests.delta(spoilt)
    if isinstance(found, DeltaRequest):
        long = discovery.DeltaDiscoveryRequest.FromString(spoilt)
        assert (long.type_url, long.response_nonce) == (found.type.value, found.nonce)
        same = discovery.DeltaDiscoveryRequest(
            type_url=found.type.value, response_nonce=found.nonce
        )
        assert long == same


def test_what_is_no_request_is_told() -> None:
    assert requests.delta(b"\xff" * 9) is None
    assert requests.delta(b"\x12") is None
    assert requests.delta(b"") == discovery.DeltaDiscoveryRequest()
    ack = discovery.DeltaDiscoveryRequest(type_url=XdsType.CDS.value, response_nonce="1")
    begin = ack.SerializeToString()[:-2]
    assert requests.delta(begin) is None
    assert requests.delta(begin + b"\x80" + b"\x01" * 0x80) is None


def test_a_node_says_which_program_it_is() -> None:
    node = core.Node(id="sidecar~10.0.0.9~x.books~books.svc.cluster.local")
    assert requests.parse_node(node).user_agent == UserAgent()
    node.user_agent_name = "envoy"
    assert requests.parse_node(node).user_agent == UserAgent("envoy")
    version = node.user_agent_build_version.version
    version.major_number, version.minor_number = 1, 40
    assert requests.parse_node(node).user_agent == UserAgent("envoy", (1, 40))
