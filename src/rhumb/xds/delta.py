"""One type on one incremental stream: who is subscribed to what, and which response is open."""

from dataclasses import dataclass

from rhumb.xds.events import Accepted, Action, Answer, DeltaRequest, Rejected, Stale
from rhumb.xds.types import WILDCARD, XdsType

NOBODY: frozenset[str] = frozenset()


@dataclass(slots=True)
class DeltaWatch:
    """What one client wants of one type (xDS protocol, "Incremental xDS")."""

    type: XdsType
    wildcard: bool = False
    names: frozenset[str] = NOBODY
    nonce: str = ""
    """Of the last response sent."""
    open: bool = False
    """The last response has been neither accepted nor rejected."""
    begun: bool = False

    def sent(self, nonce: str) -> None:
        """Note that a response went out."""
        self.nonce, self.open = nonce, True

    def receive(self, request: DeltaRequest) -> list[Action]:
        """Tell ACK, NACK and stale answers apart, and subscribe; a request may be several at once.

        A subscription counts even beside a stale nonce: it is a difference and comes only once.
        """
        first, self.begun = not self.begun, True
        actions: list[Action] = []
        if not first and request.nonce:
            actions.append(self._judge(request))
            if not (request.subscribe or request.unsubscribe):
                return actions  # most requests are this
        asked = self._subscribe(request, first=first)
        if asked is not None:
            brings = request.initial if first else {}
            actions.append(Answer(asked, brings, bool(brings)))
        return actions

    def _judge(self, request: DeltaRequest) -> Action:
        if request.nonce != self.nonce or not self.open:
            return Stale(request.nonce)
        self.open = False
        if request.error is not None:
            return Rejected(request.nonce, request.error)
        return Accepted(request.nonce)

    def _subscribe(self, request: DeltaRequest, *, first: bool) -> frozenset[str] | None:
        """Apply the difference; return the names to answer, None if no answer is due."""
        asked = frozenset(request.subscribe)
        legacy = first and not asked and self.type.is_wildcard
        everything = legacy or WILDCARD in asked
        asked -= {WILDCARD}
        if first and not everything:
            # A client that lists what it holds is subscribed to it, named again or not.
            asked |= request.initial.keys()
        self.wildcard = self.wildcard or everything
        if asked:
            self.names |= asked
        if request.unsubscribe:
            self.names -= frozenset(request.unsubscribe)
            self.wildcard = self.wildcard and WILDCARD not in request.unsubscribe
        asked &= self.names
        return asked if asked or everything else None
