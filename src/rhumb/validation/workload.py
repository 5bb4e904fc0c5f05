"""Rules for WorkloadEntry and WorkloadGroup."""

from collections.abc import Collection, Mapping

from rhumb.model.kinds.workload_entry import WorkloadEntry
from rhumb.model.kinds.workload_group import HttpHealthCheck, ReadinessProbe, WorkloadGroup
from rhumb.model.resource import Resource
from rhumb.validation import rules
from rhumb.validation.headers import probe_name
from rhumb.validation.rules import UNIX, Report

_LONGEST_NAME = 63
_MOST_LABELS = 256
_LIMITS = {"address": 256, "network": 2048, "locality": 2048, "serviceAccount": 253}


def check_workload_entry(_resource: Resource, spec: WorkloadEntry, report: Report) -> None:
    """Check a WorkloadEntry."""
    check_entry(report, "spec", spec)


def check_entry(
    report: Report,
    at: str,
    entry: WorkloadEntry,
    *,
    allows_names: bool = True,
    service_ports: Collection[str] | None = None,
) -> None:
    """Check a workload, also as endpoint of a ServiceEntry that has ports of these names."""
    where = f"{at}.address"
    if not entry.address and not entry.network:
        report.error(where, "Address is required: address is required unless network is set")
        return
    if not entry.address:
        report.warn(where, f'address is unset with network "{entry.network}"')
    _check_sizes(report, at, entry)
    if entry.address.startswith(UNIX):
        _check_socket(report, where, entry)
        if service_ports is not None and len(service_ports) != 1:
            report.error(where, "exactly 1 service port required for unix endpoints")
    elif entry.address and not rules.is_address(entry.address):
        check_name(report, where, entry.address, allows_names=allows_names)
    check_ports(report, f"{at}.ports", entry.ports, service_ports)
    rules.check_labels(report, f"{at}.labels", entry.labels)


def check_name(report: Report, at: str, name: str, *, allows_names: bool = True) -> None:
    """Check an address that is no IP address."""
    if not allows_names:
        report.error(at, f'endpoint address "{name}" is not a valid IP address')
    elif rules.fqdn(name) is not None:
        report.error(at, f'endpoint address "{name}" is not a valid FQDN or an IP address')


def check_ports(
    report: Report, at: str, ports: Mapping[str, int], service_ports: Collection[str] | None = None
) -> None:
    """Check the workload's ports by name."""
    for name, number in ports.items():
        where = f"{at}[{name}]"
        if service_ports is not None and name not in service_ports:
            report.error(where, f"endpoint port {number} is not defined by the service entry")
        wrong = rules.port_name(name)
        if len(name) == _LONGEST_NAME:  # a label of DNS, and too long for the schema
            wrong = f"it has {_LONGEST_NAME} characters"
        report.error(where, f"port name must be valid: {wrong}" if wrong else None)
        wrong = rules.port(number)
        report.error(where, f"port must be between 1-65535: {wrong}" if wrong else None)


def _check_sizes(report: Report, at: str, entry: WorkloadEntry) -> None:
    values = (entry.address, entry.network, entry.locality, entry.service_account)
    for (name, limit), value in zip(_LIMITS.items(), values, strict=True):
        if len(value) > limit:
            report.error(f"{at}.{name}", f"may not be longer than {limit}")
    for name, count, limit in (
        ("ports", len(entry.ports), 128),
        ("labels", len(entry.labels), _MOST_LABELS),
    ):
        if count > limit:
            report.error(f"{at}.{name}", f"must have at most {limit} items")


def _check_socket(report: Report, at: str, entry: WorkloadEntry) -> None:
    path = entry.address.removeprefix(UNIX)
    wrong = rules.unix_path(path)
    if path.startswith("/") and path.endswith("/"):
        report.error(at, f"UDS may not be a dir: {wrong}")
    elif wrong:
        report.error(at, f"UDS must be an absolute path or abstract socket: {wrong}")
    if entry.ports:
        report.error(
            at, f"UDS may not include ports: unix endpoint {entry.address} must not include ports"
        )


def check_workload_group(_resource: Resource, spec: WorkloadGroup, report: Report) -> None:
    """Check a WorkloadGroup."""
    if spec.template is None:
        report.error("spec.template", "template is required")
        return
    template = spec.template
    _check_sizes(report, "spec.template", template)
    if template.address.startswith(UNIX):
        _check_socket(report, "spec.template.address", template)
    check_ports(report, "spec.template.ports", template.ports)
    rules.check_labels(report, "spec.template.labels", template.labels)
    if spec.metadata is not None:
        rules.check_labels(report, "spec.metadata.labels", spec.metadata.labels)
        for name, said in (
            ("labels", spec.metadata.labels),
            ("annotations", spec.metadata.annotations),
        ):
            if len(said) > _MOST_LABELS:
                report.error(f"spec.metadata.{name}", f"must have at most {_MOST_LABELS} items")
    if spec.probe is not None:
        _check_probe(report, "spec.probe", spec.probe)


def _check_probe(report: Report, at: str, probe: ReadinessProbe) -> None:
    rules.check_not_negative(
        report,
        at,
        {
            "periodSeconds": (probe.period_seconds, "periodSeconds"),
            "initialDelaySeconds": (probe.initial_delay_seconds, "initialDelaySeconds"),
            "timeoutSeconds": (probe.timeout_seconds, "timeoutSeconds"),
            "successThreshold": (probe.success_threshold, "successThreshold"),
            "failureThreshold": (probe.failure_threshold, "failureThreshold"),
        },
    )
    if probe.http_get is not None:
        _check_http(report, f"{at}.httpGet", probe.http_get)
    elif probe.tcp_socket is not None:
        report.error(f"{at}.tcpSocket.port", _probe_port(probe.tcp_socket.port))
    elif probe.grpc is not None:
        report.error(f"{at}.grpc.port", _probe_port(probe.grpc.port))
    elif probe.exec is not None:
        if not probe.exec.command or "" in probe.exec.command:
            report.error(f"{at}.exec", "exec.command is required")
    else:
        report.error(at, "unknown health check method", "set one of httpGet, tcpSocket, exec, grpc")


def _check_http(report: Report, at: str, check: HttpHealthCheck) -> None:
    report.error(f"{at}.port", _probe_port(check.port))
    if check.scheme not in ("", "HTTP", "HTTPS"):
        report.error(
            f"{at}.scheme",
            'scheme must be one of [HTTP, HTTPS]: httpGet.scheme must be one of "HTTPS", "HTTP"',
        )
    for index, header in enumerate(check.http_headers):
        report.error(f"{at}.httpHeaders[{index}].name", probe_name(header.name))


def _probe_port(number: int) -> str | None:
    wrong = rules.port(number)
    return f"port must be between 1-65535: {wrong}" if wrong else None
