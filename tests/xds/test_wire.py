"""Responses that are put together from bytes are what protobuf itself would have made."""

from envoy.service.discovery.v3 import discovery_pb2 as discovery
from google.protobuf.any_pb2 import Any
from hypothesis import given
from hypothesis import strategies as st

from rhumb.xds import wire

TEXT = st.text(max_size=300)
RESOURCES = st.lists(st.tuples(TEXT, TEXT, st.binary(max_size=400)), max_size=4)


@given(TEXT, RESOURCES, st.lists(TEXT, max_size=3), TEXT)
def test_delta(
    url: str, resources: list[tuple[str, str, bytes]], removed: list[str], nonce: str
) -> None:
    spelled = [wire.delta_resource(n, v, wire.any_value(url, value)) for n, v, value in resources]
    body = wire.delta_body(url, spelled, removed) + wire.delta_nonce(nonce)
    expected = discovery.DeltaDiscoveryResponse(
        type_url=url,
        nonce=nonce,
        removed_resources=removed,
        resources=[
            discovery.Resource(name=n, version=v, resource=Any(type_url=url, value=value))
            for n, v, value in resources
        ],
    )
    assert discovery.DeltaDiscoveryResponse.FromString(body) == expected


@given(TEXT, TEXT, st.lists(st.binary(max_size=400), max_size=4), TEXT)
def test_sotw(url: str, version: str, values: list[bytes], nonce: str) -> None:
    body = wire.sotw_body(url, version, [wire.any_value(url, v) for v in values])
    expected = discovery.DiscoveryResponse(
        type_url=url,
        version_info=version,
        nonce=nonce,
        resources=[Any(type_url=url, value=value) for value in values],
    )
    assert discovery.DiscoveryResponse.FromString(body + wire.sotw_nonce(nonce)) == expected


@given(st.integers(min_value=1, max_value=2**29 - 1), st.binary(max_size=20000))
def test_a_field_has_the_length_it_says(number: int, data: bytes) -> None:
    assert wire.field(number, data).endswith(data)
