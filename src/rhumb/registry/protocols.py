"""Which protocol a port speaks: appProtocol, port name, well-known port, else sniffed (Istio: kube.ConvertProtocol)."""

from rhumb.model.service import Protocol

_NAMES = {
    "http": Protocol.HTTP,
    "http2": Protocol.HTTP2,
    "https": Protocol.HTTPS,
    "grpc": Protocol.GRPC,
    "grpc-web": Protocol.GRPC_WEB,
    "tcp": Protocol.TCP,
    "tls": Protocol.TLS,
    "udp": Protocol.UDP,
    "mongo": Protocol.MONGO,
    "redis": Protocol.REDIS,
    "mysql": Protocol.MYSQL,
    "http_proxy": Protocol.HTTP_PROXY,
    "hbone": Protocol.HBONE,
}
_APP_PROTOCOLS = {
    "kubernetes.io/h2c": Protocol.HTTP2,
    "kubernetes.io/ws": Protocol.HTTP,
    "kubernetes.io/wss": Protocol.HTTPS,
}
_WELL_KNOWN_TCP = frozenset({25, 53, 3306, 27017})
"""Server-first protocols that sniffing would stall: SMTP, DNS, MySQL, MongoDB."""


def declared(text: str) -> Protocol:
    """Read a protocol as Gateways, ServiceEntries and Sidecars spell it; unknown text is AUTO."""
    return _NAMES.get(text.lower(), Protocol.AUTO)


def of_service_port(number: int, name: str, transport: str, app_protocol: str) -> Protocol:
    """Return the protocol of a Kubernetes Service port (Istio: protocol selection).

    An application protocol takes the place of the name, also one that is not known: then it is sniffed.
    """
    if transport.upper() == "UDP":
        return Protocol.UDP
    if app_protocol.lower() in _APP_PROTOCOLS:
        return _APP_PROTOCOLS[app_protocol.lower()]
    found = _from_name(app_protocol or name)
    if found is Protocol.AUTO and number in _WELL_KNOWN_TCP:
        return Protocol.TCP
    return found


def _from_name(name: str) -> Protocol:
    low = name.lower()
    if low.startswith("grpc-web"):
        return Protocol.GRPC_WEB
    found = _NAMES.get(low.split("-", 1)[0], Protocol.AUTO)
    return Protocol.AUTO if found in (Protocol.HTTP_PROXY, Protocol.HBONE) else found
