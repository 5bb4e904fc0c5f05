"""YAML or JSON text to Resources and Findings, and back.

A text may hold many documents and lists of objects. Each object stands for itself: one that does
not fit gives findings and no Resource, the others are not touched. Only text that is no YAML at
all ends the reading.
"""

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import msgspec

from rhumb.model.decode import MAX_PROBLEMS, Decoder, Problem, describe, plain, suggestion
from rhumb.model.encode import canonical
from rhumb.model.finding import Finding, Level
from rhumb.model.kinds.kubernetes import ConfigMap
from rhumb.model.kinds.mesh_config import MeshConfig
from rhumb.model.kinds.object_meta import ObjectMeta
from rhumb.model.kinds.table import MESH, KindInfo
from rhumb.model.kinds.wire import NONE, Kind
from rhumb.model.not_yaml import YamlError, not_unicode
from rhumb.model.places import blocks, line_at
from rhumb.model.recognize import claimed, kind_of
from rhumb.model.resource import Key, Location, Meta, Resource
from rhumb.model.yaml_tree import Duplicate, Map, Seq, Tree, trees

MESH_CONFIG_MAP = "istio"
"""Name of the ConfigMap whose key `mesh` holds MeshConfig."""
NOWHERE = Location()
MAX_STRAYS = 100
"""Things in one file that do not even say what they are."""
_STRAYS = f"more than {MAX_STRAYS} objects here have no apiVersion, kind or name: nothing is read from here on"
_NO_CONFIG = "if the file is no configuration, move it elsewhere"
_ITEMS = "write the objects of the list below items:, each after a - "
_SPEC_LESS = ("apiVersion", "kind", "metadata", "status")


class Document(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One object of a text: a Resource, or why there is none."""

    location: Location
    key: Key | None = None
    """None when the object does not even say what it is, or is none of ours."""
    resource: Resource | None = None
    findings: tuple[Finding, ...] = ()
    broken: bool = False
    """The text is no YAML from here on: what follows is unknown."""
    tree: object = None

    def line_of(self, path: str) -> Location:
        """Return the place of a field, or of the closest block that exists."""
        return Location(self.location.file, line_at(self.tree, path, self.location.line))


class Reader:
    """Reads texts; keeps what it learned about the kinds, nothing about the texts."""

    def __init__(self) -> None:
        self._decoder = Decoder()

    def read(
        self, text: str | bytes, file: str = "", *, namespace: str = "default"
    ) -> Iterator[Document]:
        """Yield every object; `namespace` is for objects that name none."""
        strays = _Strays()
        try:
            for tree in trees(_unicode(text)):
                yield from strays.counted(self._document(tree, file, namespace))
        except YamlError as error:
            yield _broken(error, file)

    def read_mesh_config(
        self, text: str | bytes, file: str = "", *, namespace: str = "istio-system"
    ) -> Iterator[Document]:
        """Yield the MeshConfig of a file that holds nothing else, bare or below `meshConfig`.

        A file that holds the ConfigMap is understood too.
        """
        try:
            for tree in trees(_unicode(text)):
                if isinstance(tree.root, Map) and "apiVersion" in tree.root:
                    yield from self._document(tree, file, namespace)
                else:
                    yield self._mesh(tree, Location(file, tree.line), namespace)
        except YamlError as error:
            yield _broken(error, file)

    def _document(self, tree: Tree, file: str, namespace: str) -> Iterator[Document]:
        items = list(_items(tree.root, tree.line))
        ends = [line for _, line in items[1:]]
        for (item, line), end in itertools.zip_longest(items, ends):
            twice = [d for d in tree.duplicates if d.line >= line and (end is None or d.line < end)]
            if twice:
                document = _duplicated(item, twice, Location(file, line), namespace)
            else:
                document = self._object(item, file, line, namespace)
            yield document
            if document.key is not None and document.key.kind == "ConfigMap":
                yield from self._mesh_of(document.key, document)

    def _object(self, root: object, file: str, line: int, namespace: str) -> Document:
        if not isinstance(root, Map):
            finding = Finding(
                level=Level.ERROR,
                message=f"must be an object with apiVersion, kind and metadata, not {describe(root)}",
                fix="several objects are documents with --- between them, or items of a List",
                location=Location(file, line),
            )
            return Document(location=Location(file, line), findings=(finding,))
        place = Location(file, root.line)
        if root.get("kind") == "List":
            message = f"items must be a list, not {describe(root.get('items'))}"
            at = Location(file, root.key_lines.get("items", root.line))
            finding = Finding(
                level=Level.ERROR, field="items", message=message, fix=_ITEMS, location=at
            )
            return Document(location=place, findings=(finding,), tree=root)
        info, refusal = kind_of(root)
        if info is None:
            at = Location(file, root.key_lines.get(refusal.field, root.line))
            finding = msgspec.structs.replace(refusal, location=at, key=claimed(root, namespace))
            return Document(location=place, findings=(finding,), tree=root)
        return self._decoded(info, root, place, namespace)

    def _decoded(self, info: KindInfo, root: Map, place: Location, namespace: str) -> Document:
        problems: list[Problem] = []
        meta = self._meta(info, root, namespace, problems)
        key = Key(info.group, info.kind, meta.namespace, meta.name) if meta.name else None
        if info.has_spec:
            body, path = root.get("spec"), "spec"
            problems += [
                Problem(k, f'unknown field "{k}"', _place_of(k))
                for k in itertools.islice(root, MAX_PROBLEMS)
                if k != "spec" and k not in _SPEC_LESS
            ]
        else:
            body, path = {k: v for k, v in root.items() if k not in _SPEC_LESS}, ""
        spec = self._decoder.decode(info.struct, {} if body is None else body, path, problems)
        document = Document(location=place, key=key, tree=root)
        if problems or spec is None or key is None:
            return _refused(document, problems)
        return msgspec.structs.replace(document, resource=_resource(key, meta, spec, root, place))

    def _meta(self, info: KindInfo, root: Map, namespace: str, problems: list[Problem]) -> Meta:
        tree = root.get("metadata")
        if not isinstance(tree, Map):
            problems.append(
                Problem("metadata", "metadata.name is missing", "every object needs a name")
            )
            return Meta(name="")
        meta = self._decoder.decode(ObjectMeta, tree, "metadata", problems)
        if not isinstance(meta, ObjectMeta):
            # The name still says which object keeps its last good version.
            said, where = tree.get("name"), tree.get("namespace")
            meta = ObjectMeta(
                name=said if isinstance(said, str) else "",
                namespace=where if isinstance(where, str) else "",
            )
        elif not meta.name:
            fix = (
                "generateName works with an API server only"
                if meta.generate_name
                else "every object needs a name"
            )
            problems.append(Problem("metadata.name", "metadata.name is missing", fix))
        return Meta(
            name=meta.name,
            namespace=(meta.namespace or namespace) if info.namespaced else "",
            labels=meta.labels,
            annotations=meta.annotations,
            created=meta.creation_timestamp,
            deleted=_said(meta.deletion_timestamp),
            owner=_owner(meta.owner_references),
        )

    def _mesh_of(self, config_map: Key, document: Document) -> Iterator[Document]:
        if config_map.name != MESH_CONFIG_MAP:
            return
        key = Key(MESH, "MeshConfig", config_map.namespace, MESH_CONFIG_MAP)
        spec = document.resource.spec if document.resource is not None else None
        if not isinstance(spec, ConfigMap):
            # What the ConfigMap held before stays in force with it.
            yield Document(location=document.location, key=key)
            return
        if "mesh" not in spec.data:
            return
        # The content of a block scalar starts on the line after its key.
        start = document.line_of("data.mesh")
        try:
            for tree in trees(spec.data["mesh"]):
                inner = self._mesh(tree, Location(start.file), config_map.namespace)
                yield _shifted(inner, start)
                return
        except YamlError as error:
            place = Location(start.file, start.line + error.line)
            finding = Finding(
                level=Level.ERROR, message=str(error), fix=error.fix, location=place, key=key
            )
            yield Document(location=start, key=key, findings=(finding,))

    def _mesh(self, tree: Tree, place: Location, namespace: str) -> Document:
        root = tree.root
        if isinstance(root, Map) and list(root) == ["meshConfig"]:
            root = root["meshConfig"]
        key = Key(MESH, "MeshConfig", namespace, MESH_CONFIG_MAP)
        document = Document(location=place, key=key, tree=root)
        problems = [
            Problem("", f'key "{d.key}" is written twice, first on line {d.first_line}', "keep one")
            for d in tree.duplicates
        ]
        spec = self._decoder.decode(MeshConfig, {} if root is None else root, "", problems)
        if problems or spec is None:
            return _refused(document, problems)
        meta = Meta(name=MESH_CONFIG_MAP, namespace=namespace)
        return msgspec.structs.replace(
            document,
            resource=_resource(key, meta, spec, root if isinstance(root, Map) else Map(1), place),
        )


def parse(
    text: str | bytes, file: str = "", *, namespace: str = "default"
) -> tuple[tuple[Resource, ...], tuple[Finding, ...]]:
    """Return the resources that fit the schema of their kind, and what is wrong with the others.

    The rules of validation are not applied here (rhumb.validation).
    """
    documents = list(Reader().read(text, file, namespace=namespace))
    resources = tuple(d.resource for d in documents if d.resource is not None)
    return resources, tuple(finding for d in documents for finding in d.findings)


def make(
    info: KindInfo,
    meta: Meta,
    spec: Kind,
    *,
    status: Mapping[str, object] = NONE,
    location: Location = NOWHERE,
) -> Resource:
    """Return a resource that no text holds (registered workloads, tests)."""
    key = Key(info.group, info.kind, meta.namespace if info.namespaced else "", meta.name)
    return Resource(
        key=key,
        meta=meta,
        spec=spec,
        version=info.versions[0],
        location=location,
        digest=_digest(meta, spec),
        status=status,
    )


def _broken(error: YamlError, file: str) -> Document:
    place = Location(file, error.line)
    finding = Finding(level=Level.ERROR, message=str(error), fix=error.fix, location=place)
    return Document(location=place, findings=(finding,), broken=True)


def _unicode(text: str | bytes) -> str:
    if isinstance(text, str):
        return text
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise not_unicode(text, error) from error


def _items(root: object, line: int) -> Iterator[tuple[object, int]]:
    """Yield the objects of a `List`, of a `VirtualServiceList` and the like, or the object itself, with lines."""
    if not (_is_list(root) and isinstance(root, Map)):
        yield root, line
        return
    items = root.get("items")
    if isinstance(items, Seq):
        for item, at in zip(items, items.item_lines, strict=True):
            yield from _items(item, at)
    elif items is not None or "items" not in root:
        yield root, line


def _place_of(field: str) -> str:
    """Say where a field belongs that stands beside `spec`."""
    if field in ("name", "namespace", "labels", "annotations"):
        return "indent it below metadata"
    return suggestion(field, ("spec", *_SPEC_LESS)) or "put it below spec"


class _Strays:
    """Counts what does not even say what it is."""

    def __init__(self) -> None:
        self._count = 0

    def counted(self, documents: Iterator[Document]) -> Iterator[Document]:
        """Pass documents on. Raises YamlError when it is too much."""
        for document in documents:
            yield document
            if document.key is None:
                found = document.findings
                self._count += any(f.key is None and f.level is Level.ERROR for f in found)
            if self._count > MAX_STRAYS:
                raise YamlError(_STRAYS, document.location.line, _NO_CONFIG)


def _is_list(root: object) -> bool:
    return isinstance(root, Map) and str(root.get("kind", "")).endswith("List")


def _duplicated(
    root: object, duplicates: Sequence[Duplicate], place: Location, namespace: str
) -> Document:
    key = claimed(root, namespace) if isinstance(root, Map) and kind_of(root)[0] else None
    findings = tuple(
        Finding(
            level=Level.ERROR,
            key=key,
            message=f'key "{d.key}" is written twice in one object, first on line {d.first_line}',
            fix="keep one of them",
            location=Location(place.file, d.line),
        )
        for d in duplicates
    )
    return Document(location=place, key=key, findings=findings, tree=root)


def _refused(document: Document, problems: list[Problem]) -> Document:
    findings = tuple(
        Finding(
            level=Level.ERROR,
            key=document.key,
            field=p.field,
            message=p.message,
            fix=p.fix,
            location=document.line_of(p.field),
        )
        for p in problems
    )
    return msgspec.structs.replace(document, findings=findings)


def _shifted(document: Document, start: Location) -> Document:
    """Move the lines of an embedded text to where it stands in the file."""
    findings = tuple(
        msgspec.structs.replace(f, location=Location(start.file, start.line + f.location.line))
        for f in document.findings
    )
    resource = document.resource
    if resource is not None:
        lines = MappingProxyType({path: line + start.line for path, line in resource.lines.items()})
        resource = msgspec.structs.replace(resource, lines=lines, location=start)
    return msgspec.structs.replace(document, location=start, findings=findings, resource=resource)


def _resource(key: Key, meta: Meta, spec: Kind, root: Map, place: Location) -> Resource:
    said = root.get("status")
    status = dict(said) if isinstance(said, Map) and key.group != MESH else {}
    if spec.STATUS is not None:
        status = {name: status[name] for name in spec.STATUS if name in status}
    frozen = plain(status) if status else NONE
    return Resource(
        key=key,
        meta=meta,
        spec=spec,
        version=str(root.get("apiVersion", "")).rpartition("/")[2],
        location=place,
        lines=MappingProxyType(dict(blocks(root))),
        digest=_digest(meta, spec),
        status=frozen if isinstance(frozen, Mapping) else NONE,
    )


def _said(value: object) -> str:
    return value if isinstance(value, str) else ""


def _owner(references: object) -> tuple[str, str]:
    """Return kind and name of the owner that controls an object."""
    for one in references if isinstance(references, tuple) else ():
        if isinstance(one, Mapping) and one.get("controller") is True:
            return _said(one.get("kind")), _said(one.get("name"))
    return "", ""


def _digest(meta: Meta, spec: Kind) -> bytes:
    content = (meta.labels, meta.annotations, meta.created, meta.deleted, meta.owner, spec)
    return hashlib.blake2b(canonical(content), digest_size=16).digest()
