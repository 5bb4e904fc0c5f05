"""One open stream: who is there, and how it is woken."""

import asyncio

import msgspec

from rhumb.ads.connection import Connection
from rhumb.base.errors import RhumbError
from rhumb.model.proxy import Proxy


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who is at the other end of a stream, as proved (identity "" on the plaintext port)."""

    identity: str = ""
    namespace: str = ""
    service_account: str = ""
    issued: str = ""
    expires: str = ""
    """Life of the certificate, RFC 3339."""
    address: str = ""


class Stream:
    """One open stream with what is known of its client."""

    def __init__(self, connection: Connection, caller: Caller, since: float) -> None:
        self.connection = connection
        self.caller = caller
        self.since = since
        self.last_push = 0.0
        self.pushes = 0
        self.is_awake = True
        """Something happened since it last looked for what to send."""
        self._asleep: asyncio.Future[None] | None = None
        self.failed: RhumbError | None = None
        self.behind: float | None = None
        """When the change happened that the client has yet to accept; None while there is none."""
        self.told = False
        """Something was sent for that change."""
        self.late: asyncio.TimerHandle | None = None
        """Goes off when an answer to one of its first responses is late."""
        self.is_queued = False
        """It waits for its turn to have something made."""

    @property
    def proxy(self) -> Proxy | None:
        """Return the proxy once it has said who it is."""
        return self.connection.proxy

    def wake(self) -> None:
        """Have it look for what to send."""
        self.is_awake = True
        if self._asleep is not None and not self._asleep.done():
            self._asleep.set_result(None)

    async def sleep(self) -> None:
        """Wait until something happened."""
        if not self.is_awake:
            self._asleep = asyncio.get_running_loop().create_future()
            await self._asleep
            self._asleep = None
