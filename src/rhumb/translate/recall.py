"""What is made of a service: once for all views that have the same policy for it."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from rhumb.model.service import Service
from rhumb.snapshot.snapshot import Policy, Snapshot
from rhumb.snapshot.view import View
from rhumb.xds.types import XdsType

V = TypeVar("V")


class Recall(Protocol):
    """Makes something of a service, or returns what was made already."""

    def __call__(self, service: Service, make: Callable[[], Iterable[V]], /) -> tuple[V, ...]:
        """Return what `make` makes."""
        ...


def anew(_service: Service, make: Callable[[], Iterable[V]]) -> tuple[V, ...]:
    """Make it."""
    return tuple(make())


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

        def of_service(service: Service, make: Callable[[], Iterable[V]]) -> tuple[V, ...]:
            policy = snapshot.policy(view, service)
            key = kind, base, id(service), id(policy)
            known = self._made.get(key)
            if known is None:
                known = self._made[key] = service, policy, tuple(make())
            found: tuple[V, ...] = known[2]
            return found

        return of_service
