"""Which labels of a workload can matter to what it sees of others: those that some object names."""

from collections.abc import Iterator, Mapping

import msgspec

from rhumb.model.kinds.destination_rule import Subset
from rhumb.model.kinds.selector import LabelSelectorRequirement
from rhumb.model.kinds.table import CORE, DISCOVERY, NETWORKING
from rhumb.model.kinds.virtual_service import StringMatch
from rhumb.model.resource import Key, Resource
from rhumb.snapshot.view import View

Names = frozenset[str]

_LIMIT = 50_000
"""Views to remember."""
_NOBODY: Names = frozenset()
_SELECT_ENDPOINTS = frozenset(
    {
        *((CORE, kind) for kind in ("Service", "Pod", "Node", "Endpoints", "Secret", "ConfigMap")),
        *((CORE, kind) for kind in ("Namespace", "ServiceAccount")),
        (DISCOVERY, "EndpointSlice"),
        *((NETWORKING, kind) for kind in ("ServiceEntry", "WorkloadEntry", "WorkloadGroup")),
    }
)
"""Their labels and selectors say who is called, not who calls."""


class MentionedLabels:
    """Names of labels that select the workloads a policy is for, or that failover compares."""

    def __init__(self) -> None:
        self._by_key: dict[Key, Names] = {}
        self.names: Names = _NOBODY
        self._common: dict[View, View] = {}

    def updated(self, changed: Mapping[Key, Resource | None]) -> "MentionedLabels":
        """Return the index after some objects changed (None: went); itself when nothing differs."""
        fresh: dict[Key, Names] = {}
        for key, resource in changed.items():
            if (key.group, key.kind) in _SELECT_ENDPOINTS:
                continue
            found = mentioned(resource) if resource is not None else _NOBODY
            if found != self._by_key.get(key, _NOBODY):
                fresh[key] = found
        if not fresh:
            return self
        following = MentionedLabels()
        following._by_key = {k: v for k, v in (self._by_key | fresh).items() if v}
        following.names = _NOBODY.union(*following._by_key.values())
        return following

    def common(self, view: View) -> View:
        """Return a view without what is the proxy's alone and without the labels that nothing mentions.

        Equal results are the same object.
        """
        found = self._common.get(view)
        if found is None:
            if len(self._common) >= _LIMIT:
                self._common.clear()
            made = msgspec.structs.replace(
                view,
                labels=tuple(pair for pair in view.labels if pair[0] in self.names),
                service_account="",
                address="",
                instances=(),
            )
            found = self._common[view] = self._common.setdefault(made, made)
        return found


def mentioned(resource: Resource) -> Names:
    """Return the names of labels that an object speaks of, and maybe some other words."""
    return frozenset(_words(resource.spec))


def _words(value: object) -> Iterator[str]:
    """Yield the keys of every map, and the texts of lists (`failoverPriority: [NAME, NAME=VALUE]`).

    Subsets select endpoints, and the maps of conditions name headers: these are left out, for they are
    many and differ. Any other map may name labels.
    """
    if isinstance(value, Subset):
        yield from _words(value.traffic_policy)
    elif isinstance(value, Mapping):
        for key, each in value.items():
            if not isinstance(each, StringMatch):
                yield str(key)
                yield from _words(each)
    elif isinstance(value, tuple | list):
        for each in value:
            yield from (each.partition("=")[0],) if isinstance(each, str) else _words(each)
    elif isinstance(value, LabelSelectorRequirement):
        yield value.key
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _words(getattr(value, name))
