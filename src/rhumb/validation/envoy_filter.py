"""Rules for EnvoyFilter: conditions that fit what is patched, and values that are Envoy's."""

from collections.abc import Iterator, Mapping

import msgspec
from google.protobuf.json_format import ParseError

from rhumb.model.kinds.envoy_filter import (
    MESSAGES,
    ApplyTo,
    ConfigPatch,
    EnvoyFilter,
    FilterMatch,
    ListenerMatch,
    ObjectMatch,
    Operation,
    Patch,
    PatchContext,
)
from rhumb.model.resource import Resource
from rhumb.protos.rules import violations
from rhumb.protos.types import UnknownTypeError, message_class, parse
from rhumb.validation import regex, rules
from rhumb.validation.rules import Report
from rhumb.validation.target_refs import check_target_refs

_LONGEST_VERSION = 1024
_MANAGER = "envoy.filters.network.http_connection_manager"
_OLD_MANAGER = "envoy.http_connection_manager"
_LEFT_OUT = "the patch is left out; see Envoy's API reference for the fields there are"

_LISTENERS = (
    ApplyTo.LISTENER,
    ApplyTo.FILTER_CHAIN,
    ApplyTo.NETWORK_FILTER,
    ApplyTo.HTTP_FILTER,
)
_ROUTES = (ApplyTo.ROUTE_CONFIGURATION, ApplyTo.VIRTUAL_HOST, ApplyTo.HTTP_ROUTE)
_MERGES = (Operation.MERGE, Operation.MERGE_AND_REPLACE_LIST)
_REPLACED = (
    ApplyTo.LISTENER_FILTER,
    ApplyTo.NETWORK_FILTER,
    ApplyTo.HTTP_FILTER,
    ApplyTo.VIRTUAL_HOST,
)
_RENAMED = {
    "envoy.buffer": "envoy.filters.http.buffer",
    "envoy.client_ssl_auth": "envoy.filters.network.client_ssl_auth",
    "envoy.cors": "envoy.filters.http.cors",
    "envoy.csrf": "envoy.filters.http.csrf",
    "envoy.ext_authz": "envoy.filters.http.ext_authz",
    "envoy.fault": "envoy.filters.http.fault",
    "envoy.grpc_http1_bridge": "envoy.filters.http.grpc_http1_bridge",
    "envoy.grpc_json_transcoder": "envoy.filters.http.grpc_json_transcoder",
    "envoy.grpc_web": "envoy.filters.http.grpc_web",
    "envoy.gzip": "envoy.filters.http.gzip",
    "envoy.health_check": "envoy.filters.http.health_check",
    "envoy.http_connection_manager": _MANAGER,
    "envoy.http_dynamo_filter": "envoy.filters.http.dynamo",
    "envoy.ip_tagging": "envoy.filters.http.ip_tagging",
    "envoy.listener.http_inspector": "envoy.filters.listener.http_inspector",
    "envoy.listener.original_dst": "envoy.filters.listener.original_dst",
    "envoy.listener.original_src": "envoy.filters.listener.original_src",
    "envoy.listener.proxy_protocol": "envoy.filters.listener.proxy_protocol",
    "envoy.listener.tls_inspector": "envoy.filters.listener.tls_inspector",
    "envoy.lua": "envoy.filters.http.lua",
    "envoy.mongo_proxy": "envoy.filters.network.mongo_proxy",
    "envoy.rate_limit": "envoy.filters.http.ratelimit",
    "envoy.ratelimit": "envoy.filters.network.ratelimit",
    "envoy.redis_proxy": "envoy.filters.network.redis_proxy",
    "envoy.router": "envoy.filters.http.router",
    "envoy.squash": "envoy.filters.http.squash",
    "envoy.tcp_proxy": "envoy.filters.network.tcp_proxy",
}


def check_envoy_filter(_resource: Resource, spec: EnvoyFilter, report: Report) -> None:
    """Check an EnvoyFilter."""
    report.warn(
        "spec",
        "EnvoyFilter exposes internal implementation details that may change at any time. "
        "Prefer other APIs if possible, and exercise extreme caution, especially around upgrades.",
    )
    selector = "workloadSelector" if spec.workload_selector is not None else ""
    check_target_refs(report, spec.target_refs, selector=selector)
    rules.check_workload_selector(report, spec.workload_selector, "Envoy filter")
    for index, patch in enumerate(spec.config_patches):
        _check(report, f"spec.configPatches[{index}]", patch)


def _check(report: Report, at: str, config: ConfigPatch) -> None:
    match = config.match or ObjectMatch()
    waypoint = match.context is PatchContext.WAYPOINT
    if waypoint is not (match.waypoint is not None):
        report.error(f"{at}.match", "only support waypointMatch when context is WAYPOINT")
    if match.waypoint is not None and match.waypoint.port_number > 65535:
        report.error(f"{at}.match.waypoint.portNumber", "port must be between 1-65535")
    if waypoint:
        return
    missing = _missing(config)
    if missing or config.patch is None:
        report.error(at, f"Envoy filter: {missing}")
        return
    if not _check_proxy(report, f"{at}.match.proxy.proxyVersion", match):
        return
    wrong = next(_mismatch(config.apply_to, match), None)
    if wrong is not None:
        report.error(f"{at}.match", f"Envoy filter: {wrong}")
        return
    _advise(report, at, config.apply_to, match)
    _check_operation(report, f"{at}.patch.operation", config.apply_to, config.patch)
    if config.patch.value is not None:
        _check_value(report, f"{at}.patch.value", config, config.patch.value)


def _missing(config: ConfigPatch) -> str:
    if config.apply_to is ApplyTo.INVALID:
        return "missing applyTo"
    if config.patch is None:
        return "missing patch"
    if config.patch.operation is Operation.INVALID:
        return "missing patch operation"
    if config.patch.operation is not Operation.REMOVE and config.patch.value is None:
        return "missing patch value for non-remove operation"
    return ""


def _check_proxy(report: Report, at: str, match: ObjectMatch) -> bool:
    version = match.proxy.proxy_version if match.proxy is not None else ""
    if len(version) > _LONGEST_VERSION:
        report.warn(
            at,
            f"Envoy filter: proxyVersion match exceeds {_LONGEST_VERSION} characters and will be ignored",
            "the patch is for no proxy; write a shorter pattern",
        )
    elif version and (wrong := regex.syntax_error(version)):
        report.error(at, f"Envoy filter: invalid regex for proxy version, [{wrong}]")
        return False
    return True


def _mismatch(apply_to: ApplyTo, match: ObjectMatch) -> Iterator[str]:
    """Yield why the conditions do not fit what is patched."""
    said = match.listener, match.route_configuration, match.cluster
    if not any(each is not None for each in said):
        return
    if apply_to in _LISTENERS:
        if match.listener is None:
            yield "applyTo for listener class objects cannot have non listener match"
        elif (found := _filter(match.listener)) is not None:
            yield from _wrong_filter(apply_to, found)
    elif apply_to in _ROUTES and match.route_configuration is None:
        yield "applyTo for http route class objects cannot have non route configuration match"
    elif apply_to is ApplyTo.CLUSTER and match.cluster is None:
        yield "applyTo for cluster class objects cannot have non cluster match"


def _filter(match: ListenerMatch) -> FilterMatch | None:
    return match.filter_chain.filter if match.filter_chain is not None else None


def _wrong_filter(apply_to: ApplyTo, found: FilterMatch) -> Iterator[str]:
    if not found.name:
        yield "filter match has no name to match on"
    if found.sub_filter is None:
        return
    if apply_to is not ApplyTo.HTTP_FILTER:
        yield "subfilter match can be used with applyTo HTTP_FILTER only"
    if found.name not in (_MANAGER, _OLD_MANAGER):
        yield f"subfilter match requires filter match with {_MANAGER}"
    if not found.sub_filter.name:
        yield "subfilter match has no name to match on"


def _advise(report: Report, at: str, apply_to: ApplyTo, match: ObjectMatch) -> None:
    """Warn of conditions that have no effect, or are never met."""
    found = _filter(match.listener) if match.listener is not None else None
    if found is None or apply_to not in _LISTENERS:
        return
    where = f"{at}.match.listener.filterChain.filter"
    if apply_to in (ApplyTo.LISTENER, ApplyTo.FILTER_CHAIN):
        report.warn(where, f"Envoy filter: filter match has no effect when used with {apply_to}")
    sub = found.sub_filter.name if found.sub_filter is not None else ""
    for name, field in ((found.name, "name"), (sub, "subFilter.name")):
        if name in _RENAMED:
            report.warn(
                f"{where}.{field}",
                f'using deprecated filter name "{name}"; use "{_RENAMED[name]}" instead',
                "nothing has the old name, so the patch is applied nowhere",
            )


def _check_operation(report: Report, at: str, apply_to: ApplyTo, patch: Patch) -> None:
    """Warn of operations that do nothing."""
    operation = patch.operation
    if apply_to is ApplyTo.EXTENSION_CONFIG:
        useless, fix = operation in (*_MERGES, Operation.REMOVE, Operation.REPLACE), "use ADD"
    elif apply_to in (ApplyTo.BOOTSTRAP, ApplyTo.ROUTE_CONFIGURATION):
        useless, fix = operation not in _MERGES, "use MERGE"
    else:
        useless = operation is Operation.REPLACE and apply_to not in _REPLACED
        fix = "use MERGE, or REMOVE and ADD"
    if useless:
        report.warn(at, f"{operation} has no effect on {apply_to}", fix)


def _check_value(report: Report, at: str, config: ConfigPatch, said: Mapping[str, object]) -> None:
    made = message_class(MESSAGES[config.apply_to])
    text = msgspec.json.encode(dict(said), enc_hook=dict)
    try:
        parse(msgspec.json.decode(text), made, lenient=True)
    except UnknownTypeError as error:
        hint = " (hint: try using the v3 XDS API)" if ".v2." in str(error) else ""
        report.error(at, f"Envoy filter: referenced type unknown{hint}: {error}")
        return
    except ParseError as error:
        report.error(at, f"Envoy filter: {_words(error)}")
        return
    try:
        value = parse(msgspec.json.decode(text), made)
    except ParseError as error:
        report.warn(at, f"Envoy filter: {_words(error)}", _LEFT_OUT)
        return
    if config.patch is not None and config.patch.operation not in (*_MERGES, Operation.REMOVE):
        wrong = next(violations(value), None)
        if wrong is not None:
            report.warn(at, f"Envoy filter: {wrong}", _LEFT_OUT)
    given = {"typed_config", "typedConfig", "config_discovery", "configDiscovery"}
    if "typed_config" in made.DESCRIPTOR.fields_by_name and given.isdisjoint(said):
        name = said.get("name", "")
        report.warn(at, f"using deprecated types by name without typed_config; {name}")


def _words(error: ParseError) -> str:
    return str(error).replace("\n", "").replace("  ", " ").strip()
