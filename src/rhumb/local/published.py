"""Published ports: sockets of the host's network, each led to a gateway while that is there."""

import socket
from collections.abc import Collection

from rhumb.local.relay import Relay, to


class Published:
    """Listening sockets by ADDRESS:PORT; callers wait where nothing is led to at the moment."""

    def __init__(self) -> None:
        self._sockets: dict[str, socket.socket] = {}
        self._relays: dict[str, tuple[tuple[str, int], Relay]] = {}

    @property
    def names(self) -> list[str]:
        """Return what is open."""
        return sorted(self._sockets)

    def add(self, name: str, listening: socket.socket) -> None:
        """Take a socket that somebody opened; what was there under this name is closed."""
        self._close({name})
        self._sockets[name] = listening

    def lead(self, name: str, host: str, port: int) -> None:
        """Lead connections to an address inside; does nothing for a name that is not open."""
        known = self._relays.get(name)
        if name not in self._sockets or (known and known[0] == (host, port)):
            return
        self.hold(name)
        relay = Relay(self._sockets[name], to(host, port))
        relay.start()
        self._relays[name] = (host, port), relay

    def hold(self, name: str) -> None:
        """Accept no more; who connects waits, and what is connected goes on."""
        known = self._relays.pop(name, None)
        if known:
            known[1].stop()

    def keep(self, names: Collection[str]) -> None:
        """Close all but these."""
        self._close(self._sockets.keys() - names)

    def _close(self, names: Collection[str]) -> None:
        for name in names:
            self.hold(name)
            found = self._sockets.pop(name, None)
            if found is not None:
                found.close()
