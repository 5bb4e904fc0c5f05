import pytest

from rhumb.validation.load import Loader

RULE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a}
spec: {hosts: ["%s"], http: [{%s route: [{destination: {host: web}}]}]}
"""


@pytest.mark.parametrize(
    ("host", "more", "fix"),
    [
        ("http://web:80", "", "without scheme"),
        ("web.default:80", "", "the port has a field of its own"),
        ("web", "timeout: 0.1ms,", "1ms or more"),
        ("web", "corsPolicy: {allowMethods: [get]},", "in capitals"),
        ("web", "retries: {attempts: 1, retryOn: 5xxx},", "gateway-error"),
    ],
)
def test_what_keeps_the_known_wording_has_a_next_step(host: str, more: str, fix: str) -> None:
    (document,) = Loader().load(RULE % (host, more))
    (finding,) = document.findings
    assert fix in finding.fix
