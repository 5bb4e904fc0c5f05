"""Rules for ServiceEntry."""

from rhumb.base.hosts import is_wildcard
from rhumb.model.kinds.service_entry import ServiceEntry, ServiceLocation, ServiceResolution
from rhumb.model.resource import Resource
from rhumb.validation import rules
from rhumb.validation.rules import Report
from rhumb.validation.workload import check_entry, check_name, check_ports

_MAX = {"hosts": 256, "addresses": 256, "ports": 256, "endpoints": 4096}
_DYNAMIC = ("http", "tls", "grpc", "http2")
_AUTO_ALLOCATE = "networking.istio.io/enable-autoallocate-ip"
_WAYPOINT = "istio.io/use-waypoint"


def check_service_entry(resource: Resource, spec: ServiceEntry, report: Report) -> None:
    """Check a ServiceEntry."""
    rules.check_workload_selector(report, spec.workload_selector, "service entry")
    if spec.workload_selector is not None and spec.endpoints:
        report.error(
            "spec",
            "only one of WorkloadSelector or Endpoints can be set: "
            "only one of WorkloadSelector or Endpoints is allowed in Service Entry",
        )
    for (name, limit), items in zip(
        _MAX.items(), (spec.hosts, spec.addresses, spec.ports, spec.endpoints), strict=True
    ):
        if len(items) > limit:
            report.error(f"spec.{name}", f"must have at most {limit} items")
    _check_hosts(report, spec)
    _check_addresses(report, spec)
    _check_ports(report, spec, allocates=_allocates(resource, spec))
    _check_resolution(report, resource, spec)
    _check_several_hosts(report, spec)
    rules.check_export_to(report, resource.meta.namespace, spec.export_to, is_service_entry=True)


def _allocates(resource: Resource, spec: ServiceEntry) -> bool:
    said = resource.meta.labels.get(_AUTO_ALLOCATE, "")
    return spec.resolution is not ServiceResolution.NONE and said.lower() != "false"


def _check_hosts(report: Report, spec: ServiceEntry) -> None:
    if not spec.hosts:
        report.error("spec.hosts", "service entry must have at least one host")
    for index, host in enumerate(spec.hosts):
        at = f"spec.hosts[{index}]"
        if host == "*":
            report.error(at, "hostname cannot be wildcard: invalid host *")
            continue
        report.error(at, rules.wildcard_domain(host))
        if spec.resolution is not ServiceResolution.DYNAMIC_DNS:
            report.warn(at, rules.partial_wildcard(host))


def _check_addresses(report: Report, spec: ServiceEntry) -> None:
    for index, address in enumerate(spec.addresses):
        report.error(f"spec.addresses[{index}]", rules.subnet(address))
    has_blocks = any("/" in address for address in spec.addresses)
    if has_blocks and spec.resolution not in (ServiceResolution.NONE, ServiceResolution.STATIC):
        report.error(
            "spec.addresses", "CIDR addresses are allowed only for NONE/STATIC resolution types"
        )


def _check_ports(report: Report, spec: ServiceEntry, *, allocates: bool) -> None:
    names: set[str] = set()
    numbers: set[int] = set()
    for index, port in enumerate(spec.ports):
        at = f"spec.ports[{index}]"
        if port.name in names:
            report.error(
                f"{at}.name",
                f'Duplicate value: service entry port name "{port.name}" already defined',
            )
        if port.number in numbers:
            report.error(
                f"{at}.number",
                f"port number cannot be duplicated: service entry port {port.number} already defined",
            )
        names.add(port.name)
        numbers.add(port.number)
        if port.target_port:
            report.error(f"{at}.targetPort", _number(port.target_port))
        if not spec.addresses and not allocates and port.protocol in ("", "TCP"):
            report.warn(
                at,
                "addresses are required for ports serving TCP (or unset) protocol when IP Autoallocation is not enabled",
                code="IST0134",
            )
        report.error(f"{at}.name", rules.port_name(port.name))
        report.error(f"{at}.protocol", rules.protocol(port.protocol))
        report.error(f"{at}.number", _number(port.number))


def _number(number: int) -> str | None:
    wrong = rules.port(number)
    return f"port must be between 1-65535: {wrong}" if wrong else None


def _check_resolution(report: Report, resource: Resource, spec: ServiceEntry) -> None:
    if spec.resolution is ServiceResolution.NONE:
        if spec.endpoints:
            report.error(
                "spec.endpoints",
                "NONE mode cannot set endpoints: no endpoints should be provided for resolution type none",
            )
        if spec.workload_selector is not None:
            report.warn(
                "spec.workloadSelector",
                "workloadSelector should not be set when resolution mode is NONE",
            )
    elif spec.resolution is ServiceResolution.STATIC:
        names = [port.name for port in spec.ports]
        for index, endpoint in enumerate(spec.endpoints):
            check_entry(
                report,
                f"spec.endpoints[{index}]",
                endpoint,
                allows_names=False,
                service_ports=names,
            )
    elif spec.resolution is ServiceResolution.DYNAMIC_DNS:
        _check_dynamic(report, resource, spec)
    else:
        _check_dns(report, spec)


def _check_dns(report: Report, spec: ServiceEntry) -> None:
    if not spec.endpoints:
        for index, host in enumerate(spec.hosts):
            wrong = rules.fqdn(host)
            if wrong:
                report.error(
                    f"spec.hosts[{index}]",
                    "hosts must be FQDN or contain only prefix wildcards if no endpoints are provided for resolution "
                    f"mode {spec.resolution}, {wrong}",
                )
                break
    if spec.resolution is ServiceResolution.DNS_ROUND_ROBIN and len(spec.endpoints) > 1:
        report.error(
            "spec.endpoints",
            "DNS_ROUND_ROBIN mode cannot have multiple endpoints: "
            "there must only be 0 or 1 endpoint for resolution mode DNS_ROUND_ROBIN",
        )
    names = [port.name for port in spec.ports]
    for index, endpoint in enumerate(spec.endpoints):
        at = f"spec.endpoints[{index}]"
        if not rules.is_address(endpoint.address):
            check_name(report, f"{at}.address", endpoint.address)
        rules.check_labels(report, f"{at}.labels", endpoint.labels)
        check_ports(report, f"{at}.ports", endpoint.ports, names)
    if spec.addresses and len(spec.hosts) > 1:
        others = ("mongo", "redis", "mysql")
        if any(port.protocol.lower() in ("tcp", "https", "tls", *others) for port in spec.ports):
            report.warn(
                "spec.hosts",
                "service entry can not have more than one host specified simultaneously with address and tcp port",
            )


def _check_dynamic(report: Report, resource: Resource, spec: ServiceEntry) -> None:
    what = f"resolution type {spec.resolution}"
    if not spec.hosts:
        report.error("spec.hosts", f"at least one wildcard host must be provided for {what}")
    for index, host in enumerate(spec.hosts):
        if not is_wildcard(host):
            report.error(
                f"spec.hosts[{index}]",
                f"host must be wildcarded for resolution mode {spec.resolution}",
            )
    if spec.addresses:
        report.error(
            "spec.addresses",
            f"addresses cannot be set for {what}. HTTP route domains will only be generated from the hosts field values",
        )
    if spec.endpoints:
        report.error(
            "spec.endpoints",
            f"endpoints cannot be set for {what}. Destination IP address determined from hosts field values",
        )
    for index, port in enumerate(spec.ports):
        if port.protocol.lower() not in _DYNAMIC:
            report.error(
                f"spec.ports[{index}].protocol",
                f"only HTTP, TLS, GRPC, and HTTP2 protocols are supported for {what}",
            )
    waypoint = resource.meta.labels.get(_WAYPOINT, "")
    if spec.location is ServiceLocation.MESH_INTERNAL and waypoint.lower() not in ("", "none"):
        report.error(
            "spec.location",
            f"location MESH_INTERNAL with {what} is not supported when using waypoints",
        )


def _check_several_hosts(report: Report, spec: ServiceEntry) -> None:
    if spec.resolution is ServiceResolution.NONE or len(spec.hosts) < 2:
        return
    # Without an authority or a server name the hosts cannot be told apart.
    if any(
        not rules.is_http(port.protocol) and not rules.is_tls(port.protocol) for port in spec.ports
    ):
        report.error("spec.hosts", "multiple hosts provided with non-HTTP, non-TLS ports")
