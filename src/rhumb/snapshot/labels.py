"""Which labels of a workload can matter to what it sees of others: those that some object speaks of."""

from collections.abc import Iterator, Mapping

import msgspec

from rhumb.model.kinds.destination_rule import Subset
from rhumb.model.kinds.selector import LabelSelectorRequirement
from rhumb.model.kinds.table import CORE, DISCOVERY, NETWORKING, SECURITY
from rhumb.model.kinds.virtual_service import StringMatch
from rhumb.model.resource import Key, Resource
from rhumb.snapshot.view import View

Words = frozenset[str | tuple[str, str]]
"""Names of labels whose values matter, whatever they are; and labels that are selected as they are."""

_LIMIT = 50_000
"""Views to remember."""
_NOTHING: Words = frozenset()
_SELECT_ENDPOINTS = frozenset(
    {
        *((CORE, kind) for kind in ("Service", "Pod", "Node", "Endpoints", "Secret", "ConfigMap")),
        *((CORE, kind) for kind in ("Namespace", "ServiceAccount")),
        (DISCOVERY, "EndpointSlice"),
        *((NETWORKING, kind) for kind in ("ServiceEntry", "WorkloadEntry", "WorkloadGroup")),
    }
)
"""Their labels and selectors say who is called, not who calls."""
_OF_ITSELF = frozenset(
    {
        *((NETWORKING, kind) for kind in ("EnvoyFilter", "ProxyConfig")),
        (SECURITY, "PeerAuthentication"),
    }
)
"""They decide on a proxy's own side; what patches there are for others stands in the view."""


class MentionedLabels:
    """Labels that select the workloads a policy is for, and names of labels that failover compares."""

    def __init__(self) -> None:
        self._by_key: dict[Key, Words] = {}
        self._words: Words = _NOTHING
        self._common: dict[View, View] = {}

    def updated(self, changed: Mapping[Key, Resource | None]) -> "MentionedLabels":
        """Return the index after some objects changed (None: went); itself when nothing differs."""
        fresh: dict[Key, Words] = {}
        for key, resource in changed.items():
            if (key.group, key.kind) in _SELECT_ENDPOINTS | _OF_ITSELF:
                continue
            found = mentioned(resource) if resource is not None else _NOTHING
            if found != self._by_key.get(key, _NOTHING):
                fresh[key] = found
        if not fresh:
            return self
        following = MentionedLabels()
        following._by_key = {k: v for k, v in (self._by_key | fresh).items() if v}
        following._words = _NOTHING.union(*following._by_key.values())
        return following

    def common(self, view: View) -> View:
        """Return a view without what is the proxy's alone and without the labels that nothing speaks of.

        Equal results are the same object.
        """
        found = self._common.get(view)
        if found is None:
            if len(self._common) >= _LIMIT:
                self._common.clear()
            made = msgspec.structs.replace(
                view,
                labels=tuple(p for p in view.labels if p in self._words or p[0] in self._words),
                service_account="",
                address="",
                instances=(),
                patches=tuple(patch for patch in view.patches if not patch.is_inbound),
            )
            found = self._common[view] = self._common.setdefault(made, made)
        return found


def mentioned(resource: Resource) -> Words:
    """Return what an object says of labels, and maybe some other words."""
    return frozenset(_words(resource.spec))


def _words(value: object) -> Iterator[str | tuple[str, str]]:
    """Yield the entries of every map, and the texts of lists (`failoverPriority: [NAME, NAME=VALUE]`).

    Subsets select endpoints, and the maps of conditions name headers: these are left out, for they are
    many and differ. Any other map may select by labels.
    """
    if isinstance(value, Subset):
        yield from _words(value.traffic_policy)
    elif isinstance(value, Mapping):
        yield from _of_map(value)
    elif isinstance(value, tuple | list):
        for each in value:
            yield from (each.partition("=")[0],) if isinstance(each, str) else _words(each)
    elif isinstance(value, LabelSelectorRequirement):
        yield value.key
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _words(getattr(value, name))


def _of_map(value: Mapping[str, object]) -> Iterator[str | tuple[str, str]]:
    for key, each in value.items():
        if isinstance(each, str):
            yield key, each
        elif not isinstance(each, StringMatch):
            yield key
            yield from _words(each)
