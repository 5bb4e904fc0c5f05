import pytest

from rhumb.encode.filters.http_filters import http_filter
from rhumb.encode.order import ORDER, ordered
from rhumb.ir.listener import HttpFilterKind


def test_every_filter_has_its_place_and_its_spelling() -> None:
    assert set(ORDER) == set(HttpFilterKind)
    for kind in HttpFilterKind:
        assert http_filter(kind).HasField("typed_config")


def test_the_router_is_last_whatever_the_input_order() -> None:
    assert ordered(reversed(ORDER)) == list(ORDER)
    assert ordered([HttpFilterKind.ROUTER, HttpFilterKind.FAULT])[-1] is HttpFilterKind.ROUTER


def test_an_unlisted_filter_is_refused() -> None:
    with pytest.raises(KeyError):
        ordered(["envoy.filters.http.unknown"])  # type: ignore[list-item]  # the wrong type is the test
