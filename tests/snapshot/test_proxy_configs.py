"""With what the proxy of a workload starts: who says it last."""

from rhumb.ads.agent_types import encode
from rhumb.ir.bundle import Startup
from rhumb.model.proxy import Role
from rhumb.protos.startup_pb2 import Startup as Told
from rhumb.snapshot.proxy_configs import ProxySettings
from rhumb.testing.world import mesh_config, proxy, resources, world
from rhumb.translate.proxy import resources as translated
from rhumb.xds.types import XdsType

DEFAULT = """
defaultConfig: {concurrency: 1, proxyMetadata: {FROM: mesh, ISTIO_META_MESH: "yes"}}
"""


def config(name: str, namespace: str, spec: str, created: str = "2020") -> str:
    return f"""
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: {{name: {name}, namespace: {namespace}, creationTimestamp: "{created}-01-01T00:00:00Z"}}
spec: {{{spec}}}
"""


ROOT = config("root", "istio-system", "concurrency: 2, environmentVariables: {FROM: root}")
HOME = config("home", "default", "environmentVariables: {FROM: home, HOME_SAID: x}")
CHOSEN = config(
    "chosen", "default", "selector: {matchLabels: {app: web}}, concurrency: 0, environmentVariables: {FROM: chosen}"
)  # fmt: skip


def settings(*texts: str, namespace: str = "default", app: str = "web") -> ProxySettings:
    found = world((*resources(*texts), *mesh_config(DEFAULT)))
    return found.proxy_settings(found.view(proxy(namespace=namespace, labels={"app": app})))


def test_the_most_specific_says_it_last_field_by_field() -> None:
    found = settings(ROOT, HOME, CHOSEN)
    assert found.concurrency == 0
    assert dict(found.environment) == {"FROM": "chosen", "HOME_SAID": "x", "ISTIO_META_MESH": "yes"}


def test_without_a_selector_that_fits_the_namespace_counts() -> None:
    found = settings(ROOT, HOME, CHOSEN, app="other")
    assert found.concurrency == 2
    assert dict(found.environment)["FROM"] == "home"


def test_other_namespaces_have_the_root_namespaces() -> None:
    assert dict(settings(ROOT, HOME, CHOSEN, namespace="other").environment)["FROM"] == "root"
    assert settings().concurrency == 1


def test_of_one_level_the_oldest_counts() -> None:
    late = config("a", "default", "concurrency: 7", "2021")
    early = config("b", "default", "concurrency: 8", "2020")
    assert settings(late, early).concurrency == 8


def test_an_agent_is_told_of_the_meshs_defaults_too() -> None:
    said = """
defaultConfig:
  runtimeValues: {a: "1"}
  proxyStatsMatcher: {inclusionPrefixes: [p], inclusionSuffixes: [s], inclusionRegexps: [r]}
  terminationDrainDuration: 7s
"""
    found = world(mesh_config(said))
    view = found.view(proxy(role=Role.AGENT))
    (startup,) = translated(found, view, XdsType.STARTUP)
    assert isinstance(startup, Startup)
    told = Told.FromString(encode(startup)[2])
    assert (dict(told.runtime), told.drain_seconds) == ({"a": "1"}, 7.0)
    assert (*told.stats_prefixes, *told.stats_suffixes, *told.stats_expressions) == ("p", "s", "r")
    assert not told.HasField("concurrency")
