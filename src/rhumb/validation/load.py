"""Texts to checked resources: what is read here is in force, what is not has findings that say why."""

from collections.abc import Iterator

import msgspec

from rhumb.model.codec import Document, Reader
from rhumb.model.finding import Level, bounded
from rhumb.validation.advice import next_step
from rhumb.validation.all import check


class Loader:
    """Reads texts and applies the rules of each kind."""

    def __init__(self) -> None:
        self._reader = Reader()

    def load(
        self, text: str | bytes, file: str = "", *, namespace: str = "default"
    ) -> Iterator[Document]:
        """Yield every object; one with an error has no resource, its key tells which keeps its last good version."""
        return map(_checked, self._reader.read(text, file, namespace=namespace))

    def load_mesh_config(
        self, text: str | bytes, file: str = "", *, namespace: str = "istio-system"
    ) -> Iterator[Document]:
        """Yield the MeshConfig of a file that holds nothing else."""
        return map(_checked, self._reader.read_mesh_config(text, file, namespace=namespace))


def _checked(document: Document) -> Document:
    found = check(document.resource) if document.resource is not None else ()
    # The document still has its tree, which knows lines that the resource did not keep.
    placed = tuple(
        msgspec.structs.replace(
            f,
            location=document.line_of(f.field) if f.field else f.location,
            fix=f.fix or next_step(f.message),
        )
        for f in found
    )
    findings = document.findings + placed
    if not findings:
        return document
    refused = any(f.level is Level.ERROR for f in placed)
    return msgspec.structs.replace(
        document,
        findings=bounded(findings),
        resource=None if refused else document.resource,
    )
