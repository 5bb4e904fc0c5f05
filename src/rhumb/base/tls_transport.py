"""The server's end of a TLS connection, over the socket itself.

The transports of asyncio and uvloop let OpenSSL write to memory, in buffers that grow to the largest message
and never shrink: 0.1 to 0.3 MB for each connection. On a socket it needs none.
"""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable

_RECORD = 16 << 10
"""The most that TLS sends at once (RFC 8446, 5.1)."""
_HIGH, _LOW = 64 << 10, 16 << 10
"""Unsent bytes at which writing is paused, and goes on."""
_GOODBYE_S = 30.0
"""How long the far end has to take what is unsent, and to say that it has heard of the end."""

_AGAIN = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


class TlsTransport(asyncio.Transport):
    """A transport of asyncio that reads nothing before `resume_reading`; `accept` makes it."""

    def __init__(self, connection: ssl.SSLSocket, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._socket = connection
        self._descriptor = connection.fileno()
        self._protocol = protocol
        self._unsent = deque[memoryview]()
        self._size = 0
        """Bytes unsent."""
        self._is_paused = True
        self._is_closing = False
        self._is_lost = False
        self._holds_up = False
        self._goodbye: asyncio.TimerHandle | None = None

    @property
    def certificate(self) -> bytes:
        """Return the verified certificate of the far end (DER), b"" for none."""
        return self._socket.getpeercert(binary_form=True) or b""

    def is_closing(self) -> bool:
        """Tell whether nothing can be written any more."""
        return self._is_closing

    def pause_reading(self) -> None:
        """Read nothing until `resume_reading`."""
        if not self._is_paused and not self._is_lost:
            self._is_paused = True
            self._loop.remove_reader(self._descriptor)

    def resume_reading(self) -> None:
        """Begin to read, or go on."""
        if self._is_paused and not self._is_lost:
            self._is_paused = False
            self._loop.add_reader(self._descriptor, self._read)

    def write(self, data: "bytes | bytearray | memoryview[int]") -> None:
        """Send some bytes, now or when the far end takes more."""
        if self._is_closing:
            return
        rest = memoryview(data)
        if not self._unsent:
            rest = self._send(rest)
            if not rest or self._is_lost:
                return
            self._loop.add_writer(self._descriptor, self._flush)
        self._unsent.append(rest)
        self._size += len(rest)
        if self._size > _HIGH and not self._holds_up:
            self._holds_up = True
            self._protocol.pause_writing()

    def close(self) -> None:
        """Send what is unsent, and then the end."""
        if not self._is_closing:
            self._is_closing = True
            self._goodbye = self._loop.call_later(_GOODBYE_S, self._lose, None)
            if not self._unsent:
                self._say_goodbye()

    def abort(self) -> None:
        """Close now."""
        self._lose(None)

    def _read(self) -> None:
        try:
            # A whole record: OpenSSL keeps nothing of which the socket would not tell.
            data = self._socket.recv(_RECORD)
        except _AGAIN:
            return
        except ssl.SSLZeroReturnError:
            data = b""  # so it says when both ends have said that it is over
        except OSError as error:
            self._lose(error)
            return
        if not data:
            self._lose(None)
        elif not self._is_closing:
            self._protocol.data_received(data)

    def _send(self, data: memoryview) -> memoryview:
        """Send what the far end takes, and return the rest."""
        while data:
            try:
                data = data[self._socket.send(data[:_RECORD]) :]
            except _AGAIN:
                break
            except OSError as error:
                self._lose(error)
                break
        return data

    def _flush(self) -> None:
        while self._unsent:
            first = self._unsent.popleft()
            rest = self._send(first)
            if self._is_lost:
                return
            self._size -= len(first) - len(rest)
            if rest:
                # The same bytes once more, as OpenSSL demands.
                self._unsent.appendleft(rest)
                break
        if self._holds_up and self._size <= _LOW:
            self._holds_up = False
            self._protocol.resume_writing()
        if not self._unsent:
            self._loop.remove_writer(self._descriptor)
            if self._is_closing:
                self._say_goodbye()

    def _say_goodbye(self) -> None:
        try:
            self._socket.unwrap()
        except ssl.SSLWantWriteError:
            self._loop.add_writer(self._descriptor, self._flush)  # which comes here again
        except ssl.SSLWantReadError:
            # Sent. What still comes is read, or the kernel would reset the connection, and with it what is on its way.
            self.resume_reading()
        except (OSError, ValueError):
            self._lose(None)
        else:
            self._lose(None)

    def _lose(self, error: OSError | None) -> None:
        if self._is_lost:
            return
        self._is_lost = self._is_closing = True
        if self._goodbye is not None:
            self._goodbye.cancel()
        self._unsent.clear()
        self._loop.remove_reader(self._descriptor)
        self._loop.remove_writer(self._descriptor)
        self._socket.close()
        self._loop.call_soon(self._protocol.connection_lost, error)


async def accept(
    connection: socket.socket, context: ssl.SSLContext, protocol: asyncio.Protocol
) -> TlsTransport:
    """Shake hands, and tell the protocol of its transport. Raises OSError; the connection is closed then."""
    secure = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
    try:
        await _shake_hands(secure)
    except BaseException:
        secure.close()
        raise
    transport = TlsTransport(secure, protocol)
    protocol.connection_made(transport)
    return transport


async def _shake_hands(secure: ssl.SSLSocket) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            secure.do_handshake()
        except ssl.SSLWantReadError:
            await _ready(secure, loop.add_reader, loop.remove_reader)
        except ssl.SSLWantWriteError:
            await _ready(secure, loop.add_writer, loop.remove_writer)
        else:
            return


async def _ready(
    secure: ssl.SSLSocket, add: Callable[..., object], remove: Callable[..., object]
) -> None:
    ready = asyncio.get_running_loop().create_future()

    def tell() -> None:
        if not ready.done():
            ready.set_result(None)

    add(secure.fileno(), tell)
    try:
        await ready
    finally:
        remove(secure.fileno())
