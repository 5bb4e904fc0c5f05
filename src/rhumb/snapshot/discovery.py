"""MeshConfig's discoverySelectors: the namespaces that the mesh knows of."""

from collections.abc import Iterable, Mapping

from rhumb.model.kinds.selector import LabelSelector, LabelSelectorRequirement
from rhumb.model.kinds.table import CORE
from rhumb.model.resource import ResourceSet

_NAME = "kubernetes.io/metadata.name"
"""Kubernetes gives every namespace this label."""


def discovered(
    resources: ResourceSet, selectors: Iterable[LabelSelector], always: Iterable[str]
) -> ResourceSet:
    """Return the objects of the namespaces that some selector fits, and of those that are `always` known.

    Namespaces that no object describes have the label of their name alone.
    """
    wanted = tuple(selectors)
    labels = {r.meta.name: r.meta.labels for r in resources.of(CORE, "Namespace")}
    homes = {key.namespace for key in resources} - {""}
    known = set(always)
    known |= {
        home
        for home in homes
        if any(fits(each, {_NAME: home, **labels.get(home, {})}) for each in wanted)
    }
    return ResourceSet(r for k, r in resources.items() if not k.namespace or k.namespace in known)


def fits(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Tell whether labels satisfy a Kubernetes label selector; an empty one fits everything."""
    return all(labels.get(k) == v for k, v in selector.match_labels.items()) and all(
        _meets(each, labels) for each in selector.match_expressions
    )


def _meets(wanted: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(wanted.key)
    match wanted.operator:
        case "In":
            return value in wanted.values
        case "NotIn":
            return value not in wanted.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    return False
