"""Which namespaces the mesh knows of."""

import pytest

from rhumb.model.kinds.selector import LabelSelector, LabelSelectorRequirement
from rhumb.snapshot.build import World
from rhumb.snapshot.discovery import fits
from rhumb.testing.world import following, mesh_config, resources, world

LABELS = {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("key", "operator", "values", "expected"),
    [
        ("a", "In", ("1", "3"), True),
        ("a", "In", ("3",), False),
        ("c", "In", ("1",), False),
        ("a", "NotIn", ("1",), False),
        ("c", "NotIn", ("1",), True),
        ("a", "Exists", (), True),
        ("c", "Exists", (), False),
        ("c", "DoesNotExist", (), True),
        ("a", "DoesNotExist", (), False),
        ("a", "Resembles", (), False),
    ],
)
def test_expressions(key: str, operator: str, values: tuple[str, ...], expected: bool) -> None:
    said = LabelSelectorRequirement(key=key, operator=operator, values=values)
    assert fits(LabelSelector(match_expressions=(said,)), LABELS) is expected


def test_labels_and_expressions_must_all_fit() -> None:
    exists = LabelSelectorRequirement(key="b", operator="Exists")
    assert fits(LabelSelector(match_labels={"a": "1"}, match_expressions=(exists,)), LABELS)
    assert not fits(LabelSelector(match_labels={"a": "2"}, match_expressions=(exists,)), LABELS)
    assert fits(LabelSelector(), {})


def service(namespace: str) -> str:
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: s, namespace: {namespace}}}
spec: {{clusterIP: 10.0.0.1, ports: [{{name: http, port: 80}}]}}
"""


SELECTIVE = "discoverySelectors: [{matchLabels: {mesh: in}}]"
INSIDE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {mesh: in}}\n"


def hosts(found: World) -> set[str]:
    return {service.namespace for service in found.catalog.services.values()}


def test_namespaces_that_are_not_selected_do_not_exist() -> None:
    texts = (service("one"), service("two"), service("istio-system"), INSIDE % "one")
    found = world((*resources(*texts), *mesh_config(SELECTIVE)))
    assert hosts(found) == {"one", "istio-system"}


def test_they_come_and_go_with_their_labels_and_the_selectors() -> None:
    found = world(
        (*resources(service("one"), service("two"), INSIDE % "one"), *mesh_config(SELECTIVE))
    )
    everything = resources(service("one"), service("two"), INSIDE % "one", INSIDE % "two")
    assert hosts(following(found, (*everything, *mesh_config(SELECTIVE)))) == {"one", "two"}
    assert hosts(following(found, (*everything, *mesh_config("{}")))) == {"one", "two"}
    assert hosts(following(found, resources(service("one"), service("two")))) == {"one"}
