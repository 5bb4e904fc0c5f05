"""EnvoyFilters: which patches are for a proxy, and in what order."""

import re
from collections.abc import Iterable, Iterator, Mapping

from rhumb.model.endpoint import Labels
from rhumb.model.kinds.envoy_filter import (
    ApplyTo,
    ConfigPatch,
    EnvoyFilter,
    PatchContext,
    ProxyMatch,
)
from rhumb.model.proxy import Proxy, Role
from rhumb.model.resource import Resource
from rhumb.registry.workloads import pairs, selects
from rhumb.snapshot.view import PatchRef, View

LONGEST_VERSION = 1024
"""Characters of a pattern for versions; a longer one matches nothing, as in Istio."""

_GATEWAY_GROUP = "gateway.networking.k8s.io"
_GATEWAY_LABEL = "gateway.networking.k8s.io/gateway-name"
_ROUTES = (ApplyTo.ROUTE_CONFIGURATION, ApplyTo.VIRTUAL_HOST, ApplyTo.HTTP_ROUTE)
_OF_ROLE = {
    Role.SIDECAR: (
        PatchContext.ANY,
        PatchContext.SIDECAR_INBOUND,
        PatchContext.SIDECAR_OUTBOUND,
    ),
    Role.ROUTER: (PatchContext.ANY, PatchContext.GATEWAY),
}


class EnvoyFilters:
    """The EnvoyFilters of the mesh, in the order in which they apply: lower priority, root namespace, age."""

    def __init__(self, resources: Iterable[Resource], root: str) -> None:
        self._root = root
        self._by_namespace: dict[str, list[Resource]] = {}
        for resource in sorted(resources, key=self._order):
            self._by_namespace.setdefault(resource.meta.namespace, []).append(resource)
        self._versions: dict[str, re.Pattern[str] | None] = {}

    def _order(self, resource: Resource) -> tuple[object, ...]:
        meta = resource.meta
        created = (not meta.created, meta.created)
        name = f"{meta.name}.{meta.namespace}"
        return _spec(resource).priority, meta.namespace != self._root, *created, name

    def of(self, view: View, proxy: Proxy) -> tuple[PatchRef, ...]:
        """Return the patches whose conditions on the proxy itself hold, in order."""
        found: list[Resource] = []
        for namespace in dict.fromkeys((self._root, view.namespace)):
            found += self._by_namespace.get(namespace, ())
        contexts = _OF_ROLE.get(_proxied(view, proxy), ())
        return tuple(
            PatchRef(
                namespace=resource.meta.namespace,
                name=resource.meta.name,
                index=at,
                is_inbound=_context(patch) is PatchContext.SIDECAR_INBOUND,
                is_of_routes=patch.apply_to in _ROUTES,
            )
            for resource in sorted(found, key=self._order)
            if _is_selected(_spec(resource), resource, view)
            for at, patch in enumerate(_spec(resource).config_patches)
            if _context(patch) in contexts and self._is_for(patch, proxy)
        )

    def _is_for(self, patch: ConfigPatch, proxy: Proxy) -> bool:
        wanted = patch.match.proxy if patch.match is not None else None
        if wanted is None:
            return True
        return self._fits_version(wanted, proxy.version) and all(
            str(proxy.metadata.get(name, "")) == value for name, value in wanted.metadata.items()
        )

    def _fits_version(self, wanted: ProxyMatch, version: str) -> bool:
        text = wanted.proxy_version
        if not text:
            return True
        if text not in self._versions:
            self._versions[text] = _pattern(text)
        pattern = self._versions[text]
        return bool(version) and pattern is not None and pattern.search(version) is not None


def _proxied(view: View, proxy: Proxy) -> Role:
    """Return the role of the proxy; an agent says which it is beside."""
    if view.role is Role.AGENT and proxy.metadata.get("RHUMB_ROLE") == Role.ROUTER.value:
        return Role.ROUTER
    return Role.SIDECAR if view.role is Role.AGENT else view.role


def _pattern(text: str) -> re.Pattern[str] | None:
    try:
        return re.compile(text) if len(text) <= LONGEST_VERSION else None
    except re.error:
        return None


def _context(patch: ConfigPatch) -> PatchContext:
    return patch.match.context if patch.match is not None else PatchContext.ANY


def _is_selected(spec: EnvoyFilter, resource: Resource, view: View) -> bool:
    """Tell whether the workload is selected: by labels, or as the Gateway that a reference names."""
    labels = dict(view.labels)
    if spec.target_refs:
        return resource.meta.namespace == view.namespace and any(_targets(spec, labels))
    selector: Labels = pairs(spec.workload_selector.labels) if spec.workload_selector else ()
    return selects(selector, labels) if selector else True


def _targets(spec: EnvoyFilter, labels: Mapping[str, str]) -> Iterator[bool]:
    name = labels.get(_GATEWAY_LABEL)
    for ref in spec.target_refs:
        yield ref.kind == "Gateway" and ref.group == _GATEWAY_GROUP and ref.name == name


def _spec(resource: Resource) -> EnvoyFilter:
    assert isinstance(resource.spec, EnvoyFilter)
    return resource.spec
