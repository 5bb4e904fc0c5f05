"""rhumb.yaml: what runs in a local mesh, as data."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from rhumb.base.errors import RhumbError
from rhumb.model.decode import Decoder, Problem
from rhumb.model.kinds.wire import NONE, Kind, UInt32
from rhumb.model.kinds.workload_group import ReadinessProbe
from rhumb.model.not_yaml import YamlError
from rhumb.model.places import line_at
from rhumb.model.service import Protocol
from rhumb.model.yaml_tree import trees
from rhumb.registry.protocols import of_service_port

FILE = "rhumb.yaml"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_VARIABLE = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-?])([^}]*))?\})")


class PortSpec(Kind, frozen=True, kw_only=True):
    """One port of a service."""

    name: str = ""
    """Begins with the protocol, as in Kubernetes: http, http-api, grpc, tcp, mongo ..."""
    port: UInt32 = 0
    """Number that callers use."""
    protocol: str = ""
    """Protocol when the name does not say it (Kubernetes: appProtocol)."""
    target_port: UInt32 = 0
    """Port that the program listens on; 0: `port`."""

    @property
    def label(self) -> str:
        """Return the name; a single port needs none, and is taken for HTTP then."""
        return self.name or "http"

    @property
    def target(self) -> int:
        """Return the port that the program listens on."""
        return self.target_port or self.port

    @property
    def spoken(self) -> Protocol:
        """Return the protocol as the control plane will see it."""
        return of_service_port(self.port, self.label, "TCP", self.protocol)


class VersionSpec(Kind, frozen=True, kw_only=True):
    """What differs in one version; what is not set is the service's."""

    command: str | tuple[str, ...] | None = None
    environment: Mapping[str, str] = NONE
    working_dir: str = ""
    replicas: UInt32 | None = None
    labels: Mapping[str, str] = NONE
    probe: ReadinessProbe | None = None
    service_account: str = ""


class ServiceSpec(Kind, frozen=True, kw_only=True):
    """One service: its ports, and the programs behind it."""

    ports: tuple[PortSpec, ...] = ()
    command: str | tuple[str, ...] | None = None
    """A list is run as it is; a text by the shell."""
    environment: Mapping[str, str] = NONE
    working_dir: str = ""
    """Relative to rhumb.yaml."""
    versions: Mapping[str, VersionSpec] = NONE
    """Workloads NAME-VERSION with label `version`; none: one, `v1`."""
    replicas: UInt32 | None = None
    labels: Mapping[str, str] = NONE
    probe: ReadinessProbe | None = None
    """As a WorkloadGroup's: an unhealthy workload gets no traffic."""
    service_account: str = ""
    """"": the service's name."""
    namespace: str = ""


class GatewaySpec(Kind, frozen=True, kw_only=True):
    """One gateway proxy."""

    labels: Mapping[str, str] = NONE
    """What Gateway objects select; none: istio: NAME."""
    publish: tuple[str, ...] = ()
    """[ADDRESS:]HOST-PORT:GATEWAY-PORT, on 127.0.0.1 unless an address is given."""
    namespace: str = ""
    service_account: str = ""


class MeshSpec(Kind, frozen=True, kw_only=True):
    """The whole file."""

    name: str = ""
    """Name of the mesh; "": that of the directory."""
    namespace: str = "default"
    """Of everything that names none."""
    config: str | tuple[str, ...] | None = None
    """Directory, or several, of Istio and Kubernetes YAML."""
    services: Mapping[str, ServiceSpec] = NONE
    gateways: Mapping[str, GatewaySpec] = NONE
    environment: Mapping[str, str] = NONE
    """For the programs of all services."""
    outside: bool = True
    """Whether workloads reach the network that this machine is in."""


class Publish(msgspec.Struct, frozen=True, order=True):
    """One socket of the host that leads to a gateway."""

    address: str
    host_port: int
    port: int

    @property
    def name(self) -> str:
        """Return ADDRESS:PORT on the host."""
        return f"{self.address}:{self.host_port}"


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """How to run one application."""

    argv: tuple[str, ...]
    directory: str
    environment: tuple[tuple[str, str], ...]


class WorkloadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One instance that runs: a sidecar with its program, or a gateway without one."""

    name: str
    """Unique in its namespace: `reviews-v1`, or `reviews-v1-1` for the second replica."""
    namespace: str
    workload: str
    """Name without the replica: `reviews-v1`."""
    service: str
    labels: tuple[tuple[str, str], ...]
    service_account: str
    program: Program | None = None
    probe: ReadinessProbe | None = None
    publish: tuple[Publish, ...] = ()
    gateway: bool = False

    @property
    def id(self) -> str:
        """Return `NAME.NAMESPACE`."""
        return f"{self.name}.{self.namespace}"


class ServicePlan(msgspec.Struct, frozen=True, kw_only=True):
    """One service that can be called."""

    name: str
    namespace: str
    ports: tuple[PortSpec, ...]

    @property
    def id(self) -> str:
        """Return `NAME.NAMESPACE`."""
        return f"{self.name}.{self.namespace}"


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that `rhumb up` is to bring about."""

    name: str
    file: str
    config: tuple[str, ...]
    services: tuple[ServicePlan, ...]
    workloads: tuple[WorkloadPlan, ...]
    outside: bool = True


def load(path: Path, environment: Mapping[str, str]) -> Topology:
    """Read rhumb.yaml.

    Raises RhumbError with every problem on a line of its own (file:line: field: why).
    """
    found = _read(path, environment)
    for folder in found.config:
        if not Path(folder).exists():
            raise RhumbError(
                f"{path}: config: {folder} does not exist",
                hint="create it, or correct the path, which is relative to the file",
            )
    return found


def _read(path: Path, environment: Mapping[str, str]) -> Topology:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise RhumbError(
            f"{path} does not exist", hint="name a file with -f, or try `rhumb demo`"
        ) from None
    except OSError as error:
        raise RhumbError(f"{path}: {error.strerror}") from None
    return parse(text.decode(errors="replace"), path, environment)


def parse(text: str, path: Path, environment: Mapping[str, str]) -> Topology:
    """Read the text of a rhumb.yaml that stands at `path`. Raises RhumbError as `load` does."""
    problems: list[Problem] = []
    try:
        found = list(trees(_interpolated(text, environment, path)))
    except YamlError as error:
        raise RhumbError(f"{path}:{error.line}: {error}", hint=error.fix) from None
    if len(found) != 1:
        raise RhumbError(
            f"{path}: must hold exactly one document, not {len(found)}",
            hint="describe the mesh in one: services, gateways, config",
        )
    root = found[0].root
    spec = Decoder().decode(MeshSpec, root, "", problems)
    if isinstance(spec, MeshSpec):
        problems += _check(spec)
    if problems or not isinstance(spec, MeshSpec):
        raise RhumbError(
            "\n".join(_line(path, root, p) for p in problems),
            hint="every field is described in docs/reference/rhumb.schema.json",
        )
    return _plan(spec, path)


def _line(path: Path, root: object, problem: Problem) -> str:
    at = f"{path}:{line_at(root, problem.field, 1)}"
    fix = f" ({problem.fix})" if problem.fix else ""
    return f"{at}: {problem.field}: {problem.message}{fix}"


def _interpolated(text: str, environment: Mapping[str, str], path: Path) -> str:
    """Replace ${NAME}, ${NAME:-default} and ${NAME:?message}; $$ is a dollar sign."""

    def value(match: re.Match[str]) -> str:
        name, operator, rest = match.group(1), match.group(2) or "", match.group(3) or ""
        if name is None:
            return "$"
        found = environment.get(name)
        if found is not None and (found or not operator.startswith(":")):
            return found
        if operator.endswith("?"):
            raise RhumbError(f"{path}: ${{{name}}}: {rest or 'is not set'}")
        if operator or name in ("PORT", "HOST"):
            return rest if operator else match.group(0)
        line = text.count("\n", 0, match.start()) + 1
        raise RhumbError(
            f"{path}:{line}: ${{{name}}} is not set",
            hint=f"set it, give a default (${{{name}:-value}}), or write $${{{name}}} for the program's own",
        )

    return _VARIABLE.sub(value, text)


def _check(spec: MeshSpec) -> Iterator[Problem]:
    if not spec.services and not spec.gateways:
        yield Problem("services", "nothing to run", "describe at least one service")
    for name, service in spec.services.items():
        yield from _check_service(f"services[{name}]", name, service)
    for name, gateway in spec.gateways.items():
        yield from _name(f"gateways[{name}]", name)
        for index, text in enumerate(gateway.publish):
            if _publish(text) is None:
                yield Problem(
                    f"gateways[{name}].publish[{index}]",
                    f'"{text}" is not [ADDRESS:]HOST-PORT:GATEWAY-PORT',
                    'write it like "127.0.0.1:8080:80"',
                )


def _check_service(at: str, name: str, service: ServiceSpec) -> Iterator[Problem]:
    yield from _name(at, name)
    if not service.ports:
        yield Problem(f"{at}.ports", "a service needs at least one port")
    for index, port in enumerate(service.ports):
        if not 0 < port.port < 65536:
            yield Problem(f"{at}.ports[{index}].port", "must be in the range 1..65535")
        if not port.name and len(service.ports) > 1:
            yield Problem(f"{at}.ports[{index}].name", "is needed where there are several ports")
    for version, one in (service.versions or {"v1": VersionSpec()}).items():
        yield from _name(f"{at}.versions[{version}]", version)
        if one.command is None and service.command is None:
            yield Problem(f"{at}.command", "nothing to run", "write the program's command")


def _name(at: str, name: str) -> Iterator[Problem]:
    if not _NAME.fullmatch(name):
        yield Problem(at, f'"{name}" is no DNS label', "use lower-case letters, digits and dashes")


def _publish(text: str) -> Publish | None:
    parts = text.rsplit(":", 2)
    if len(parts) == 2:
        parts = ["127.0.0.1", *parts]
    if len(parts) != 3 or not (parts[1].isdigit() and parts[2].isdigit()):
        return None
    host, port = int(parts[1]), int(parts[2])
    return Publish(parts[0].strip("[]"), host, port) if host < 65536 and 0 < port < 65536 else None


def _plan(spec: MeshSpec, path: Path) -> Topology:
    home = path.resolve().parent
    services: list[ServicePlan] = []
    workloads: list[WorkloadPlan] = []
    for name, service in spec.services.items():
        namespace = service.namespace or spec.namespace
        services.append(ServicePlan(name=name, namespace=namespace, ports=service.ports))
        for version, one in (service.versions or {"v1": VersionSpec()}).items():
            workloads += _instances(spec, home, (name, service), (version, one))
    for name, gateway in spec.gateways.items():
        workloads.append(_gateway(spec, name, gateway))
    config = spec.config if spec.config is not None else ()
    folders = (config,) if isinstance(config, str) else config
    return Topology(
        name=spec.name or _as_name(home.name),
        file=str(path.resolve()),
        config=tuple(str(home / folder) for folder in folders),
        services=tuple(services),
        workloads=tuple(workloads),
        outside=spec.outside,
    )


def _instances(
    spec: MeshSpec,
    home: Path,
    service: tuple[str, ServiceSpec],
    version: tuple[str, VersionSpec],
) -> Iterator[WorkloadPlan]:
    (name, base), (label, own) = service, version
    replicas = own.replicas if own.replicas is not None else base.replicas
    workload = f"{name}-{label}"
    command = own.command if own.command is not None else base.command
    program = Program(
        argv=("/bin/sh", "-c", command) if isinstance(command, str) else tuple(command or ()),
        directory=str(home / (own.working_dir or base.working_dir or ".")),
        environment=tuple(
            sorted({**spec.environment, **base.environment, **own.environment}.items())
        ),
    )
    labels = {"app": name, "version": label, **base.labels, **own.labels}
    for number in range(1 if replicas is None else replicas):
        yield WorkloadPlan(
            name=workload if number == 0 else f"{workload}-{number}",
            namespace=base.namespace or spec.namespace,
            workload=workload,
            service=name,
            labels=tuple(sorted(labels.items())),
            service_account=own.service_account or base.service_account or name,
            program=program,
            probe=own.probe or base.probe,
        )


def _gateway(spec: MeshSpec, name: str, gateway: GatewaySpec) -> WorkloadPlan:
    labels = dict(gateway.labels) or {"istio": name}
    found = [_publish(text) for text in gateway.publish]
    return WorkloadPlan(
        name=name,
        namespace=gateway.namespace or spec.namespace,
        workload=name,
        service=name,
        labels=tuple(sorted({"app": name, **labels}.items())),
        service_account=gateway.service_account or name,
        publish=tuple(sorted(p for p in found if p is not None)),
        gateway=True,
    )


def _as_name(text: str) -> str:
    name = re.sub(r"[^a-z0-9-]+", "-", text.lower()).strip("-")
    return name[:40] or "mesh"
