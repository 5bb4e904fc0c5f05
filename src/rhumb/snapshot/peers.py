"""PeerAuthentications: what the server side of a workload accepts."""

from collections.abc import Iterable

import msgspec

from rhumb.model.endpoint import Labels
from rhumb.model.kinds.peer_authentication import MutualTlsMode, PeerAuthentication
from rhumb.model.resource import Resource
from rhumb.registry.workloads import pairs, selects
from rhumb.snapshot.snapshot import Mtls, MtlsMode

_MODES = {
    MutualTlsMode.DISABLE: MtlsMode.DISABLE,
    MutualTlsMode.PERMISSIVE: MtlsMode.PERMISSIVE,
    MutualTlsMode.STRICT: MtlsMode.STRICT,
}
DEFAULT = Mtls(MtlsMode.PERMISSIVE)


class _Answer(msgspec.Struct, frozen=True, eq=False):
    """What one workload accepts."""

    rest: Mtls
    ports: tuple[tuple[int, Mtls], ...]


class PeerPolicies:
    """Workload over namespace over mesh; the oldest in a level; UNSET asks the next level."""

    def __init__(self, resources: Iterable[Resource], root: str) -> None:
        self._root = root
        self._wide: dict[str, Resource] = {}
        self._selecting: dict[str, list[tuple[Labels, Resource]]] = {}
        for resource in sorted(resources, key=lambda r: r.age_key):
            spec, namespace = _spec(resource), resource.meta.namespace
            if spec.selector is not None and spec.selector.match_labels:
                selector = pairs(spec.selector.match_labels)
                self._selecting.setdefault(namespace, []).append((selector, resource))
            else:
                self._wide.setdefault(namespace, resource)
        self._answers: dict[tuple[str, Labels], _Answer] = {}

    def mtls(self, namespace: str, labels: Labels, port: int) -> Mtls:
        """Return what a workload accepts on one of its ports."""
        answer = self._answer(namespace, labels)
        return next((found for number, found in answer.ports if number == port), answer.rest)

    def ports(self, namespace: str, labels: Labels) -> tuple[tuple[int, Mtls], ...]:
        """Return the ports with an entry of their own, resolved, sorted by port."""
        return self._answer(namespace, labels).ports

    def _answer(self, namespace: str, labels: Labels) -> _Answer:
        key = (namespace, labels if namespace in self._selecting else ())
        found = self._answers.get(key)
        if found is None:
            found = self._answers[key] = self._decide(namespace, labels)
        return found

    def _decide(self, namespace: str, labels: Labels) -> _Answer:
        chosen = self._selected(namespace, labels)
        levels = dict.fromkeys((chosen, self._wide.get(namespace), self._wide.get(self._root)))
        rest = next((m for r in levels if r is not None and (m := _whole(r))), DEFAULT)
        ports = []
        for port, mtls in sorted(_spec(chosen).port_level_mtls.items()) if chosen else ():
            mode = _MODES.get(mtls.mode)
            field = f"spec.portLevelMtls.{port}.mode"
            ports.append((port, Mtls(mode, chosen, field) if mode is not None else rest))
        return _Answer(rest, tuple(ports))

    def _selected(self, namespace: str, labels: Labels) -> Resource | None:
        named = dict(labels)
        for selector, resource in self._selecting.get(namespace, ()):
            if selects(selector, named):
                return resource
        return None


def _spec(resource: Resource) -> PeerAuthentication:
    assert isinstance(resource.spec, PeerAuthentication)
    return resource.spec


def _whole(resource: Resource) -> Mtls | None:
    spec = _spec(resource)
    mode = _MODES.get(spec.mtls.mode) if spec.mtls else None
    return Mtls(mode, resource, "spec.mtls.mode") if mode is not None else None
