"""A client outside the mesh: asks through the published ports and remembers what it got."""

import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import islice

import msgspec

from rhumb.base.errors import RhumbError

PAGE = "/productpage"
_VERSION = re.compile(rb"served by\D*(v\d)")
_PANEL = re.compile(rb"Error fetching product (\w+)")
_NO_STARS = b"Ratings service is currently unavailable"
_ANSWER_S = 15.0
_HANDSHAKE_S = 5.0
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
    def lacks(self) -> frozenset[str]:
        """Return what the page apologises for: details, reviews, ratings."""
        found = {name.decode() for name in _PANEL.findall(self.body)}
        return frozenset(found | ({"ratings"} if _NO_STARS in self.body else set()))

    @property
    def whole(self) -> bool:
        """Tell whether it is a page with all its parts."""
        return self.status == 200 and not self.lacks


class Tls(msgspec.Struct, frozen=True):
    """How a server proves who it is."""

    name: str
    authorities: str
    """PEM; nobody else is believed."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, port: int, tls: Tls | None, seconds: float = _ANSWER_S) -> None:
        super().__init__("127.0.0.1", port, timeout=seconds)
        self._tls = tls

    def connect(self) -> None:
        if self._tls is None:
            super().connect()
            return
        context = ssl.create_default_context(cadata=self._tls.authorities)
        # Wrapped before it connects: who holds it can close it when the peer goes during the handshake.
        self.sock = context.wrap_socket(socket.socket(), server_hostname=self._tls.name)
        self.sock.settimeout(self.timeout)
        self.sock.connect((self.host, self.port))


class Gateway:
    """A published port of the mesh."""

    def __init__(self, port: int, tls: Tls | None = None) -> None:
        self._port = port
        self._tls = tls

    def asking(
        self,
        path: str = PAGE,
        headers: Mapping[str, str] | None = None,
        *,
        reconnect: bool = False,
    ) -> Generator[Seen]:
        """Send requests one after the other, on one connection unless `reconnect`, for ever."""
        host = {"Host": self._tls.name} if self._tls else {}
        connection = _Connection(self._port, self._tls)
        try:
            while True:
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
                yield Seen(status, time.monotonic() - began, body)
        finally:
            connection.close()

    def ask(
        self, count: int, path: str = PAGE, headers: Mapping[str, str] | None = None
    ) -> list[Seen]:
        """Send so many requests one after the other."""
        with closing(self.asking(path, headers)) as answers:
            return list(islice(answers, count))

    def at_once(self, connections: int, count: int) -> list[Seen]:
        """Send so many requests in all, on several connections at the same time."""
        found: list[Seen] = []
        left = iter(range(count))

        def work() -> None:
            with closing(self.asking()) as answers:
                # `next` of a range is one step of the interpreter: no two threads get the same turn.
                while next(left, None) is not None:
                    found.append(next(answers))

        workers = [threading.Thread(target=work) for _ in range(connections)]
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

    def certificate(self, seconds: float = _HANDSHAKE_S) -> bytes:
        """Return the certificate that the port shows, DER.

        Raises OSError (ssl.SSLError among them) when it does not prove who it should be, or not in time:
        a published port that leads nowhere keeps its callers waiting.
        """
        connection = _Connection(self._port, self._tls, seconds)
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
        with closing(self._gateway.asking(reconnect=self._reconnect)) as answers:
            for seen in answers:
                with self._lock:
                    self.asked += 1
                    if not self._good(seen):
                        self.failures.append(f"{seen.status} {_gist(seen)}")
                if self._ended.is_set():
                    return


def _gist(seen: Seen) -> str:
    if seen.lacks:
        return f"without {', '.join(sorted(seen.lacks))}"
    return seen.body.decode(errors="replace")[:80]
