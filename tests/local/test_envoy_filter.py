"""EnvoyFilters in a whole mesh: they work, they change while requests run, and a broken one harms nobody."""

import json
from pathlib import Path

import pytest
from tests.local.mesh import WHOLE_MESH, Load, Mesh, until

pytestmark = [*WHOLE_MESH, pytest.mark.timeout(120)]

LUA = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"


def _adds(header: str, value: str) -> str:
    """Return the configuration of a filter that adds a header to requests."""
    script = f"function envoy_on_request(h) h:headers():add('{header}', '{value}') end"
    return f'{{"@type": {LUA}, default_source_code: {{inline_string: "{script}"}}}}'


DISCOVERED = """
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: at-the-door}
spec:
  workloadSelector: {labels: {istio: ingressgateway}}
  configPatches:
  - applyTo: HTTP_FILTER
    match:
      context: GATEWAY
      listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager,
                                        subFilter: {name: envoy.filters.http.router}}}}
    patch:
      operation: INSERT_BEFORE
      value:
        name: door
        config_discovery:
          config_source: {ads: {}, initial_fetch_timeout: 0s}
          type_urls: [%s]
  - applyTo: EXTENSION_CONFIG
    patch:
      operation: ADD
      value:
        name: door
        typed_config: %s
"""
INBOUND = """
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: at-the-desk}
spec:
  configPatches:
  - applyTo: HTTP_FILTER
    match:
      context: SIDECAR_INBOUND
      listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}}
    patch:
      operation: INSERT_FIRST
      value:
        name: desk
        typed_config: %s
"""
BROKEN = """
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: broken}
spec:
  configPatches:
  - applyTo: CLUSTER
    patch: {operation: MERGE, value: {connect_timeout: -1s}}
  - applyTo: CLUSTER
    patch: {operation: MERGE, value: {no_such_field: 1}}
"""


OUTBOUND = """
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: on-the-way}
spec:
  configPatches:
  - applyTo: VIRTUAL_HOST
    match: {context: SIDECAR_OUTBOUND}
    patch:
      operation: MERGE
      value: {request_headers_to_add: [{header: {key: x-way, value: outbound}}]}
  - applyTo: CLUSTER
    match: {context: SIDECAR_OUTBOUND, cluster: {}}
    patch: {operation: MERGE, value: {per_connection_buffer_limit_bytes: 65536}}
"""


def _header(mesh: Mesh, name: str) -> str | None:
    found: str | None = mesh.get()["headers"].get(name)
    return found


def test_filters_come_change_and_go_without_a_failed_request() -> None:
    with Mesh() as mesh:
        mesh.up()
        with Load(mesh).running() as load:
            mesh.write("door.yaml", DISCOVERED % (LUA, _adds("x-door", "open")))
            until(lambda: _header(mesh, "x-door") == "open")
            mesh.write("door.yaml", DISCOVERED % (LUA, _adds("x-door", "shut")))
            until(lambda: _header(mesh, "x-door") == "shut")
            mesh.write("desk.yaml", INBOUND % _adds("x-desk", "yes"))
            until(lambda: _header(mesh, "x-desk") == "yes")
            mesh.write("broken.yaml", BROKEN)
            until(lambda: "no_such_field" in _findings(mesh))
            until(lambda: "must be greater than 0ns" in _findings(mesh))
            mesh.route(0, 100)
            until(lambda: load.names[-1] == "web-v2")
            assert _header(mesh, "x-door") == "shut"
            for name in ("door.yaml", "desk.yaml", "broken.yaml"):
                Path(mesh.home / "mesh" / name).unlink()
            until(lambda: _header(mesh, "x-door") is None and _header(mesh, "x-desk") is None)
        assert load.failures == []


def test_routes_and_clusters_of_callers_are_patched_and_restored_under_load() -> None:
    def way() -> str | None:
        found: str | None = mesh.get("/call/web:8000/")["headers"].get("x-way")
        return found

    with Mesh() as mesh:
        mesh.up()
        with Load(mesh).running() as load:
            assert way() is None
            mesh.write("way.yaml", OUTBOUND)
            until(lambda: way() == "outbound")
            Path(mesh.home / "mesh" / "way.yaml").unlink()
            until(lambda: way() is None)
        assert load.failures == []


def _findings(mesh: Mesh) -> str:
    return mesh.command("status").stdout


START = """
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: {name: two-threads}
spec:
  selector: {matchLabels: {app: client}}
  concurrency: 2
  environmentVariables: {ISTIO_META_TEAM: red, COLOUR: blue}
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: flush}
spec:
  configPatches:
  - applyTo: BOOTSTRAP
    match: {proxy: {}}
    patch: {operation: MERGE, value: {stats_flush_interval: 1.5s}}
"""


def test_proxies_start_as_the_mesh_says() -> None:
    with Mesh() as mesh:
        mesh.write("start.yaml", START)
        mesh.up()
        assert mesh.get("/call/web:8000/")["name"].startswith("web-")
        pids = {name: mesh.outside(found["envoy"] or 0) for name, found in mesh.pids().items()}
        lines = {
            name: Path(f"/proc/{pid}/cmdline").read_text().split("\0") for name, pid in pids.items()
        }
        threads = {name: line[line.index("--concurrency") + 1] for name, line in lines.items()}
        assert threads["client-v1"] == "2"
        assert threads["web-v1"] == "1"
        assert "COLOUR=blue" in Path(f"/proc/{pids['client-v1']}/environ").read_text()
        found = json.loads(Path(f"/proc/{pids['client-v1']}/cwd/envoy.json").read_text())
        assert found["stats_flush_interval"] == "1.500s"
        assert found["node"]["metadata"]["TEAM"] == "red"


BAD_START = """
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: bad-start}
spec:
  configPatches:
  - applyTo: BOOTSTRAP
    patch:
      operation: MERGE
      value: {static_resources: {clusters: [{name: prometheus_stats, connect_timeout: 1s}]}}
"""


def test_a_bootstrap_that_envoy_refuses_is_left_out() -> None:
    with Mesh() as mesh:
        mesh.write("start.yaml", BAD_START)
        mesh.up()
        assert mesh.get()["name"] == "web-v1"
        assert "Envoy would not start with it" in mesh.logs()


BAD_SCRIPT = """
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: bad-script}
spec:
  configPatches:
  - applyTo: HTTP_FILTER
    match: {context: SIDECAR_INBOUND}
    patch:
      operation: INSERT_FIRST
      value:
        name: script
        typed_config: {"@type": %s, default_source_code: {inline_string: "function without an end"}}
"""


def test_a_proxy_that_starts_with_a_patch_that_envoy_refuses_works_without_it() -> None:
    with Mesh() as mesh:
        mesh.write("script.yaml", BAD_SCRIPT % LUA)
        mesh.up()
        assert mesh.get()["name"] == "web-v1"
        assert "bad-script" in _findings(mesh)
