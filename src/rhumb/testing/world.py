"""A snapshot from YAML text, and proxies to look at it: what tests of everything above start from."""

from collections.abc import Iterable, Mapping

from rhumb.model.codec import Reader
from rhumb.model.endpoint import Locality
from rhumb.model.finding import Level
from rhumb.model.proxy import Proxy, Role
from rhumb.model.resource import Changes, Resource, ResourceSet
from rhumb.snapshot.build import World, build, empty


def resources(*texts: str, namespace: str = "default") -> tuple[Resource, ...]:
    """Read YAML texts. Raises ValueError with the findings when an object is refused."""
    reader = Reader()
    found: list[Resource] = []
    problems: list[str] = []
    for number, text in enumerate(texts):
        for document in reader.read(text, f"input-{number}.yaml", namespace=namespace):
            problems += [f.text() for f in document.findings if f.level is Level.ERROR]
            if document.resource is not None:
                found.append(document.resource)
    if problems:
        raise ValueError("\n".join(problems))
    return tuple(found)


def mesh_config(text: str) -> tuple[Resource, ...]:
    """Read a MeshConfig."""
    documents = Reader().read_mesh_config(text, "mesh.yaml")
    return tuple(d.resource for d in documents if d.resource is not None)


def service(name: str, address: str, *, namespace: str = "default") -> str:
    """Return YAML of a Service with HTTP on port 80."""
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{clusterIP: {address}, ports: [{{name: http, port: 80}}]}}
"""


def service_entry(
    name: str, address: str = "10.0.0.7", *, port: int = 9080, target: int | None = None
) -> str:
    """Return YAML of NAME.example, an HTTP service with one endpoint, which listens at `target`."""
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}}}
spec:
  hosts: [{name}.example]
  resolution: STATIC
  ports: [{{number: {port}, name: http, protocol: HTTP}}]
  endpoints: [{{address: {address}, ports: {{http: {target or port}}}}}]
"""


def sends(name: str, to: str, more: str = "") -> str:
    """Return YAML of routes from NAME.example to TO.example, with more fields of the rule."""
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}}}
spec:
  hosts: [{name}.example]
  http: [{{route: [{{destination: {{host: {to}.example}}}}], {more}}}]
"""


def world(found: Iterable[Resource]) -> World:
    """Build a snapshot of these resources from nothing."""
    start, changes = ResourceSet().apply(found, ())
    return build(empty(), start, changes)


def following(before: World, found: Iterable[Resource]) -> World:
    """Build the next snapshot after more resources came."""
    after, changes = before.resources.apply(found, ())
    return build(before, after, changes or Changes())


def proxy(
    *,
    address: str = "10.0.0.9",
    name: str = "client-1",
    namespace: str = "default",
    role: Role = Role.SIDECAR,
    labels: Mapping[str, str] | None = None,
    metadata: Mapping[str, object] | None = None,
    locality: str = "",
) -> Proxy:
    """Introduce a proxy as our own agent does."""
    said: dict[str, object] = {
        "NAMESPACE": namespace,
        "LABELS": dict(labels or {}),
        "SERVICE_ACCOUNT": "default",
        "CLUSTER_ID": "Kubernetes",
        "RHUMB_FILE_SDS": "true",
        "RHUMB_STATS": "true",
        "DNS_CAPTURE": "true",
    }
    said |= metadata or {}
    return Proxy.parse(
        f"{role.value}~{address}~{name}.{namespace}~{namespace}.svc.cluster.local",
        said,
        Locality.parse(locality),
    )
