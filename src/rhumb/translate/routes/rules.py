"""The routes of one VirtualService for one view, port and gateway."""

import msgspec

from rhumb.ir.origin import origin
from rhumb.ir.route import Route
from rhumb.model.kinds.virtual_service import HttpMatchRequest
from rhumb.snapshot.snapshot import Routing
from rhumb.translate.names import config_path
from rhumb.translate.routes.actions import Setting, route
from rhumb.translate.routes.delegates import Rule, rules
from rhumb.translate.routes.matching import applies, request


def routes(setting: Setting, routing: Routing, *, gateway: str) -> tuple[Route, ...]:
    """Translate the rules that can apply; nothing after a rule that takes every request is kept."""
    found: list[Route] = []
    for rule in rules(setting.seen.snapshot, routing):
        for match in rule.spec.match or (None,):
            if not applies(setting.seen, match, gateway=gateway, port=setting.port):
                continue
            made = _route(setting, routing, rule, match)
            if made is None:
                continue
            found.append(made)
            if made.match.is_catch_all:
                return tuple(found)
        if not rule.spec.match:
            break
    return tuple(found)


def _route(
    setting: Setting, routing: Routing, rule: Rule, match: HttpMatchRequest | None
) -> Route | None:
    named = match is not None and match.name
    meta = routing.resource.meta
    made = route(
        setting,
        rule.spec,
        f"{rule.spec.name}.{match.name}" if match is not None and named else rule.spec.name,
        request(match),
        owner=meta.name,
        origin=(origin(rule.resource, rule.field),),
    )
    if made is None:
        return None
    return msgspec.structs.replace(
        made,
        stat_prefix=match.stat_prefix if match is not None else "",
        config=config_path("virtual-service", meta.namespace, meta.name),
    )
