"""Names of clusters in statistics."""

import pytest

from rhumb.model.service import Port, Protocol, Registry, Service
from rhumb.translate.stat_names import stat_name

PORT = Port(80, "web", Protocol.HTTP)
SHOP = Service(
    hostname="shop.default.svc.cluster.local", namespace="default", name="shop", ports=(PORT,)
)
OUTSIDE = Service(
    hostname="a.example.com", namespace="default", name="a", ports=(PORT,), registry=Registry.EXTERNAL
)  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "service", "expected"),
    [
        ("", SHOP, ""),
        ("%SERVICE%", None, ""),
        ("%SERVICE%_%SERVICE_NAME%_%SERVICE_FQDN%", SHOP, "shop.default_shop_shop.default.svc.cluster.local"),
        ("%SERVICE%_%SERVICE_NAME%", OUTSIDE, "a.example.com_a.example.com"),
        ("%SERVICE_PORT%_%SERVICE_PORT_NAME%_%TARGET_PORT%_%SUBSET_NAME%", SHOP, "80_web_8080_v1"),
        ("fixed", SHOP, "fixed"),
    ],
)  # fmt: skip
def test_variables_are_replaced(pattern: str, service: Service | None, expected: str) -> None:
    assert stat_name(pattern, service, PORT, subset="v1", target=8080) == expected
