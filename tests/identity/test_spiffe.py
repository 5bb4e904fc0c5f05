import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhumb.base.errors import RhumbError
from rhumb.identity.spiffe import SpiffeId

label = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,10}[a-z0-9])?", fullmatch=True)
domain = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)


@given(domain, label, label)
def test_what_is_written_is_read(trust_domain: str, namespace: str, account: str) -> None:
    identity = SpiffeId.of(trust_domain, namespace, account)
    assert SpiffeId.parse(str(identity)) == identity


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "spiffe://cluster.local",
        "spiffe:///ns/a/sa/b",
        "spiffe://cluster.local/ns/a/sa/b/",
        "spiffe://cluster.local/ns/a/sa/b/c",
        "spiffe://cluster.local/ns//sa/b",
        "spiffe://cluster.local/sa/a/ns/b",
        "spiffe://Cluster.local/ns/a/sa/b",
        "spiffe://cluster.local/ns/a%2Fb/sa/b",
        "spiffe://cluster.local/ns/a/sa/..",
        "spiffe://cluster.local/ns/a/sa/b?x",
        "spiffe://cluster.local/ns/a/sa/b\n",
        "spiffe://user@cluster.local/ns/a/sa/b",
        "spiffe://cluster.local:1/ns/a/sa/b",
        "https://cluster.local/ns/a/sa/b",
        " spiffe://cluster.local/ns/a/sa/b",
    ],
)
def test_anything_else_is_refused(uri: str) -> None:
    with pytest.raises(RhumbError):
        SpiffeId.parse(uri)
