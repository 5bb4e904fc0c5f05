"""What a rule of a VirtualService does with a request: forward, redirect or answer."""

from collections.abc import Callable

import msgspec

from rhumb.ir.match import PathKind, RequestMatch
from rhumb.ir.origin import Origin
from rhumb.ir.policy import HashPolicy, HeaderChanges, Mirror
from rhumb.ir.route import (
    Action,
    DirectResponse,
    Forward,
    Redirect,
    RegexRewrite,
    Route,
    Target,
)
from rhumb.model.kinds.virtual_service import (
    Destination,
    HttpDirectResponse,
    HttpMirrorPolicy,
    HttpRedirect,
    HttpRoute,
    HttpRouteDestination,
    RedirectPortSelection,
)
from rhumb.model.service import Service
from rhumb.translate import names
from rhumb.translate.perspective import Perspective
from rhumb.translate.routes import policies
from rhumb.translate.routes.headers import header_changes, new_authority

_MAX_WEIGHTS = 2**32 - 1
_REDIRECT_CODES = (301, 302, 303, 307, 308)


class Setting(msgspec.Struct, frozen=True, eq=False):
    """Where the routes of a VirtualService are used."""

    seen: Perspective
    port: int
    """Port of the listener: the default port of destinations."""
    lookup: Callable[[str], Service | None]
    """The service that a destination host means."""
    is_tls: bool = False
    """The listener terminates TLS, so that redirects default to https."""

    def cluster(self, destination: Destination) -> str:
        """Name the cluster of a destination; unknown hosts and subsets keep their name (they answer 503)."""
        return cluster_of(self.seen, destination, self.lookup(destination.host), self.port)

    def hash_policies(self, destination: Destination) -> tuple[HashPolicy, ...]:
        """Return the hash key that the DestinationRule of a destination asks for."""
        service = self.lookup(destination.host)
        if service is None:
            return ()
        name = names.parse_cluster(self.cluster(destination))
        port = name.port if name else self.port
        return policies.hash_policy(self.seen.consistent_hash(service, destination.subset, port))


def cluster_of(
    seen: Perspective, destination: Destination, service: Service | None, port: int
) -> str:
    """Name the cluster of a destination.

    The port is the one written, else the listener's, else the only one that the service has.
    """
    host, number = destination.host, port
    if destination.port is not None and destination.port.number:
        number = destination.port.number
    elif service is not None and len(service.ports) == 1:
        number = service.ports[0].number
    if service is not None:
        host = seen.concrete(service).hostname
    return str(names.OutboundCluster(number, host, destination.subset))


def route(
    setting: Setting,
    rule: HttpRoute,
    name: str,
    match: RequestMatch,
    *,
    owner: str,
    origin: tuple[Origin, ...],
) -> Route | None:
    """Translate one rule for one of its conditions; None when it can do nothing (unknown redirect code)."""
    action, headers = _action(setting, rule)
    if action is None:
        return None
    return Route(
        name=name,
        match=match,
        action=action,
        headers=headers,
        fault=policies.fault(rule.fault),
        cors=policies.cors(rule.cors_policy),
        operation=_operation(action, match, owner, setting.port),
        origin=origin,
    )


def default_route(
    setting: Setting, service: Service, port: int, origin: tuple[Origin, ...] = ()
) -> Route:
    """Return the route of a service that no VirtualService mentions (Istio: `default`)."""
    cluster = str(names.OutboundCluster(port, service.hostname))
    seen = setting.seen
    hashes = policies.hash_policy(seen.consistent_hash(service, "", port))
    return Route(
        name="default",
        action=Forward(
            targets=(Target(cluster),),
            retry=policies.retry(seen.mesh.config.default_http_retry_policy, hashed=False),
            hash_policies=hashes,
        ),
        operation=f"{service.hostname}:{port}/*",
        origin=origin,
    )


def _action(setting: Setting, rule: HttpRoute) -> tuple[Action | None, HeaderChanges]:
    headers = header_changes(rule.headers)
    if rule.redirect is not None:
        return _redirect(setting, rule.redirect), headers
    if rule.direct_response is not None:
        return _direct_response(rule.direct_response), headers
    return _forward(setting, rule, headers)


def _forward(
    setting: Setting, rule: HttpRoute, headers: HeaderChanges
) -> tuple[Forward | None, HeaderChanges]:
    authority = new_authority(rule.headers)
    prefix, regex = "", None
    if rule.rewrite is not None:
        authority = rule.rewrite.authority or authority
        if rule.rewrite.uri_regex_rewrite is not None:
            wanted = rule.rewrite.uri_regex_rewrite
            regex = RegexRewrite(wanted.match, wanted.rewrite)
        else:
            prefix = rule.rewrite.uri
    targets, hashes = _targets(setting, rule)
    if not targets:
        return None, headers
    if len(targets) == 1:
        only = targets[0]
        headers = headers.then(only.headers)
        authority = authority or only.host_rewrite
        targets = (Target(only.cluster),)
    elif authority:
        targets = tuple(msgspec.structs.replace(t, host_rewrite="") for t in targets)
    hashed = len(rule.route) == 1 and bool(hashes)
    return (
        Forward(
            targets=targets,
            timeout_ms=rule.timeout.ms if rule.timeout is not None else 0,
            retry=policies.retry(
                rule.retries or setting.seen.mesh.config.default_http_retry_policy, hashed=hashed
            ),
            prefix_rewrite=prefix,
            regex_rewrite=regex,
            host_rewrite=authority,
            mirrors=_mirrors(setting, rule),
            hash_policies=hashes,
        ),
        headers,
    )


def _targets(
    setting: Setting, rule: HttpRoute
) -> tuple[tuple[Target, ...], tuple[HashPolicy, ...]]:
    """Return the clusters that get requests; of several destinations, those of weight 0 get none."""
    wanted = [r for r in rule.route if r.destination is not None]
    if len(wanted) > 1:
        wanted = [r for r in wanted if r.weight > 0]
    targets: list[Target] = []
    hashes: list[HashPolicy] = []
    for each in wanted:
        if each.destination is None:
            continue
        targets.append(_target(setting, each, each.destination))
        hashes += [h for h in setting.hash_policies(each.destination) if h not in hashes]
    return _addable(targets), tuple(hashes)


def _addable(targets: list[Target]) -> tuple[Target, ...]:
    """Return the targets with weights whose sum Envoy can hold, the shares being what they were."""
    scale = -(-sum(t.weight for t in targets) // _MAX_WEIGHTS)
    if scale <= 1:
        return tuple(targets)
    return tuple(msgspec.structs.replace(t, weight=max(t.weight // scale, 1)) for t in targets)


def _target(setting: Setting, each: HttpRouteDestination, destination: Destination) -> Target:
    return Target(
        setting.cluster(destination),
        max(each.weight, 1),
        header_changes(each.headers),
        new_authority(each.headers),
    )


def _mirrors(setting: Setting, rule: HttpRoute) -> tuple[Mirror, ...]:
    found: list[Mirror] = []
    if rule.mirror is not None and (share := policies.mirror_share(rule)):
        found.append(Mirror(setting.cluster(rule.mirror), share))
    for each in rule.mirrors:
        share = _share(each)
        if each.destination is not None and share:
            found.append(Mirror(setting.cluster(each.destination), share))
    return tuple(found)


def _share(mirror: HttpMirrorPolicy) -> int:
    if mirror.percentage is None:
        return policies.MILLION
    return policies.per_million(mirror.percentage.value)


def _redirect(setting: Setting, wanted: HttpRedirect) -> Redirect | None:
    code = wanted.redirect_code or 301
    if code not in _REDIRECT_CODES:
        return None
    port = wanted.port or 0
    if wanted.derive_port is RedirectPortSelection.FROM_REQUEST_PORT:
        port = setting.port
    scheme = wanted.scheme or ("https" if setting.is_tls else "http")
    if (port, scheme) in ((80, "http"), (443, "https")):
        port = 0
    return Redirect(
        code=code,
        host=wanted.authority,
        path=wanted.uri,
        prefix=wanted.prefix_rewrite,
        scheme=wanted.scheme,
        port=port,
    )


def _direct_response(wanted: HttpDirectResponse) -> DirectResponse:
    body: bytes | None = None
    if wanted.body is not None:
        body = wanted.body.bytes_
        if wanted.body.string is not None:
            body = wanted.body.string.encode()
    return DirectResponse(min(wanted.status, policies.LAST_STATUS), body)


def _operation(action: Action, match: RequestMatch, owner: str, port: int) -> str:
    """Name the operation in traces: the host when it is certain, else the VirtualService."""
    path = match.path.value + ("*" if match.path.kind is PathKind.PREFIX else "")
    if isinstance(action, Forward) and len(action.targets) == 1:
        cluster = names.parse_cluster(action.targets[0].cluster)
        if isinstance(cluster, names.OutboundCluster):
            return f"{cluster.host}:{cluster.port}{path}"
    return f"{owner}:{port}{path}"
