"""The inline route configuration of an inbound chain: everything to the application."""

from rhumb.ir.route import Forward, Route, RouteConfiguration, Target, VirtualHost
from rhumb.model.kinds.virtual_service import HttpRetry
from rhumb.model.service import Protocol
from rhumb.translate import names
from rhumb.translate.routes import policies


def configuration(
    cluster: str,
    port: int,
    *,
    host: str,
    protocol: Protocol,
    retries: HttpRetry | None = None,
) -> RouteConfiguration:
    """Return the routes to a port of the workload.

    `host` names the service in traces; `retries` is the mesh's defaultInboundHttpRetryPolicy.
    """
    is_grpc = protocol in (Protocol.GRPC, Protocol.GRPC_WEB)
    action = Forward(
        targets=(Target(cluster),),
        retry=None if is_grpc else policies.inbound_retry(retries),
        limits_stream=True,
    )
    route = Route(name="default", action=action, operation=f"{host}:{port}/*")
    return RouteConfiguration(
        name=cluster,
        virtual_hosts=(
            VirtualHost(
                name=names.inbound_virtual_host(port),
                domains=("*",),
                routes=(route,),
                counts_attempts=False,
            ),
        ),
        ignores_port=False,
        limits_direct_responses=False,
    )
