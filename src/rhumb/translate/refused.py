"""What users should know of servers of Gateways that no router serves."""

from collections.abc import Iterable

from rhumb.ir.origin import Origin
from rhumb.model.finding import Finding, Level
from rhumb.model.kinds.table import NETWORKING
from rhumb.model.proxy import Role
from rhumb.model.resource import Key, Location
from rhumb.snapshot.snapshot import Snapshot
from rhumb.snapshot.view import View
from rhumb.translate.gateway_servers import Refused, merged


def findings(snapshot: Snapshot, views: Iterable[View]) -> tuple[Finding, ...]:
    """Return a warning for each server that a router among these views leaves out, in order of place."""
    found: dict[Origin, Refused] = {}
    for view in views:
        if view.role is Role.ROUTER:
            for refused in merged(view, snapshot.gateways(view)).refused:
                found.setdefault(refused.origin, refused)
    return tuple(_finding(found[at]) for at in sorted(found))


def _finding(refused: Refused) -> Finding:
    at = refused.origin
    return Finding(
        level=Level.WARNING,
        key=Key(NETWORKING, at.kind, at.namespace, at.name),
        field=at.field,
        location=Location(at.file, at.line),
        message=f"not in force: {refused.reason}",
        fix="give it another port" if refused.winner is None else _way_out(refused),
    )


def _way_out(refused: Refused) -> str:
    assert refused.winner is not None
    return f"give it another port, or let {refused.winner.gateway.name} serve its hosts"
