import json

import pytest

from rhumb.base.durations import Duration
from rhumb.model.codec import make
from rhumb.model.finding import Level
from rhumb.model.kinds.destination_rule import Distribute, LocalityLbSetting
from rhumb.model.kinds.table import BY_NAME
from rhumb.model.kinds.virtual_service import HeaderOperations, Headers, HttpRewrite, VirtualService
from rhumb.model.resource import Meta
from rhumb.validation import headers, rules
from rhumb.validation.load import Loader
from rhumb.validation.locality import check_locality
from rhumb.validation.rules import Report


def report() -> Report:
    info = BY_NAME[("networking.istio.io", "VirtualService")]
    return Report(make(info, Meta(name="a", namespace="shop"), VirtualService()))


@pytest.mark.parametrize(
    ("name", "is_right"),
    [
        ("reviews", True), ("reviews.shop", True), ("*.example.com", True), ("*", True), ("*-foo.com", True), ("*foo.com", True),
        ("istio.io.", True), ("", False), ("a..b", False), ("-a.b", False), ("foo.*.com", False), ("a_b.com", False),
        ("1.2.3.4", False), ("a." * 130, False), ("a" * 64 + ".com", False), ("**.com", False),
    ],
)  # fmt: skip
def test_domains_may_have_a_wildcard_as_first_label(name: str, is_right: bool) -> None:
    assert (rules.wildcard_domain(name) is None) == is_right


@pytest.mark.parametrize(
    ("text", "is_right"),
    [("10.0.0.0/8", True), ("10.0.0.1", True), ("::1/64", True), ("10.0.0.0/33", False), ("10.0.0.0/255.0.0.0", False), ("a/8", False), ("1/2/3", False)],
)  # fmt: skip
def test_subnets(text: str, is_right: bool) -> None:
    assert (rules.subnet(text) is None) == is_right


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1ms", None),
        ("1h", None),
        ("0s", "greater than 1ms"),
        ("-1s", "greater than 1ms"),
        ("1.0001s", "ms precision"),
    ],
)
def test_durations_are_whole_milliseconds(text: str, says: str | None) -> None:
    said = rules.duration(Duration.parse(text))
    assert said is None if says is None else says in str(said)


@pytest.mark.parametrize(
    ("export_to", "errors"),
    [
        (("*",), 0), ((".",), 0), (("a", "b"), 0), (("a", "a"), 1), ((".", "shop"), 1), (("*", "a"), 1), (("~",), 1), (("A B",), 1),
    ],
)  # fmt: skip
def test_export_to(export_to: tuple[str, ...], errors: int) -> None:
    found = report()
    rules.check_export_to(found, "shop", export_to)
    assert len(found.findings) == errors


@pytest.mark.parametrize(
    "text",
    [
        "foo",
        "%HOSTNAME%",
        "100%%",
        "a %REQ(x)% b",
        '%DYNAMIC_METADATA(["a", "b"])%',
        "%A(b:c?d)%",
        "",
    ],
)
def test_header_values_may_hold_variables(text: str) -> None:
    assert headers.value(text) is None


@pytest.mark.parametrize("text", ["abc%123", "%START_TIME%%", "%", "%A(b%", "a\nb", "%A(b) x"])
def test_header_values_with_open_variables_are_refused(text: str) -> None:
    assert headers.value(text) is not None


def test_the_authority_is_rewritten_once() -> None:
    found = report()
    operations = Headers(request=HeaderOperations(set={"Host": "a"}))
    headers.check_one_authority(found, "spec.http[0]", HttpRewrite(authority="b"), operations)
    assert [
        "authority header cannot be set multiple times" in f.message for f in found.findings
    ] == [True]


@pytest.mark.parametrize(
    ("to", "says"),
    [
        ({"a/b/c": 60, "a/b/d": 40}, ""),
        ({"a/*": 60, "b/*": 40}, ""),
        ({"a": 50, "b": 40}, "total locality weight 90 != 100"),
        ({"a": 100, "b": 0}, "must be in range [1, 100]"),
        ({"a/b": 60, "a/b/c": 40}, "overlap"),
        ({"*": 60, "a": 40}, "overlap"),
        ({"a/*/c": 100}, "must be in the end"),
        ({"a//c": 100}, "must not contain empty"),
    ],
)
def test_locality_weights_are_shares_of_different_places(to: dict[str, int], says: str) -> None:
    found = report()
    setting = LocalityLbSetting(distribute=(Distribute(from_="x", to=to),))
    check_locality(found, "spec", setting, has_outlier=True)
    assert [says in f.message for f in found.findings] == ([True] if says else [])


@pytest.mark.parametrize(
    ("tls", "warned"),
    [
        ({"cipherSuites": ["AES128-SHA"]}, ""),
        ({"cipherSuites": ["-ALL"]}, "ignoring invalid cipher suites: [-ALL]"),
        ({"cipherSuites": ["[AES128-SHA|AES256-SHA]", "ALL"]}, ""),
        ({"cipherSuites": ["[AES128-SHA|MINE]"]}, "[[AES128-SHA|MINE]]"),
        ({"ecdhCurves": ["P-256", "P-224"]}, "ignoring invalid ECDH curves: [P-224]"),
        ({"verifyCertificateSpki": ["short"]}, "is not the base64 SHA-256 of a key"),
        ({"verifyCertificateHash": ["ab" * 32]}, ""),
        ({"verifyCertificateHash": ["ab"]}, "is not the hex SHA-256 of a certificate"),
    ],
)
def test_what_tls_cannot_use_is_said(tls: dict[str, object], warned: str) -> None:
    port = {"number": 443, "name": "https", "protocol": "HTTPS"}
    server = {
        "port": port,
        "hosts": ["a.b"],
        "tls": {"mode": "SIMPLE", "credentialName": "c", **tls},
    }
    document = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "gw", "namespace": "default"},
        "spec": {"servers": [server]},
    }
    found = [f for d in Loader().load(json.dumps(document)) for f in d.findings]
    assert [f.level for f in found] == ([Level.WARNING] if warned else [])
    assert all(warned in f.message for f in found)
