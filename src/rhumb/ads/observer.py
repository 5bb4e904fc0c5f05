"""What happens to streams, for those who count, log and register it."""

from rhumb.ads.connection import Nack
from rhumb.model.proxy import Proxy
from rhumb.xds.types import XdsType


class Observer:
    """What the rest of the control plane wants to know of streams; does nothing by default."""

    def connected(self, proxy: Proxy) -> None:
        """Take that a proxy said who it is. Raises RhumbError to refuse it."""

    def disconnected(self, proxy: Proxy) -> None:
        """Take that its stream has ended."""

    def health(self, proxy: Proxy, healthy: bool, reason: str) -> None:
        """Take what an agent says of its workload."""

    def nack(self, nack: Nack) -> None:
        """Take a rejection."""

    def sent(self, kind: XdsType, size: int, seconds: float) -> None:
        """Take that a response goes out, and how long it took to make."""

    def taken(self, seconds: float) -> None:
        """Take how long the connection needed to take a response."""

    def queued(self, seconds: float) -> None:
        """Take how long a change waited for its first response to a proxy."""

    def converged(self, seconds: float) -> None:
        """Take that a proxy has accepted all that a change meant for it."""

    def stale(self, count: int) -> None:
        """Take that a client answered old responses."""

    def refused(self, reason: str) -> None:
        """Take that a stream was refused or ended for what the client did."""
