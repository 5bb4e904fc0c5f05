"""Calls through whole configurations, and what they must meet, from an outside corpus where it is present."""

import json
from pathlib import Path
from typing import Any

import pytest
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from google.protobuf.json_format import ParseDict
from tests.corpora.xds_walk import Call, Met, walk

from rhumb.app.loading import load
from rhumb.app.offline import configuration, node
from rhumb.model.finding import Level

CORPUS = Path(__file__).parents[3] / "shared" / "corpora" / "xds_simulation"
PROTOCOL_ALPN = {"http": "http/1.1", "http2": "h2", "tcp": "istio"}

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not beside the checkout")


class NotRunError(Exception):
    """The case needs what is not there yet."""


def _cases() -> list[dict[str, Any]]:
    if not CORPUS.is_dir():
        return []
    found: list[dict[str, Any]] = json.loads((CORPUS / "cases.json").read_text())["cases"]
    return found


def test_calls_meet_what_istio_says(capsys: pytest.CaptureFixture[str]) -> None:
    results: dict[str, list[str]] = {"passed": [], "failed": [], "not run": []}
    for case in _cases():
        try:
            wrong = _wrong(case)
        except NotRunError as reason:
            results["not run"].append(f"{case['id']}: {reason}")
            continue
        results["failed" if wrong else "passed"].append(f"{case['id']}: {wrong}")
    with capsys.disabled():
        print()
        for title, ids in results.items():
            print(f"xds_simulation {title}: {len(ids)}")
            for each in ids if title != "passed" else ():
                print(f"  {each}")
    assert len(results["passed"]) >= 0.9 * (len(results["passed"]) + len(results["failed"]))


def _wrong(case: dict[str, Any]) -> str:
    """Return what differs from the expectation, empty when nothing does."""
    said = case.get("mesh_config")
    mesh = ("mesh.yaml", json.dumps(said).encode()) if said else None
    loaded = load(
        [(name, (CORPUS / name).read_bytes()) for name in case["configs"]], mesh_config=mesh
    )
    for finding in loaded.findings:
        if finding.level is Level.ERROR and finding.location.file == "mesh.yaml":
            raise NotRunError(finding.text())
    if any("HTTPRoute" in finding.message for finding in loaded.findings):
        raise NotRunError("a kind that is not read yet")
    found = configuration(loaded.world, node(json.dumps(_node(case["proxy"])).encode()))
    assert not [f.text() for f in found.findings if f.level is Level.ERROR]
    routes = {
        str(each["name"]): ParseDict(each, RouteConfiguration())
        for each in found.sections["routes"]
    }
    if "expect_route_config" in case:
        return _wrong_routes(case["expect_route_config"], routes)
    listeners = [ParseDict(each, Listener()) for each in found.sections["listeners"]]
    met = walk(_call(case["call"]), listeners, routes)
    return _differs(met, case["expect"])


def _wrong_routes(expected: dict[str, Any], routes: dict[str, RouteConfiguration]) -> str:
    table = routes.get(expected["name"])
    if table is None:
        return f"no route configuration {expected['name']}"
    for domain, clusters in expected["virtual_host_domain_to_clusters"].items():
        hosts = [v for v in table.virtual_hosts if domain in v.domains]
        got = sorted(r.route.cluster for v in hosts for r in v.routes) or None
        if got != (sorted(clusters) if clusters else None):
            return f"{domain}: {got}, not {clusters}"
    return ""


def _differs(met: Met, expected: dict[str, Any]) -> str:
    if met.error != expected.get("error"):
        return f"error {met.error!r}, not {expected.get('error')!r} ({met})"
    for name in ("listener", "filter_chain", "route_config", "virtual_host", "route", "cluster"):
        if name in expected and _spelling(getattr(met, name), expected[name]) != expected[name]:
            return f"{name} {getattr(met, name)!r}, not {expected[name]!r}"
    return ""


def _spelling(got: str, expected: str) -> str:
    """Drop the DNS domain where the corpus has none: some of its configurations were made without."""
    return got if ".svc." in expected else got.removesuffix(".svc.cluster.local")


def _node(said: dict[str, Any]) -> dict[str, Any]:
    """Return the Node that such a proxy sends."""
    address = said["ip_addresses"][0]
    namespace = said["config_namespace"]
    metadata = {"NAMESPACE": namespace, "LABELS": said.get("labels", {}), **said["metadata"]}
    name = said["id"].split(".")[0]
    metadata["INSTANCE_IPS"] = ",".join(said["ip_addresses"])
    return {
        "id": f"{said['type']}~{address}~{name}.{namespace}~{said['dns_domain']}",
        "metadata": metadata,
    }


def _call(said: dict[str, Any]) -> Call:
    headers = said.get("headers") or {}
    host = (headers.get("Host") or [""])[0]
    return Call(
        address=said["address"],
        port=said["port"],
        protocol=said.get("protocol", ""),
        tls=said["tls"],
        alpn=said["alpn"],
        sni=said["sni"] or (host if said["tls"] == "tls" else ""),
        host=host,
        path=said["path"],
        inbound=said["call_mode"] == "inbound",
        secret=said.get("mtls_secret_config_name") or "default",
    )
