"""ProxyConfigs: with what the proxy of a workload starts."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from rhumb.model.endpoint import Labels
from rhumb.model.kinds.mesh_config import MeshConfig
from rhumb.model.kinds.proxy_config import ProxyConfig
from rhumb.model.kinds.proxy_config_resource import ProxyConfigResource
from rhumb.model.resource import Resource
from rhumb.registry.workloads import pairs, selects


class ProxySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force for one proxy."""

    concurrency: int | None = None
    """None: nobody says anything."""
    environment: Labels = ()
    """Sorted by name."""
    default: ProxyConfig = ProxyConfig()
    """What the mesh says of all proxies."""


class ProxyConfigs:
    """Those that select the workload over the namespace's over the root namespace's over the mesh's default."""

    def __init__(self, resources: Iterable[Resource], root: str, config: MeshConfig) -> None:
        self._root = root
        self._default = config.default_config or ProxyConfig()
        self._by_namespace: dict[str, list[ProxyConfigResource]] = {}
        for resource in sorted(resources, key=lambda r: r.age_key):
            assert isinstance(resource.spec, ProxyConfigResource)
            self._by_namespace.setdefault(resource.meta.namespace, []).append(resource.spec)

    def of(self, namespace: str, labels: Labels) -> ProxySettings:
        """Return what is in force for the proxy of a workload; of one level the oldest counts."""
        concurrency = self._default.concurrency
        environment = dict(self._default.proxy_metadata)
        for spec in self._levels(namespace, dict(labels)):
            if spec.concurrency is not None:
                concurrency = spec.concurrency
            environment |= spec.environment_variables
        return ProxySettings(
            concurrency=concurrency,
            environment=tuple(sorted(environment.items())),
            default=self._default,
        )

    def _levels(self, namespace: str, labels: Mapping[str, str]) -> Iterator[ProxyConfigResource]:
        """Yield what counts, the most specific last."""
        for home in dict.fromkeys((self._root, namespace)):
            wide = [s for s in self._by_namespace.get(home, ()) if s.selector is None]
            yield from wide[:1]
        chosen = [s for s in self._by_namespace.get(namespace, ()) if _chooses(s, labels)]
        yield from chosen[:1]


def _chooses(spec: ProxyConfigResource, labels: Mapping[str, str]) -> bool:
    if spec.selector is None or not spec.selector.match_labels:
        return False
    return selects(pairs(spec.selector.match_labels), labels)
