"""Calls through whole configurations, and what they must meet, from an outside corpus where it is present."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.corpora.xds_walk import Call, Met, walk

from rhumb.encode.listeners import listener
from rhumb.encode.routes import route_configuration
from rhumb.ir.listener import Listener
from rhumb.ir.route import RouteConfiguration
from rhumb.model.codec import Reader
from rhumb.model.proxy import Proxy
from rhumb.model.resource import Resource
from rhumb.snapshot.build import World
from rhumb.snapshot.view import View
from rhumb.testing.world import mesh_config, world
from rhumb.translate.proxy import resources
from rhumb.xds.types import XdsType

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
    found: list[Resource] = []
    reader = Reader()
    for name in case["configs"]:
        for document in reader.read((CORPUS / name).read_text(), name):
            if document.resource is None and document.key is None:
                raise NotRunError("a kind that is not read yet")
            if document.resource is not None:
                found.append(document.resource)
    if case.get("mesh_config"):
        mode = case["mesh_config"].get("outboundTrafficPolicy", {}).get("mode")
        if mode == "ALLOW_ANY_DYNAMIC_DNS":
            raise NotRunError("outboundTrafficPolicy ALLOW_ANY_DYNAMIC_DNS")
        found += mesh_config(json.dumps(case["mesh_config"]))
    snapshot = world(found)
    view = snapshot.view(_proxy(case["proxy"]))
    if "expect_route_config" in case:
        return _wrong_routes(case["expect_route_config"], snapshot, view)
    found_listeners = resources(snapshot, view, XdsType.LDS)
    listeners = [listener(v) for v in found_listeners if isinstance(v, Listener)]
    found_routes = resources(snapshot, view, XdsType.RDS)
    routes = [route_configuration(v) for v in found_routes if isinstance(v, RouteConfiguration)]
    met = walk(_call(case["call"]), listeners, {r.name: r for r in routes})
    return _differs(met, case["expect"])


def _wrong_routes(expected: dict[str, Any], snapshot: World, view: View) -> str:
    name = expected["name"]
    tables = resources(snapshot, view, XdsType.RDS, frozenset({name}))
    if not tables or not isinstance(tables[0], RouteConfiguration):
        return f"no route configuration {name}"
    table = route_configuration(tables[0])
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


def _proxy(said: dict[str, Any]) -> Proxy:
    address = said["ip_addresses"][0]
    namespace = said["config_namespace"]
    metadata = {"NAMESPACE": namespace, "LABELS": said.get("labels", {}), **said["metadata"]}
    name = said["id"].split(".")[0]
    node_id = f"{said['type']}~{address}~{name}.{namespace}~{said['dns_domain']}"
    metadata["INSTANCE_IPS"] = ",".join(said["ip_addresses"])
    return Proxy.parse(node_id, metadata)


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
