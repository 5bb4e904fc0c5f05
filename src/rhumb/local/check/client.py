"""A client outside the mesh: asks through the published ports and remembers what it got."""

import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import msgspec

from rhumb.base.errors import RhumbError

PAGE = "/productpage"
_VERSION = re.compile(rb"served by\D*(v\d)")
_ANSWER_S = 15.0
_MORE_S = 30.0


class Seen(msgspec.Struct, frozen=True):
    """What one request got; status 0: no answer."""

    status: int
    seconds: float
    body: bytes = b""

    @property
    def version(self) -> str:
        """Return the version of reviews that the page names, or `none`."""
        match = _VERSION.search(self.body)
        return match.group(1).decode() if match else "none"

    @property
    def lacks_reviews(self) -> bool:
        """Tell whether the page apologises for missing reviews."""
        return b"reviews are currently unavailable" in self.body

    @property
    def lacks_stars(self) -> bool:
        """Tell whether the page's reviews miss their ratings."""
        return b"atings service is currently unavailable" in self.body

    @property
    def whole(self) -> bool:
        """Tell whether it is a page with all its parts."""
        return self.status == 200 and b'class="error"' not in self.body and not self.lacks_stars


class Tls(msgspec.Struct, frozen=True):
    """How a server proves who it is."""

    name: str
    authorities: str
    """PEM; nobody else is believed."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, port: int, tls: Tls | None) -> None:
        super().__init__("127.0.0.1", port, timeout=_ANSWER_S)
        self._tls = tls

    def connect(self) -> None:
        super().connect()
        if self._tls is not None:
            context = ssl.create_default_context(cadata=self._tls.authorities)
            self.sock: socket.socket = context.wrap_socket(
                self.sock, server_hostname=self._tls.name
            )


class Gateway:
    """A published port of the mesh."""

    def __init__(self, port: int, tls: Tls | None = None) -> None:
        self._port = port
        self._tls = tls

    def ask(
        self,
        count: int,
        path: str = PAGE,
        headers: Mapping[str, str] | None = None,
        *,
        reconnect: bool = False,
    ) -> list[Seen]:
        """Send requests one after the other, on one connection unless `reconnect`."""
        host = {"Host": self._tls.name} if self._tls else {}
        connection = _Connection(self._port, self._tls)
        found = []
        try:
            for _ in range(count):
                began = time.monotonic()
                try:
                    connection.request("GET", path, headers={**host, **(headers or {})})
                    answer = connection.getresponse()
                    body, status = answer.read(), answer.status
                except (OSError, http.client.HTTPException) as error:
                    connection.close()
                    body, status = repr(error).encode(), 0
                if reconnect:
                    connection.close()
                found.append(Seen(status, time.monotonic() - began, body))
        finally:
            connection.close()
        return found

    def at_once(self, connections: int, each: int) -> list[Seen]:
        """Send requests on several connections at the same time."""
        found: list[Seen] = []
        workers = [
            threading.Thread(target=lambda: found.extend(self.ask(each)))
            for _ in range(connections)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return found

    def sign_in(self, user: str) -> dict[str, str]:
        """Sign in at the page; return the headers of whoever has."""
        connection = _Connection(self._port, self._tls)
        try:
            connection.request("POST", "/login", f"username={user}")
            cookie = connection.getresponse().getheader("set-cookie") or ""
        except (OSError, http.client.HTTPException) as error:
            raise RhumbError(f"nobody can sign in at the page: {error!r}") from None
        finally:
            connection.close()
        return {"Cookie": cookie.partition(";")[0]}

    def certificate(self) -> bytes:
        """Return the certificate that the port shows, DER.

        Raises OSError (ssl.SSLError among them) when it does not prove who it should be.
        """
        connection = _Connection(self._port, self._tls)
        try:
            connection.connect()
            assert isinstance(connection.sock, ssl.SSLSocket)
            return connection.sock.getpeercert(binary_form=True) or b""
        finally:
            connection.close()


class Load:
    """Pages asked for all the time, while something is changed."""

    def __init__(
        self, gateway: Gateway, good: Callable[[Seen], bool], *, reconnect: bool = False
    ) -> None:
        self._gateway = gateway
        self._good = good
        self._reconnect = reconnect
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self.asked = 0
        self.failures: list[str] = []

    @contextmanager
    def running(self, connections: int) -> Iterator["Load"]:
        """Ask on so many connections while the block runs."""
        self._ended.clear()
        workers = [threading.Thread(target=self._run) for _ in range(connections)]
        for worker in workers:
            worker.start()
        try:
            yield self
        finally:
            self._ended.set()
            for worker in workers:
                worker.join()

    def more(self, count: int) -> None:
        """Wait until so many further pages have come. Raises RhumbError when they do not."""
        wanted = self.asked + count
        deadline = time.monotonic() + _MORE_S
        while self.asked < wanted:
            if time.monotonic() > deadline:
                raise RhumbError(f"no {count} pages in {_MORE_S:.0f} s")
            time.sleep(0.01)

    def _run(self) -> None:
        while not self._ended.is_set():
            for seen in self._gateway.ask(5, reconnect=self._reconnect):
                with self._lock:
                    self.asked += 1
                    if not self._good(seen):
                        self.failures.append(f"{seen.status} {_gist(seen.body)}")


def _gist(body: bytes) -> str:
    error = re.search(rb'class="error".*?<p>(.*?)</p>|class="note">(.*?)<', body, re.DOTALL)
    text = next((g for g in error.groups() if g), b"") if error else body
    return text.decode(errors="replace")[:80]
