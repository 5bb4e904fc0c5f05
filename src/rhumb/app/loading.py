"""Texts to a world, while no control plane runs: what is refused is reported and left out."""

from collections.abc import Iterable, Iterator

import msgspec

from rhumb.model.codec import Document
from rhumb.model.finding import Finding, Level
from rhumb.model.kinds.gateway import Gateway
from rhumb.model.kinds.table import NETWORKING
from rhumb.model.proxy import Role
from rhumb.model.resource import Changes, Key, Resource, ResourceSet
from rhumb.snapshot.build import HOME, World, build, empty
from rhumb.snapshot.view import View
from rhumb.sources.held import Held
from rhumb.translate import conflicts, refused
from rhumb.validation.load import Loader

Text = tuple[str, bytes]
"""Name and content of a file."""


class Loaded(msgspec.Struct, frozen=True, eq=False):
    """A world made of texts, and what is wrong with them."""

    world: World
    findings: tuple[Finding, ...]
    """By file, line and field: the same whatever the order of the texts."""
    rejected: int
    """How many objects are not in force."""


def load(
    texts: Iterable[Text],
    *,
    mesh_config: Text | None = None,
    namespace: str = "default",
    root_namespace: str = HOME,
) -> Loaded:
    """Read texts as the control plane does.

    `mesh_config` is a text that holds MeshConfig alone, or the ConfigMap `istio`. `namespace` is for objects
    that name none; `root_namespace` is that of policies for the whole mesh.
    """
    loader, tally, held = Loader(), _Tally(), Held()
    current: dict[Key, Resource] = {}
    for file, text in texts:
        documents = tally.counted(loader.load(text, file, namespace=namespace))
        current |= {r.key: r for r in held.update(file, documents).upserts}
    found = list(held.findings())
    if mesh_config is not None:
        # Given by itself it wins over a ConfigMap among the files.
        file, text = mesh_config
        alone = Held()
        documents = tally.counted(loader.load_mesh_config(text, file, namespace=root_namespace))
        current |= {r.key: r for r in alone.update(file, documents).upserts}
        found += alone.findings()
    # What was found beyond single objects: second definitions.
    rejected = tally.refused + len(found) - tally.findings
    resources, _ = ResourceSet().apply(current.values(), ())
    world = build(empty(root_namespace), resources, Changes(added=frozenset(resources)))
    return Loaded(world, ordered((*found, *world.findings)), rejected)


def fights(world: World) -> tuple[Finding, ...]:
    """Return a warning for whatever has no effect because another object has it instead."""
    return (*_unserved(world), *conflicts.findings(world))


def _unserved(world: World) -> tuple[Finding, ...]:
    """Return a warning for each server of a Gateway that other Gateways with its selector displace."""
    views = {
        View(
            role=Role.ROUTER,
            namespace=resource.meta.namespace,
            labels=tuple(sorted(resource.spec.selector.items())),
        )
        for resource in world.resources.of(NETWORKING, "Gateway")
        if isinstance(resource.spec, Gateway)
    }
    return refused.findings(world, views)


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sort findings by place."""
    return tuple(
        sorted(
            findings,
            key=lambda f: (f.location.file, f.location.line, f.field, f.message, str(f.key)),
        )
    )


class _Tally:
    """Counts what passes."""

    def __init__(self) -> None:
        self.refused = 0
        self.findings = 0

    def counted(self, documents: Iterable[Document]) -> Iterator[Document]:
        for document in documents:
            self.findings += len(document.findings)
            self.refused += any(f.level is Level.ERROR for f in document.findings)
            yield document
