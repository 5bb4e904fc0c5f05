"""Resources as text again: YAML as people write it, and JSON."""

import msgspec
import yaml

from rhumb.model.encode import plain
from rhumb.model.kinds.table import BY_NAME
from rhumb.model.resource import Resource
from rhumb.model.yaml_tree import resolve


def to_object(resource: Resource) -> dict[str, object]:
    """Return the object as plain dicts and lists, defaults left out, in Kubernetes' order."""
    info = BY_NAME[(resource.key.group, resource.key.kind)]
    version = resource.version or info.versions[0]
    meta = resource.meta
    written = {
        "namespace": meta.namespace,
        "labels": dict(meta.labels),
        "annotations": dict(meta.annotations),
        "creationTimestamp": meta.created,
        "deletionTimestamp": meta.deleted,
        "ownerReferences": _owner(meta.owner),
    }
    metadata = {"name": meta.name, **{name: value for name, value in written.items() if value}}
    shown: dict[str, object] = {
        "apiVersion": f"{info.group}/{version}" if info.group else version,
        "kind": info.kind,
        "metadata": metadata,
    }
    body = _builtins(resource.spec)
    if info.has_spec:
        shown["spec"] = body
    elif isinstance(body, dict):
        shown.update(body)
    if resource.status:
        shown["status"] = _builtins(resource.status)
    return shown


def _owner(owner: tuple[str, str]) -> list[dict[str, object]]:
    kind, name = owner
    return [{"kind": kind, "name": name, "controller": True}] if name else []


def to_json(resource: Resource) -> bytes:
    """Return the object as JSON on one line."""
    return msgspec.json.encode(to_object(resource))


def to_yaml(*resources: Resource) -> str:
    """Return the objects as a text of one document each."""
    objects = [to_object(resource) for resource in resources]
    text: str = yaml.dump_all(
        objects,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        explicit_start=len(objects) > 1,
    )
    return text


def _builtins(value: object) -> object:
    return msgspec.to_builtins(value, enc_hook=plain)


class _Dumper(yaml.CSafeDumper):
    """Quotes every text that Kubernetes' YAML would not read as a text (PyYAML knows fewer)."""


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None if isinstance(resolve(text), str) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
