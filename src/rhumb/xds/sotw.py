"""One type on one state-of-the-world stream."""

from dataclasses import dataclass

from rhumb.xds.events import Accepted, Action, Answer, Rejected, SotwRequest, Stale
from rhumb.xds.types import WILDCARD, XdsType


@dataclass(slots=True)
class SotwWatch:
    """What one client wants of one type (xDS protocol, "State of the World")."""

    type: XdsType
    wildcard: bool = False
    names: frozenset[str] = frozenset()
    nonce: str = ""
    open: bool = False
    begun: bool = False

    def sent(self, nonce: str) -> None:
        """Note that a response went out."""
        self.nonce, self.open = nonce, True

    def receive(self, request: SotwRequest) -> list[Action]:
        """Tell ACK, NACK, stale answers and changed interest apart.

        The first request of a stream counts whatever nonce it brings: a client that reconnects
        keeps its old one.
        """
        first, self.begun = not self.begun, True
        if not first and request.nonce != self.nonce:
            return [Stale(request.nonce)]
        actions: list[Action] = []
        if not first and self.open and request.nonce:
            self.open = False
            rejected = request.error is not None
            actions.append(
                Rejected(request.nonce, request.error or "")
                if rejected
                else Accepted(request.nonce)
            )
        added = self._subscribe(frozenset(request.names), first=first)
        if added is not None:
            brings = request.version if first else ""
            actions.append(Answer(added, returns=bool(brings), version=brings))
        return actions

    def _subscribe(self, names: frozenset[str], *, first: bool) -> frozenset[str] | None:
        """Take the names as they are now; return the added ones, None if no answer is due."""
        had_all, had = self.wildcard, self.names
        # No names at all means everything while no name was ever given, and nothing afterwards.
        legacy = not names and self.type.is_wildcard and (first or (had_all and not had))
        self.wildcard = WILDCARD in names or legacy
        self.names = names - {WILDCARD}
        added = self.names - had
        if first and not (self.wildcard or self.names):
            return None
        if first or added or (self.wildcard and not had_all):
            return added
        return None
