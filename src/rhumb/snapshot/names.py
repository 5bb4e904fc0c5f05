"""Short host names made full, relative to the namespace of the object that carries them."""

import msgspec

from rhumb.base.hosts import fqdn
from rhumb.model.kinds.virtual_service import (
    Destination,
    HttpMirrorPolicy,
    HttpRoute,
    HttpRouteDestination,
    RouteDestination,
    VirtualService,
)

MESH_GATEWAY = "mesh"


def virtual_service(spec: VirtualService, namespace: str, domain: str) -> VirtualService:
    """Return the VirtualService with full hosts, destinations and gateway names."""

    def full(destination: Destination | None) -> Destination | None:
        if destination is None:
            return None
        return msgspec.structs.replace(destination, host=fqdn(destination.host, namespace, domain))

    def http(route: HttpRoute) -> HttpRoute:
        return msgspec.structs.replace(
            route,
            route=tuple(_http(d, full(d.destination)) for d in route.route),
            mirror=full(route.mirror),
            mirrors=tuple(_mirror(m, full(m.destination)) for m in route.mirrors),
            match=tuple(
                msgspec.structs.replace(m, gateways=gateways(m.gateways, namespace))
                if m.gateways
                else m
                for m in route.match
            ),
        )

    def routes(found: tuple[RouteDestination, ...]) -> tuple[RouteDestination, ...]:
        return tuple(msgspec.structs.replace(d, destination=full(d.destination)) for d in found)

    return msgspec.structs.replace(
        spec,
        hosts=tuple(fqdn(h, namespace, domain) for h in spec.hosts),
        gateways=gateways(spec.gateways, namespace) or (MESH_GATEWAY,),
        http=tuple(http(r) for r in spec.http),
        tls=tuple(
            msgspec.structs.replace(
                r,
                route=routes(r.route),
                match=tuple(
                    msgspec.structs.replace(m, gateways=gateways(m.gateways, namespace))
                    for m in r.match
                ),
            )
            for r in spec.tls
        ),
        tcp=tuple(
            msgspec.structs.replace(
                r,
                route=routes(r.route),
                match=tuple(
                    msgspec.structs.replace(m, gateways=gateways(m.gateways, namespace))
                    for m in r.match
                ),
            )
            for r in spec.tcp
        ),
    )


def gateways(found: tuple[str, ...], namespace: str) -> tuple[str, ...]:
    """Return gateway references as NAMESPACE/NAME; `mesh` stays."""
    return tuple(_gateway(name, namespace) for name in found)


def _gateway(name: str, namespace: str) -> str:
    if name == MESH_GATEWAY or "/" in name:
        return name.replace("./", f"{namespace}/", 1) if name.startswith("./") else name
    if ".svc." in name:  # the old form NAME.NAMESPACE.svc.DOMAIN
        parts = name.split(".")
        return f"{parts[1]}/{parts[0]}"
    return f"{namespace}/{name}"


def _http(one: HttpRouteDestination, destination: Destination | None) -> HttpRouteDestination:
    return msgspec.structs.replace(one, destination=destination)


def _mirror(one: HttpMirrorPolicy, destination: Destination | None) -> HttpMirrorPolicy:
    return msgspec.structs.replace(one, destination=destination)
