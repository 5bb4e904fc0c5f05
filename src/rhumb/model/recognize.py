"""Which kind an object claims to be, and what to say when that kind is not served."""

from rhumb.model.decode import describe, suggestion
from rhumb.model.finding import Finding, Level
from rhumb.model.kinds.known import ELSEWHERE, GONE, NOT_YET
from rhumb.model.kinds.table import BY_NAME, KINDS, MESH, KindInfo
from rhumb.model.resource import Key
from rhumb.model.yaml_tree import Map


def kind_of(root: Map) -> tuple[KindInfo | None, Finding]:
    """Return what is served under the name that the object claims, or a finding that says why nothing is."""
    api_version, kind = root.get("apiVersion"), root.get("kind")
    for field, value in (("apiVersion", api_version), ("kind", kind)):
        if not isinstance(value, str) or not value:
            what = "is missing" if value is None else f"must be a text, not {describe(value)}"
            wrong = next((k for k in root if k != field and k.lower() == field.lower()), "")
            fix = (
                f"write {field}, not {wrong}" if wrong else "every object needs apiVersion and kind"
            )
            return None, _error(field, f"{field} {what}", fix)
    group, _, version = str(api_version).rpartition("/")
    info = BY_NAME.get((group, str(kind))) if group != MESH else None
    if info is None:
        return None, _not_served(group, str(kind))
    if version not in info.versions:
        served = ", ".join(info.versions)
        return None, _error(
            "apiVersion",
            f'version "{version}" of {kind} is not served, these are: {served}',
            f"write {info.api_version}",
        )
    return info, _error("", "")


def _not_served(group: str, kind: str) -> Finding:
    if kind in NOT_YET.get(group, ()):
        return Finding(
            level=Level.WARNING, field="kind", message=f"{kind} is not supported yet: ignored"
        )
    if kind in ELSEWHERE.get(group, ()):
        return _aside(kind)
    if group in GONE:
        return _error("apiVersion", f"the API group {group} was removed from Istio", GONE[group])
    groups = {info.group for info in KINDS if info.group not in ("", MESH)} | set(NOT_YET) - {""}
    if group in groups or not group:
        return _unknown_kind(group, kind)
    ours = {info.kind for info in KINDS}.union(*NOT_YET.values())
    # Without such a kind it is no slip of the pen: apiextensions.k8s.io is not extensions.istio.io.
    close = suggestion(group, groups) if kind in ours else ""
    if close:
        return _error("apiVersion", f'unknown API group "{group}"', close)
    if "." not in group or group.endswith(".k8s.io"):
        return _aside(kind)
    return Finding(
        level=Level.INFO,
        field="apiVersion",
        message=f'unknown API group "{group}": {kind} is ignored',
    )


def _aside(kind: str) -> Finding:
    return Finding(
        level=Level.INFO, field="kind", message=f"{kind} does not configure the mesh: ignored"
    )


def _unknown_kind(group: str, kind: str) -> Finding:
    known = [info.kind for info in KINDS if info.group == group]
    known += NOT_YET.get(group, ()) + ELSEWHERE.get(group, ())
    elsewhere = next((info for info in KINDS if info.kind == kind and info.group != MESH), None)
    fix = suggestion(kind, known)
    if not fix and elsewhere is not None:
        fix = f"{kind} belongs to apiVersion {elsewhere.api_version}"
    return _error(
        "kind",
        f'unknown kind "{kind}" in API group {group or "v1"}',
        fix or f"it has {', '.join(known)}",
    )


def _error(field: str, message: str, fix: str = "") -> Finding:
    return Finding(level=Level.ERROR, field=field, message=message, fix=fix)


def claimed(root: Map, namespace: str) -> Key | None:
    """Return the identity that an object claims, whether or not such a kind is served."""
    meta, kind = root.get("metadata"), root.get("kind")
    name = meta.get("name") if isinstance(meta, Map) else None
    if not isinstance(meta, Map) or not isinstance(name, str) or not isinstance(kind, str):
        return None
    group = str(root.get("apiVersion", "")).rpartition("/")[0]
    info = BY_NAME.get((group, kind))
    where = (
        "" if info is not None and not info.namespaced else str(meta.get("namespace") or namespace)
    )
    return Key(group, kind, where, name)
