"""Rules that several kinds share, in the wording of Istio's webhook, and the report they write to."""

import ipaddress
import re
from collections.abc import Iterable, Mapping

from rhumb.base.durations import Duration
from rhumb.model.finding import Finding, Level
from rhumb.model.kinds.selector import LabelMatch, WorkloadSelector
from rhumb.model.resource import Resource

UNIX = "unix://"

_DNS_LABEL = r"[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?"
_LABEL = re.compile(_DNS_LABEL, re.ASCII)
_WILDCARD_LABEL = re.compile(rf"\*|(?:\*|\*-)?{_DNS_LABEL}", re.ASCII)
_QUALIFIED = r"(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_KEY = re.compile(rf"({_DNS_LABEL}(?:\.{_DNS_LABEL})*/)?({_QUALIFIED})", re.ASCII)
_LABEL_VALUE = re.compile(rf"(?:{_QUALIFIED})?", re.ASCII)
_NUMBER = re.compile(r"[-+]?\d+", re.ASCII)
_PROTOCOLS = frozenset(
    (
        "tcp",
        "udp",
        "grpc",
        "grpc-web",
        "http",
        "http_proxy",
        "http2",
        "https",
        "tls",
        "mongo",
        "redis",
        "mysql",
    )
)
_HTTP = frozenset(("http", "http2", "http_proxy", "grpc", "grpc-web"))
_TLS = frozenset(("https", "tls"))


class Report:
    """Collects what is wrong with one resource."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self.findings: list[Finding] = []

    def error(self, field: str, message: str | None, fix: str = "") -> None:
        """Add an error, unless the message is None (what rules return when all is well)."""
        if message is not None:
            self._add(Level.ERROR, field, message, fix)

    def warn(self, field: str, message: str | None, fix: str = "", code: str = "") -> None:
        """Add a warning, unless the message is None."""
        if message is not None:
            self._add(Level.WARNING, field, message, fix, code)

    def _add(self, level: Level, field: str, message: str, fix: str, code: str = "") -> None:
        self.findings.append(
            Finding(
                level=level,
                field=field,
                message=message,
                fix=fix,
                code=code,
                key=self._resource.key,
                location=self._resource.line_of(field),
            )
        )


def is_dns_label(text: str) -> bool:
    """Tell whether the text is a DNS label (RFC 1123, upper case allowed as Istio does)."""
    return len(text) <= 63 and _LABEL.fullmatch(text) is not None


def is_address(text: str) -> bool:
    """Tell whether the text is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_http(protocol: str) -> bool:
    """Tell whether a declared protocol is handled as HTTP."""
    return protocol.lower() in _HTTP


def is_tls(protocol: str) -> bool:
    """Tell whether a declared protocol is HTTPS or TLS."""
    return protocol.lower() in _TLS


def is_known_protocol(protocol: str) -> bool:
    """Tell whether a protocol has a meaning in Istio."""
    return protocol.lower() in _PROTOCOLS


def protocol(text: str) -> str | None:
    """Check a protocol that may be unset."""
    return f"unsupported protocol: {text}" if text and not is_known_protocol(text) else None


def port(number: int) -> str | None:
    """Check a port number."""
    return None if 1 <= number <= 65535 else f"port number {number} must be in the range 1..65535"


def port_name(name: str) -> str | None:
    """Check the name of a port."""
    return None if is_dns_label(name) else f"invalid port name: {name}"


def address(text: str) -> str | None:
    """Check an IP address."""
    return None if is_address(text) else f"{text} is not a valid IP"


def subnet(text: str) -> str | None:
    """Check an IP address or a CIDR block."""
    if text.count("/") != 1:
        return address(text)
    try:
        bits = text.partition("/")[2]
        ipaddress.ip_interface(text)
    except ValueError:
        bits = ""
    # Netmasks in dotted form are Python's addition.
    return None if bits.isascii() and bits.isdigit() else f"{text} is not a valid CIDR block"


def unix_path(text: str) -> str | None:
    """Check the path of a unix domain socket, without the scheme."""
    if not text:
        return "unix address must not be empty"
    if text.startswith("@") or (text.startswith("/") and not text.endswith("/")):
        return None
    return f"{text} is not an absolute path to a file"


def fqdn(name: str) -> str | None:
    """Check a domain name without wildcard."""
    return _name_length(name) or _labels(name)


def wildcard_domain(name: str) -> str | None:
    """Check a domain name whose first label may be a wildcard."""
    wrong = _name_length(name)
    if wrong:
        return wrong
    first, dot, rest = name.partition(".")
    if len(first) > 63 or _WILDCARD_LABEL.fullmatch(first) is None:
        return f'domain name "{name}" invalid (label "{first}" invalid)'
    return _labels(rest) if dot else None


def partial_wildcard(name: str) -> str | None:
    """Check that a wildcard is a whole label."""
    if "*" in name and len(name) != 1 and not name.startswith("*."):
        return f'partial wildcard "{name}" not allowed'
    return None


def _name_length(name: str) -> str | None:
    if len(name) > 255:
        return f'domain name "{name}" too long (max 255)'
    return None if name else "empty domain name not allowed"


def _labels(name: str) -> str | None:
    parts = name.split(".")
    if _NUMBER.fullmatch(parts[-1]):
        return (
            f'domain name "{name}" invalid (top level domain "{parts[-1]}" cannot be all-numeric)'
        )
    if parts[-1] == "" and len(parts) > 1:
        parts.pop()
    for part in parts:
        if not is_dns_label(part):
            return f'domain name "{name}" invalid (label "{part}" invalid)'
    return None


def duration(value: Duration) -> str | None:
    """Check that a duration is at least 1 ms, in whole milliseconds."""
    if value < 1_000_000:
        return "duration must be greater than 1ms"
    return "only durations to ms precision are supported" if value % 1_000_000 else None


def check_durations(report: Report, at: str, durations: Mapping[str, Duration | None]) -> None:
    """Check those durations of a block that are set."""
    for name, value in durations.items():
        if value is not None:
            report.error(f"{at}.{name}", duration(value))


def check_not_negative(report: Report, at: str, numbers: Mapping[str, tuple[int, str]]) -> None:
    """Check numbers of a block, by field: value and name in words."""
    for name, (value, words) in numbers.items():
        if value < 0:
            report.error(f"{at}.{name}", f"{words} must be non-negative")


def check_labels(report: Report, at: str, labels: Mapping[str, str]) -> None:
    """Check keys and values of labels as Kubernetes does."""
    for key, value in labels.items():
        match = _LABEL_KEY.fullmatch(key)
        if match is None:
            report.error(f"{at}[{key}]", f'invalid tag key: "{key}"')
        elif match.group(1) and len(match.group(1)) > 254:
            report.error(f"{at}[{key}]", f'invalid tag key: "{key}" (DNS prefix is too long)')
        elif len(match.group(2)) > 63:
            report.error(f"{at}[{key}]", f'invalid tag key: "{key}" (name is too long)')
        if _LABEL_VALUE.fullmatch(value) is None:
            report.error(f"{at}[{key}]", f'invalid tag value: "{value}"')


def check_workload_selector(report: Report, selector: WorkloadSelector | None, what: str) -> None:
    """Check `spec.workloadSelector` of a Sidecar or ServiceEntry."""
    if selector is None:
        return
    _check_selected(report, "spec.workloadSelector.labels", selector.labels)
    if not selector.labels:
        report.warn(
            "spec.workloadSelector",
            f"{what}: workload selector specified without labels, will be applied to all services in namespace",
        )


def check_label_match(report: Report, at: str, selector: LabelMatch | None) -> None:
    """Check a selector with `matchLabels`."""
    if selector is None:
        return
    _check_selected(report, f"{at}.matchLabels", selector.match_labels)
    if not selector.match_labels:
        report.warn(at, "workload selector specified without labels")


def _check_selected(report: Report, at: str, labels: Mapping[str, str]) -> None:
    for key, value in labels.items():
        if not key:
            report.error(
                at,
                f'key must not be empty: empty key is not supported in selector: "{key}={value}"',
            )
        if "*" in key:
            report.error(
                at,
                f'wildcard not allowed in label key match: wildcard is not supported in selector: "{key}={value}"',
            )
        elif "*" in value:
            report.error(
                at,
                f'wildcard not allowed in label value match: wildcard is not supported in selector: "{key}={value}"',
            )
        if len(value) > 63:
            report.error(f"{at}[{key}]", "may not be more than 63 characters long")


def check_export_to(
    report: Report,
    namespace: str,
    export_to: Iterable[str],
    *,
    is_service_entry: bool = False,
    is_selective: bool = False,
) -> None:
    """Check `spec.exportTo`; `is_selective` is a DestinationRule with a workloadSelector."""
    at, seen, entries = "spec.exportTo", set[str](), tuple(export_to)
    for entry in entries:
        key = namespace if entry == "." else entry
        if key in seen:
            report.error(
                at,
                f"duplicate entries in exportTo for entry {entry}"
                if key == entry
                else f"duplicate entries in exportTo: . and current namespace {namespace}",
            )
            continue
        wrong = None if is_service_entry and entry == "~" else _visibility(key)
        report.error(at, wrong)
        if wrong is None:
            seen.add(key)
    if is_selective and seen:
        if namespace not in seen:
            report.error(
                at,
                "destination rule with workload selector cannot have exportTo beyond current namespace",
            )
        elif len(seen) > 1:
            report.error(
                at,
                "destination rule with workload selector cannot have multiple entries in exportTo",
            )
    if "*" in seen and len(entries) > 1:
        report.error(
            at, "cannot have both public (*) and non-public exportTo values for a resource"
        )
    if "~" in seen and len(entries) > 1:
        report.error(at, "cannot export service entry to no one (~) and someone")


def _visibility(entry: str) -> str | None:
    if entry == "~":
        return "exportTo ~ (none) is not allowed for Istio configuration objects"
    if entry == "*" or is_dns_label(entry):
        return None
    return "only .,*, or a valid DNS 1123 label is allowed as exportTo entry"


def namespaced_host(
    host: str, *, is_gateway: bool, has_gateway_semantics: bool = False
) -> list[str]:
    """Check `namespace/dnsName` of a Gateway server or a Sidecar egress listener."""
    namespace, slash, name = host.partition("/")
    if not slash:
        return (
            _dns_name(host, is_gateway=True)
            if is_gateway
            else ["host must be of form namespace/dnsName"]
        )
    found = []
    if not namespace or not name:
        found.append("config namespace and dnsName in host entry cannot be empty")
    if is_gateway:
        is_known = namespace in ("*", ".") or (namespace == "~" and has_gateway_semantics)
        if not is_known and not is_dns_label(namespace):
            found.append(f'invalid namespace value "{namespace}" in gateway')
    else:
        bare = namespace.removeprefix("~")
        if bare not in ("", "*", ".") and not is_dns_label(bare):
            found.append(f'invalid namespace value "{namespace}" in sidecar')
    return found + _dns_name(name, is_gateway=is_gateway)


def _dns_name(name: str, *, is_gateway: bool) -> list[str]:
    found = []
    if name != "*" and "." not in name:
        found.append("short names (non FQDN) are not allowed")
    wrong = wildcard_domain(name)
    if wrong and not (is_gateway and is_address(name)):
        found.append(wrong)
    partial = partial_wildcard(name)
    if partial:
        found.append(partial)
    return found
