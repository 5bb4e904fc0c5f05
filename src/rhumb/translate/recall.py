"""What is made of a service: once for all views that have the same policy for it."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

from rhumb.model.service import Service
from rhumb.snapshot.snapshot import Policy, Snapshot
from rhumb.snapshot.view import View
from rhumb.xds.types import XdsType

V = TypeVar("V")


class Recall(Protocol):
    """Makes something of a service, or returns what was made already."""

    def __call__(
        self, service: Service, make: Callable[[Service], Iterable[V]], /
    ) -> tuple[V, ...]:
        """Return what `make` makes."""
        ...


def anew(service: Service, make: Callable[[Service], Iterable[V]]) -> tuple[V, ...]:
    """Make it."""
    return tuple(make(service))


def by_host(
    snapshot: Snapshot,
    view: View,
    hosts: frozenset[str] | None,
    make: Callable[[Service], Iterable[V]],
    recall: Recall,
) -> Iterator[tuple[str, tuple[V, ...]]]:
    """Yield what is made of the services that a view sees, host name by host name; `hosts` None: of all.

    Of a host that the view does not see nothing is made.
    """
    scope = snapshot.scope(view)
    for host in sorted(hosts) if hosts is not None else [s.hostname for s in scope.services]:
        service = scope.service(host)
        yield host, recall(service, make) if service is not None else ()


class OfServices:
    """Clusters and endpoints of services, in one snapshot.

    Of a view they depend on all but its namespace, and on that through the service and the policy
    that it finds.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[XdsType, View, int, int], tuple[Service, Policy | None, Any]] = {}
        """Services and policies are held, for the keys tell them by identity."""

    def recall(self, snapshot: Snapshot, view: View, kind: XdsType) -> Recall:
        """Return what makes a type for a view."""
        base = snapshot.nobodys(view)

        def of_service(service: Service, make: Callable[[Service], Iterable[V]]) -> tuple[V, ...]:
            policy = snapshot.policy(view, service)
            key = kind, base, id(service), id(policy)
            known = self._made.get(key)
            if known is None:
                known = self._made[key] = service, policy, tuple(make(service))
            found: tuple[V, ...] = known[2]
            return found

        return of_service
