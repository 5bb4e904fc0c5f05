"""ServiceEntry, WorkloadEntry and WorkloadGroup: what is accepted, warned of and refused, and in which words."""

import pytest
import yaml

from rhumb.model.finding import Level
from rhumb.validation.load import Loader

HTTP = {"number": 80, "name": "http", "protocol": "HTTP"}
TLS = {"number": 443, "name": "tls", "protocol": "TLS"}
TCP = {"number": 90, "name": "tcp", "protocol": "TCP"}
IP = "172.1.2.16"


def said(kind: str, spec: object, **meta: object) -> tuple[list[str], list[str]]:
    """Return errors and warnings of an object."""
    text = yaml.safe_dump(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": kind,
            "metadata": {"name": "x", **meta},
            "spec": spec,
        }
    )
    (document,) = Loader().load(text)
    found = document.findings
    return (
        [f.message for f in found if f.level is Level.ERROR],
        [f.message for f in found if f.level is Level.WARNING],
    )


def entry(**spec: object) -> dict[str, object]:
    return {"hosts": ["google.com"], "ports": [HTTP], "resolution": "STATIC", **spec}


VALID: dict[str, dict[str, object]] = {
    "static": entry(endpoints=[{"address": IP}]),
    "static, nobody yet": entry(),
    "ports of the endpoint": entry(endpoints=[{"address": IP, "ports": {"http": 8080}}]),
    "weights and localities": entry(
        endpoints=[{"address": IP, "weight": 2, "locality": "a/b/c", "network": "lan"}]
    ),
    "CIDR": entry(addresses=["10.0.0.0/8"], resolution="NONE"),
    "CIDR, static": entry(addresses=["10.0.0.0/8"]),
    "IPv6": entry(addresses=["2001:db8::1", "2001:db8::/64"]),
    "a wildcard with endpoints": entry(
        hosts=["*.google.com"], resolution="DNS", endpoints=[{"address": "lon.google.com"}]
    ),
    "an address among names": entry(resolution="DNS", endpoints=[{"address": IP}]),
    "several hosts by name": entry(hosts=["a.com", "b.com"], ports=[HTTP, TLS]),
    "several hosts anywhere": entry(
        hosts=["a.com", "b.com"], ports=[TCP], resolution="NONE", addresses=[IP]
    ),
    "one by one": entry(resolution="DNS_ROUND_ROBIN", endpoints=[{"address": "a.google.com"}]),
    "dynamic": entry(hosts=["*.google.com"], resolution="DYNAMIC_DNS"),
    "socket": entry(endpoints=[{"address": "unix:///lon/google/com"}]),
    "abstract socket": entry(endpoints=[{"address": "unix://@abstract"}]),
    "selector": entry(workloadSelector={"labels": {"foo": "bar"}}),
    "selector, DNS": entry(resolution="DNS", workloadSelector={"labels": {"foo": "bar"}}),
    "target port": entry(ports=[{**HTTP, "targetPort": 81}]),
    "exported": entry(exportTo=["."]),
    "to no one": entry(exportTo=["~"]),
}


@pytest.mark.parametrize("spec", VALID.values(), ids=VALID)
def test_what_is_accepted(spec: dict[str, object]) -> None:
    assert said("ServiceEntry", spec) == ([], [])


WARNED: dict[str, tuple[dict[str, object], str]] = {
    "part of a label": (entry(hosts=["*bar.com"]), 'partial wildcard "*bar.com" not allowed'),
    "TCP without an address": (
        entry(ports=[TCP], resolution="NONE"),
        "addresses are required for ports serving TCP (or unset) protocol",
    ),
    "unset protocol without an address": (
        entry(ports=[{"number": 1, "name": "x"}], resolution="NONE"),
        "addresses are required for ports serving TCP (or unset) protocol",
    ),
    "selector of nothing": (
        entry(workloadSelector={}),
        "workload selector specified without labels, will be applied to all services in namespace",
    ),
    "selector without resolution": (
        entry(resolution="NONE", workloadSelector={"labels": {"a": "b"}}),
        "workloadSelector should not be set when resolution mode is NONE",
    ),
    "several hosts of one address": (
        entry(hosts=["a.com", "b.com"], ports=[TLS], resolution="DNS", addresses=[IP]),
        "service entry can not have more than one host specified simultaneously with address and tcp port",
    ),
}


@pytest.mark.parametrize(("spec", "words"), WARNED.values(), ids=WARNED)
def test_what_is_accepted_with_a_warning(spec: dict[str, object], words: str) -> None:
    errors, warnings = said("ServiceEntry", spec)
    assert errors == []
    assert any(words in warning for warning in warnings)


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "no host": (entry(hosts=[]), "service entry must have at least one host"),
    "every host": (entry(hosts=["*"]), "invalid host *"),
    "a bad host": (entry(hosts=["-"]), 'domain name "-" invalid'),
    "a bad address": (entry(addresses=["1.2.3"]), "1.2.3 is not a valid IP"),
    "a bad range": (entry(addresses=["1.2.3.4/99"]), "is not a valid CIDR block"),
    "a range of names": (
        entry(addresses=["10.0.0.0/8"], resolution="DNS"),
        "CIDR addresses are allowed only for NONE/STATIC resolution types",
    ),
    "a name of no port": (
        entry(endpoints=[{"address": IP, "ports": {"other": 1}}]),
        "endpoint port 1 is not defined by the service entry",
    ),
    "a bad port of an endpoint": (
        entry(endpoints=[{"address": IP, "ports": {"http": 0}}]),
        "port must be between 1-65535",
    ),
    "one name of two ports": (
        entry(ports=[HTTP, {**TLS, "name": "http"}]),
        'service entry port name "http" already defined',
    ),
    "one number of two ports": (
        entry(ports=[HTTP, {**TLS, "number": 80}]),
        "service entry port 80 already defined",
    ),
    "a bad number": (entry(ports=[{**HTTP, "number": 65536}]), "port must be between 1-65535"),
    "no number": (entry(ports=[{"name": "http"}]), "port must be between 1-65535"),
    "no name": (entry(ports=[{"number": 1}]), "invalid port name"),
    "a bad target": (entry(ports=[{**HTTP, "targetPort": 65536}]), "port must be between 1-65535"),
    "a bad protocol": (entry(ports=[{**HTTP, "protocol": "SPDY"}]), "unsupported protocol: SPDY"),
    "endpoints of NONE": (
        entry(resolution="NONE", endpoints=[{"address": IP}]),
        "no endpoints should be provided for resolution type none",
    ),
    "names of STATIC": (
        entry(endpoints=[{"address": "lon.google.com"}]),
        'endpoint address "lon.google.com" is not a valid IP address',
    ),
    "no address": (entry(endpoints=[{}]), "address is required"),
    "a wildcard to resolve": (
        entry(hosts=["*.google.com"], resolution="DNS"),
        "hosts must be FQDN or contain only prefix wildcards if no endpoints are provided",
    ),
    "a wildcard as endpoint": (
        entry(resolution="DNS", endpoints=[{"address": "*.google.com"}]),
        "is not a valid FQDN or an IP address",
    ),
    "two by one": (
        entry(resolution="DNS_ROUND_ROBIN", endpoints=[{"address": "a.com"}, {"address": "b.com"}]),
        "there must only be 0 or 1 endpoint for resolution mode DNS_ROUND_ROBIN",
    ),
    "a relative socket": (
        entry(endpoints=[{"address": "unix://lon/google/com"}]),
        "UDS must be an absolute path or abstract socket",
    ),
    "a directory": (entry(endpoints=[{"address": "unix:///lon/"}]), "UDS may not be a dir"),
    "ports of a socket": (
        entry(endpoints=[{"address": "unix:///lon", "ports": {"http": 80}}]),
        "UDS may not include ports",
    ),
    "a socket of two ports": (
        entry(ports=[HTTP, TLS], endpoints=[{"address": "unix:///lon"}]),
        "exactly 1 service port required for unix endpoints",
    ),
    "several hosts of one stream": (
        entry(hosts=["a.com", "b.com"], ports=[TCP], addresses=[IP]),
        "multiple hosts provided with non-HTTP, non-TLS ports",
    ),
    "selector and endpoints": (
        entry(workloadSelector={"labels": {"a": "b"}}, endpoints=[{"address": IP}]),
        "only one of WorkloadSelector or Endpoints is allowed in Service Entry",
    ),
    "a wildcard in a selector": (
        entry(workloadSelector={"labels": {"a": "*"}}),
        "wildcard is not supported in selector",
    ),
    "an empty key": (entry(workloadSelector={"labels": {"": "b"}}), "key must not be empty"),
    "bad labels": (entry(endpoints=[{"address": IP, "labels": {"a": "-"}}]), "invalid tag value"),
    "dynamic without wildcard": (
        entry(resolution="DYNAMIC_DNS"),
        "host must be wildcarded for resolution mode DYNAMIC_DNS",
    ),
    "dynamic with addresses": (
        entry(hosts=["*.a.com"], resolution="DYNAMIC_DNS", addresses=[IP]),
        "addresses cannot be set for resolution type DYNAMIC_DNS",
    ),
    "dynamic with endpoints": (
        entry(hosts=["*.a.com"], resolution="DYNAMIC_DNS", endpoints=[{"address": IP}]),
        "endpoints cannot be set for resolution type DYNAMIC_DNS",
    ),
    "dynamic streams": (
        entry(hosts=["*.a.com"], resolution="DYNAMIC_DNS", ports=[TCP]),
        "only HTTP, TLS, GRPC, and HTTP2 protocols are supported",
    ),
    "to all and to one": (entry(exportTo=["*", "a"]), "cannot have both public (*) and non-public"),
    "twice to one": (entry(exportTo=["a", "a"]), "duplicate entries in exportTo"),
}


@pytest.mark.parametrize(("spec", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(spec: dict[str, object], words: str) -> None:
    errors, _ = said("ServiceEntry", spec)
    assert any(words in error for error in errors), errors


@pytest.mark.parametrize(
    ("spec", "errors", "warnings"),
    [
        ({"address": IP}, "", ""),
        ({"address": "vm.example.com"}, "", ""),
        ({"address": "2001:db8::1", "ports": {"http": 80}}, "", ""),
        ({"address": "unix:///a/b"}, "", ""),
        ({"network": "lan"}, "", 'address is unset with network "lan"'),
        ({}, "Address is required", ""),
        ({"address": "a b"}, "is not a valid FQDN or an IP address", ""),
        ({"address": "*.example.com"}, "is not a valid FQDN or an IP address", ""),
        ({"address": "unix://"}, "UDS must be an absolute path or abstract socket", ""),
        ({"address": "unix:///a", "ports": {"x": 1}}, "UDS may not include ports", ""),
        ({"address": IP, "ports": {"-": 1}}, "port name must be valid", ""),
        ({"address": IP, "ports": {"x" * 63: 1}}, "port name must be valid", ""),
        ({"address": IP, "ports": {"x" * 62: 1}}, "", ""),
        ({"address": IP, "ports": {"x": 70000}}, "port must be between 1-65535", ""),
        ({"address": IP, "labels": {"*": "x"}}, "invalid tag key", ""),
        ({"address": IP, "serviceAccount": "x" * 254}, "may not be longer than 253", ""),
        ({"address": IP, "ports": {f"p{n}": 1 for n in range(129)}}, "at most 128 items", ""),
    ],
)
def test_workload_entries(spec: dict[str, object], errors: str, warnings: str) -> None:
    found = said("WorkloadEntry", spec)
    for words, messages in zip((errors, warnings), found, strict=True):
        assert any(words in m for m in messages) if words else messages == []


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"template": {}}, ""),
        ({"template": {"serviceAccount": "a", "ports": {"http": 1}}}, ""),
        ({"template": {}, "probe": {"httpGet": {"port": 1, "path": "/x"}}}, ""),
        ({"template": {}, "probe": {"tcpSocket": {"port": 1}}}, ""),
        ({"template": {}, "probe": {"exec": {"command": ["true"]}}}, ""),
        ({"template": {}, "probe": {"grpc": {"port": 1}}}, ""),
        ({}, "template is required"),
        ({"template": {}, "metadata": {"labels": {".": "~"}}}, "invalid tag"),
        (
            {"template": {}, "metadata": {"annotations": {f"a{n}": "" for n in range(257)}}},
            "at most 256 items",
        ),
        ({"template": {}, "probe": {}}, "unknown health check method"),
        (
            {"template": {}, "probe": {"httpGet": {"port": 1}, "exec": {"command": ["a"]}}},
            "only one of",
        ),
        ({"template": {}, "probe": {"httpGet": {}}}, "port must be between 1-65535"),
        (
            {"template": {}, "probe": {"httpGet": {"port": 1, "scheme": "SPDY"}}},
            'httpGet.scheme must be one of "HTTPS", "HTTP"',
        ),
        (
            {
                "template": {},
                "probe": {"httpGet": {"port": 1, "httpHeaders": [{"name": "a b"}]}},
            },
            "header name",
        ),
        ({"template": {}, "probe": {"tcpSocket": {}}}, "port must be between 1-65535"),
        ({"template": {}, "probe": {"exec": {}}}, "exec.command is required"),
        (
            {"template": {}, "probe": {"tcpSocket": {"port": 1}, "periodSeconds": -1}},
            "periodSeconds must be non-negative",
        ),
        ({"template": {"ports": {"http": 0}}}, "port must be between 1-65535"),
    ],
)
def test_workload_groups(spec: dict[str, object], words: str) -> None:
    errors, _ = said("WorkloadGroup", spec)
    assert any(words in e for e in errors) if words else errors == []
