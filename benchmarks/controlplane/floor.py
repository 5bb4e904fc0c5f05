"""The least that pushing can cost: a bare grpc.aio server that sends bytes which are ready, and hears the answers.

python -m benchmarks.controlplane.floor: prints its port; then each line `SIZE...` on stdin is what the next
streams get at once (one response an answer), and a line `push SIZE` goes to every open stream.
"""

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator

import grpc
import uvloop
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest

from benchmarks.controlplane.proxies import METHOD


class _Floor:
    def __init__(self) -> None:
        self.first: list[bytes] = []
        self._pushes: list[bytes] = []
        self._waiting: set[asyncio.Future[None]] = set()

    def push(self, data: bytes) -> None:
        """Send to every stream."""
        self._pushes.append(data)
        for future in self._waiting:
            future.set_result(None)
        self._waiting.clear()

    async def serve(
        self, incoming: AsyncIterator[object], _context: object
    ) -> AsyncIterator[bytes]:
        await anext(incoming)
        for data in self.first:
            yield data
            await anext(incoming)
        for number in itertools.count():
            while number >= len(self._pushes):
                wait = asyncio.get_running_loop().create_future()
                self._waiting.add(wait)
                await wait
            yield self._pushes[number]
            await anext(incoming)

    def handler(self) -> grpc.GenericRpcHandler:
        _, service, method = METHOD.split("/")
        serve = grpc.stream_stream_rpc_method_handler(
            self.serve, DeltaDiscoveryRequest.FromString, _raw
        )
        return grpc.method_handlers_generic_handler(service, {method: serve})


async def _main() -> None:
    floor = _Floor()
    server = grpc.aio.server(options=[("grpc.max_send_message_length", -1)])
    server.add_generic_rpc_handlers((floor.handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := (await reader.readline()).decode().split():
        if line[0] == "push":
            floor.push(b"x" * int(line[1]))
        else:
            floor.first = [b"x" * int(size) for size in line]
    await server.stop(0)


def _raw(data: bytes) -> bytes:
    return data


if __name__ == "__main__":
    uvloop.run(_main())
