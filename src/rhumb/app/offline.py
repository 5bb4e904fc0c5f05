"""The configuration of one proxy, while no control plane runs: made the same way, but for the streams."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec
from envoy.config.core.v3.base_pb2 import Node
from google.protobuf.json_format import ParseDict, ParseError

from rhumb.ads.requests import parse_node
from rhumb.base.errors import RhumbError
from rhumb.cache import left_out
from rhumb.cache.encoded import Encoded, Entry
from rhumb.cache.views import Failure, Views
from rhumb.encode import as_json, dispatch
from rhumb.encode.as_json import Json, bare
from rhumb.model.finding import Finding, Level
from rhumb.model.proxy import Proxy, Role
from rhumb.snapshot.build import World
from rhumb.snapshot.view import whole
from rhumb.translate import proxy as translator
from rhumb.translate import refused
from rhumb.xds.types import XdsType

SECTIONS: Mapping[XdsType, str] = {
    XdsType.LDS: "listeners",
    XdsType.RDS: "routes",
    XdsType.CDS: "clusters",
    XdsType.EDS: "endpoints",
    XdsType.SDS: "secrets",
    XdsType.ECDS: "extensions",
}
"""What each type is called in the output, in its order."""

_SERVED = ("kubernetes://", "configmap://")
"""Secrets that the control plane delivers; the others are the agent's."""


class Configuration(msgspec.Struct, frozen=True):
    """All that one proxy would be sent."""

    sections: Mapping[str, list[Json]]
    """Resources in protobuf JSON by section, all sections in order, sorted by name."""
    entries: Mapping[XdsType, tuple[Entry, ...]]
    """The same as they go over the wire, with their origins."""
    findings: tuple[Finding, ...]


def node(text: bytes) -> Proxy:
    """Read an Envoy Node in protobuf JSON, with camelCase or original names.

    Raises RhumbError when it is none, or its id has another shape than Istio's.
    """
    try:
        said = msgspec.json.decode(text)
        parsed = ParseDict(said, Node(), ignore_unknown_fields=True)
    except (msgspec.DecodeError, ParseError, AttributeError, TypeError) as error:
        raise RhumbError(
            f"the node is not an Envoy Node in JSON: {error}",
            hint='e.g. {"id": "sidecar~10.0.0.2~reviews-1.default~default.svc.cluster.local", "metadata": {...}}',
        ) from None
    return parse_node(parsed)


def configuration(
    world: World, proxy: Proxy, kinds: Iterable[XdsType] = tuple(SECTIONS)
) -> Configuration:
    """Return what a proxy would be sent; what cannot be made is reported and left out.

    Sections of other kinds than those asked for are empty.
    Raises RhumbError for the node of an agent: it is no proxy.
    """
    if proxy.role not in (Role.SIDECAR, Role.ROUTER):
        raise RhumbError(
            f'nothing is made for a node of type "{proxy.role}"',
            hint="the id begins with sidecar~ or router~",
        )
    failures: list[Failure] = []
    views = Views(
        world, translator, Encoded(dispatch.encode, leave=dispatch.left_out), failures.append
    )
    view = whole(world.view(proxy))  # routes with their virtual hosts, whoever asks
    wanted = tuple(kind for kind in SECTIONS if kind in set(kinds))

    def entries(kind: XdsType) -> tuple[Entry, ...]:
        found = views.table(view, kind).entries
        return tuple(found[name] for name in sorted(found))

    made = {kind: entries(kind) for kind in wanted}
    sections = {
        name: [bare(e.packed) for e in made.get(kind, ())] for kind, name in SECTIONS.items()
    }
    missing: list[Finding] = []
    if XdsType.SDS in made:
        users = [
            sections[SECTIONS[kind]] or [bare(e.packed) for e in entries(kind)]
            for kind in (XdsType.LDS, XdsType.CDS)
        ]
        sections["secrets"] = list(_secrets(sections["secrets"], users, missing))
    findings = (*map(_defect, failures), *missing, *refused.findings(world, (view,)))
    return Configuration(sections, made, findings)


def redact(found: Configuration) -> None:
    """Take private keys out."""
    for secret in found.sections["secrets"]:
        as_json.redact(secret)


def _secrets(
    delivered: list[Json], users: Iterable[object], missing: list[Finding]
) -> Iterator[Json]:
    """Yield every secret that is referred to: whole, or by name if the agent has it."""
    known = {str(secret["name"]): secret for secret in delivered}
    for name in sorted(set(_references(users)) | known.keys()):
        if name in known:
            yield known[name]
        elif name.startswith(_SERVED):
            message = f"secret {name} is referred to, and not there for this proxy"
            fix = "add the Secret to the files; it must be in the namespace of the proxy"
            missing.append(Finding(level=Level.WARNING, message=message, fix=fix))
        else:
            yield {"name": name}


def _references(value: object) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _references(each)
    elif isinstance(value, dict):
        for key, each in value.items():
            if key.endswith(("sds_secret_config", "sds_secret_configs")):
                found = each if isinstance(each, list) else [each]
                yield from (str(one["name"]) for one in found)
            else:
                yield from _references(each)


def _defect(failure: Failure) -> Finding:
    if failure.patch is not None:
        return left_out.of_failure(failure)
    what = failure.resource or "the whole type"
    return Finding(
        level=Level.ERROR,
        message=f"{failure.type.short} {what} could not be made: {failure.error}",
        fix="this is a defect of Rhumb; please report it with the configuration",
    )
