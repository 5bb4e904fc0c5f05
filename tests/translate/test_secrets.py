"""Who is given which credential."""

import pytest

from rhumb.testing.world import proxy, resources, world
from rhumb.translate.secrets import secret

SECRET = """
apiVersion: v1
kind: Secret
metadata: {name: web, namespace: edge}
data: {tls.crt: Y2VydA==, tls.key: a2V5, ca.crt: Y2E=}
"""


@pytest.mark.parametrize(
    ("namespace", "name", "given"),
    [
        ("edge", "kubernetes://web", True),
        ("edge", "kubernetes://edge/web", True),
        ("edge", "kubernetes://web-cacert", True),
        ("books", "kubernetes://web", False),
        ("books", "kubernetes://edge/web", False),
        ("books", "kubernetes://edge/web-cacert", False),
        ("edge", "web", False),
    ],
)
def test_proxies_are_given_the_secrets_of_their_own_namespace(
    namespace: str, name: str, given: bool
) -> None:
    known = world(resources(SECRET))
    found = secret(known, known.view(proxy(namespace=namespace)), name)
    assert (found is not None) is given


def test_the_ca_alone_carries_no_key() -> None:
    known = world(resources(SECRET))
    found = secret(known, known.view(proxy(namespace="edge")), "kubernetes://web-cacert")
    assert found is not None
    assert (found.ca, found.certificate, found.private_key) == (b"ca", b"", b"")
