"""Where a decision came from: cited by status and proxy-config."""

import msgspec

from rhumb.model.resource import Location, Resource


class Origin(msgspec.Struct, frozen=True, order=True):
    """One object, the field of it that decided, and its place."""

    kind: str
    namespace: str
    name: str
    field: str = ""
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        at = f" {self.field}" if self.field else ""
        place = f" ({Location(self.file, self.line)})" if self.file else ""
        return f"{self.kind} {self.namespace}/{self.name}{at}{place}"


def origin(resource: Resource, field: str = "") -> Origin:
    """Cite a resource, or one field of it."""
    place = resource.line_of(field) if field else resource.location
    key = resource.key
    return Origin(key.kind, key.namespace, key.name, field, place.file, place.line)
