"""Next steps for messages that keep Istio's wording, where people search for it."""

import re

_STEPS: tuple[tuple[str, str], ...] = (
    (r'domain name "[a-z]+://', "write the name alone, without scheme, port and path"),
    (r'domain name "[^"]*:\d+"', "write the name alone; the port has a field of its own"),
    (r"empty domain name not allowed", "name the host"),
    (r"duration must be greater than 1ms", "write 1ms or more"),
    (r"is not a valid redirect code", "use 301, 302, 303, 307 or 308"),
    (r"is not a supported HTTP method", "write it in capitals, such as GET"),
    (r"is not a valid retryOn policy", "use for example 5xx, gateway-error, connect-failure, reset"),
    (r"subset name is invalid", "use letters, digits and - only"),
    (r"subset name cannot be empty", "name the subset"),
    (r"traffic policy must have at least one field", "fill it in, or remove it"),
    (r"required for mutual tls", "set clientCertificate and privateKey, or credentialName"),
    (r"requires a (private key|server certificate)", "set credentialName, or the files of both"),
    (r"host must be of form namespace/dnsName", "write ./NAME for the own namespace, */NAME for all"),
    (r"short names \(non FQDN\)", "write the full name, such as web.default.svc.cluster.local"),
    (r"server must have TLS settings", "add tls with a mode, such as SIMPLE with credentialName"),
    (r"must contain at least one host", 'add hosts, "*" for all'),
    (r"is not a valid IP", "write an address, such as 10.0.0.1"),
    (r"port number -?\d+ must be in the range", "use a port from 1 to 65535"),
)  # fmt: skip
_COMPILED = tuple((re.compile(pattern), step) for pattern, step in _STEPS)


def next_step(message: str) -> str:
    """Return what to do about a message, "" where it says so itself."""
    return next((step for pattern, step in _COMPILED if pattern.search(message)), "")
