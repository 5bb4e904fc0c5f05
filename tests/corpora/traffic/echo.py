"""The application of every workload: answers with what it received, over HTTP, gRPC and TCP.

Usage: python -m tests.corpora.traffic.echo DIRECTORY NAME ADDRESS TCP FIRST PROXIED. HTTP and gRPC
come in over unix sockets from an Envoy that speaks every version and TLS (`front`); the rest is a list of
ports for plain TCP, for servers that speak first, and for HTTP behind a PROXY header.
"""

import asyncio
import base64
import hashlib
import json
import sys
from pathlib import Path

import grpc

MAGIC = b"server-first\n"
_WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_V2 = b"\r\n\r\n\0\r\nQUIT\n"
Json = dict[str, object]


class Echo:
    """Servers of one workload."""

    def __init__(self, folder: Path, name: str) -> None:
        self._name = name
        self._count = (folder / f"{name}.count").open("ab", buffering=0)

    def says(self, **more: object) -> bytes:
        """Return the body of an answer, and count it: the file has a byte for each."""
        self._count.write(b".")
        return json.dumps({"name": self._name, **more}).encode()

    async def http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer HTTP/1.1 requests, one after the other."""
        try:
            proxied = await _proxy_header(reader)
            while await self._one(reader, writer, proxied):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, proxied: str
    ) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, version = head[0].split(" ", 2)
        headers = [(k.lower(), v.strip()) for k, _, v in (x.partition(":") for x in head[1:] if x)]
        known = dict(headers)
        await reader.readexactly(int(known.get("content-length", "0")))
        if known.get("upgrade", "").lower() == "websocket":
            await self._websocket(known, reader, writer)
            return False
        body = self.says(
            method=method,
            path=path,
            protocol=known.get("x-echo-protocol", version),
            headers=headers,
            proxy=proxied,
        )
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
            % (len(body), body if method != "HEAD" else b"")
        )
        await writer.drain()
        return True

    async def _websocket(
        self, known: dict[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        digest = hashlib.sha1(known["sec-websocket-key"].encode() + _WEBSOCKET).digest()
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-accept: " + base64.b64encode(digest) + b"\r\n\r\n"
        )
        start = await reader.readexactly(6)
        text = await reader.readexactly(start[1] & 0x7F)
        plain = bytes(byte ^ start[2 + at % 4] for at, byte in enumerate(text))
        writer.write(bytes([0x81, len(plain)]) + plain)
        await writer.drain()
        await reader.read()

    async def tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer each line."""
        await self._lines(reader, writer)

    async def first(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak before the client does."""
        writer.write(MAGIC)
        await self._lines(reader, writer)

    async def _lines(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(self.says(echo=line.decode("latin-1").strip()) + b"\n")
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def grpc(self, _: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        """Answer EchoTestService/Echo; the message is what the others answer."""
        headers = [
            (k, v if isinstance(v, str) else v.hex())
            for k, v in context.invocation_metadata() or ()
        ]
        text = self.says(path="", protocol="HTTP/2", headers=headers)
        size = len(text)
        length = bytearray()
        while size > 0x7F:
            length.append(size & 0x7F | 0x80)
            size >>= 7
        return b"\x0a" + bytes([*length, size]) + text


async def _proxy_header(reader: asyncio.StreamReader) -> str:
    """Take a PROXY header off the beginning of a connection; return its version."""
    begin = await reader.readexactly(6)
    if begin == b"PROXY ":
        await reader.readuntil(b"\r\n")
        return "1"
    if begin == _V2[:6]:
        head = await reader.readexactly(10)
        await reader.readexactly(int.from_bytes(head[8:10], "big"))
        return "2"
    reader._buffer[:0] = begin  # type: ignore[attr-defined]  # what was looked at is put back
    return ""


async def _serve(folder: Path, name: str, address: str, ports: list[list[int]]) -> None:
    echo = Echo(folder, name)
    plain, first, proxied = ports
    for port in plain:
        await asyncio.start_server(echo.tcp, "0.0.0.0", port)
    for port in first:
        await asyncio.start_server(echo.first, "0.0.0.0", port)
    for port in proxied:
        await asyncio.start_server(echo.http, "0.0.0.0", port)
    await asyncio.start_unix_server(echo.http, folder / f"{name}.http")
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(echo.grpc)
    service = grpc.method_handlers_generic_handler("proto.EchoTestService", {"Echo": handler})
    server.add_generic_rpc_handlers((service,))
    server.add_insecure_port(f"unix:{folder / name}.grpc")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    lists = [[int(p) for p in each.split(",") if p] for each in sys.argv[4:7]]
    asyncio.run(_serve(Path(sys.argv[1]), sys.argv[2], sys.argv[3], lists))
