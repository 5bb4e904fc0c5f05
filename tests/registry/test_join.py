"""Services, ServiceEntries and WorkloadEntries as one catalog."""

from rhumb.model.codec import parse
from rhumb.model.endpoint import Endpoint, Health, Locality
from rhumb.model.resource import Changes, ResourceSet
from rhumb.model.service import Protocol, Registry, Resolution
from rhumb.registry import join
from rhumb.registry.addresses import allocate
from rhumb.registry.catalog import Catalog

REVIEWS = """
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: books}
spec:
  clusterIP: 10.0.0.1
  selector: {app: reviews}
  ports:
  - {name: http, port: 9080, targetPort: 8080}
  - {name: admin, port: 9081, targetPort: management}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata:
  name: reviews-v1-0
  namespace: books
  labels: {version: v1, service.istio.io/workload-name: reviews-v1}
spec:
  address: 172.16.0.1
  labels: {app: reviews, version: ignored}
  serviceAccount: reviews
  locality: eu/eu-1/rack-7
  network: lan
  weight: 3
"""


def catalog(yaml: str) -> Catalog:
    resources, findings = parse(yaml)
    assert not findings, [f.text() for f in findings]
    return join.build(ResourceSet(resources), "cluster.local")


def ends(found: Catalog, host: str, namespace: str) -> list[tuple[str, int, int]]:
    return [(e.address, e.port, e.service_port) for e in found.endpoints.get((host, namespace), ())]


def only(found: Catalog) -> Endpoint:
    (endpoints,) = found.endpoints.values()
    (endpoint,) = endpoints
    return endpoint


def test_a_selector_finds_workloads_of_its_namespace() -> None:
    found = catalog(REVIEWS + "---" + REVIEWS.partition("---")[2].replace("books", "elsewhere"))
    endpoint = found.endpoints["reviews.books.svc.cluster.local", "books"][0]
    assert (endpoint.address, endpoint.port, endpoint.service_port) == ("172.16.0.1", 8080, 9080)
    assert endpoint.workload.name == "reviews-v1"
    assert endpoint.hostname == "reviews-v1-0"
    assert endpoint.workload.service_account == "reviews"
    assert endpoint.workload.locality == Locality("eu", "eu-1", "rack-7")
    assert endpoint.workload.network == "lan"
    assert endpoint.weight == 3
    assert endpoint.mtls
    assert dict(endpoint.workload.labels)["version"] == "v1"
    assert len(found.endpoints["reviews.books.svc.cluster.local", "books"]) == 1


def test_a_named_target_port_needs_the_workload_to_name_it() -> None:
    assert ends(catalog(REVIEWS), "reviews.books.svc.cluster.local", "books") == [
        ("172.16.0.1", 8080, 9080)
    ]
    named = REVIEWS + "  ports: {management: 15, http: 81}\n"
    assert ends(catalog(named), "reviews.books.svc.cluster.local", "books") == [
        ("172.16.0.1", 15, 9081),
        ("172.16.0.1", 81, 9080),
    ]


def test_tls_mode_label_beats_the_service_account() -> None:
    disabled = REVIEWS.replace("{version: v1,", "{security.istio.io/tlsMode: disabled,")
    endpoint = catalog(disabled).endpoints["reviews.books.svc.cluster.local", "books"][0]
    assert not endpoint.mtls
    without = REVIEWS.replace("  serviceAccount: reviews\n", "")
    endpoint = catalog(without).endpoints["reviews.books.svc.cluster.local", "books"][0]
    assert not endpoint.mtls


def test_health_is_a_condition_of_the_status() -> None:
    sick = REVIEWS + 'status: {conditions: [{type: Healthy, status: "False"}]}\n'
    endpoint = catalog(sick).endpoints["reviews.books.svc.cluster.local", "books"][0]
    assert endpoint.health is Health.UNHEALTHY
    well = sick.replace('"False"', '"True"')
    endpoint = catalog(well).endpoints["reviews.books.svc.cluster.local", "books"][0]
    assert endpoint.health is Health.HEALTHY


def test_a_checked_workload_is_unhealthy_until_it_says_otherwise() -> None:
    checked = REVIEWS.replace(
        "  labels: {version",
        '  annotations: {proxy.istio.io/health-checks-enabled: "true"}\n  labels: {version',
    )
    endpoint = catalog(checked).endpoints["reviews.books.svc.cluster.local", "books"][0]
    assert endpoint.health is Health.UNHEALTHY
    well = checked + 'status: {conditions: [{type: Healthy, status: "True"}]}\n'
    endpoint = catalog(well).endpoints["reviews.books.svc.cluster.local", "books"][0]
    assert endpoint.health is Health.HEALTHY


def test_a_registered_workload_is_named_after_its_group() -> None:
    grouped = REVIEWS.replace(
        "  labels: {version",
        "  annotations: {istio.io/autoRegistrationGroup: reviews-vm}\n  labels: {version",
    )
    endpoint = catalog(grouped).endpoints["reviews.books.svc.cluster.local", "books"][0]
    assert endpoint.workload.name == "reviews-vm"


ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ext, namespace: books}
spec:
  hosts: [api.example.com]
  ports: [{number: 443, name: tls, protocol: TLS, targetPort: 8443}]
  resolution: RESOLUTION
"""


def test_a_static_entry_maps_ports_by_name_then_target_then_number() -> None:
    found = catalog(
        ENTRY.replace("RESOLUTION", "STATIC")
        + "  endpoints:\n  - {address: 1.1.1.1}\n  - {address: 1.1.1.2, ports: {tls: 7443}}\n"
        "  - {address: unix:///run/api.sock}\n"
    )
    assert ends(found, "api.example.com", "books") == [
        ("1.1.1.1", 8443, 443),
        ("1.1.1.2", 7443, 443),
        ("unix:///run/api.sock", 0, 443),
    ]
    service = found.services["api.example.com", "books"]
    assert service.resolution is Resolution.STATIC
    assert service.registry is Registry.EXTERNAL
    assert service.mesh_external
    assert service.auto_address.startswith("240.240.")


def test_dns_without_endpoints_resolves_the_host_itself() -> None:
    endpoint = only(catalog(ENTRY.replace("RESOLUTION", "DNS")))
    assert (endpoint.address, endpoint.port, endpoint.mtls) == ("api.example.com", 8443, False)


def test_none_has_no_endpoints_and_no_address() -> None:
    found = catalog(ENTRY.replace("RESOLUTION", "NONE"))
    assert found.endpoints == {}
    service = found.services["api.example.com", "books"]
    assert service.resolution is Resolution.PASSTHROUGH
    assert service.auto_address == ""


def test_dynamic_dns_gets_an_address_for_its_wildcard() -> None:
    wild = ENTRY.replace("api.example.com", '"*.example.com"')
    dynamic = catalog(wild.replace("RESOLUTION", "DYNAMIC_DNS"))
    assert dynamic.services["*.example.com", "books"].auto_address
    dns = catalog(wild.replace("RESOLUTION", "DNS"))
    assert not dns.services["*.example.com", "books"].auto_address


def test_a_label_opts_out_of_automatic_addresses() -> None:
    out = ENTRY.replace(
        "namespace: books}",
        'namespace: books, labels: {networking.istio.io/enable-autoallocate-ip: "false"}}',
    )
    found = catalog(out.replace("RESOLUTION", "DNS"))
    assert found.services["api.example.com", "books"].auto_address == ""


def test_a_workload_selector_selects_workload_entries() -> None:
    found = catalog(
        ENTRY.replace("RESOLUTION", "STATIC")
        + "  location: MESH_INTERNAL\n  workloadSelector: {labels: {app: reviews}}\n---"
        + REVIEWS.partition("---")[2]
    )
    assert ends(found, "api.example.com", "books") == [("172.16.0.1", 8443, 443)]
    assert not found.services["api.example.com", "books"].mesh_external


def test_kubernetes_wins_and_takes_the_endpoints_of_an_entry_of_its_namespace() -> None:
    found = catalog(
        REVIEWS
        + """---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: vms, namespace: books, creationTimestamp: "2001-01-01T00:00:00Z"}
spec:
  hosts: [reviews.books.svc.cluster.local]
  addresses: [9.9.9.9]
  ports:
  - {number: 9080, name: http, protocol: HTTP, targetPort: 70}
  - {number: 1, name: other, protocol: TCP}
  resolution: STATIC
  endpoints: [{address: 2.2.2.2}]
"""
    )
    assert ends(found, "reviews.books.svc.cluster.local", "books") == [
        ("172.16.0.1", 8080, 9080),
        ("2.2.2.2", 70, 9080),
    ]
    service = found.services["reviews.books.svc.cluster.local", "books"]
    assert service.addresses == ("10.0.0.1",)
    (finding,) = found.findings
    assert "already defined by Service books/reviews; only its endpoints are used" in finding.text()


def test_an_entry_elsewhere_does_not_take_the_name_of_a_kubernetes_service() -> None:
    squatter = ENTRY.replace("api.example.com", "reviews.books.svc.cluster.local")
    squatter = squatter.replace("namespace: books", "namespace: evil").replace("RESOLUTION", "DNS")
    found = catalog(REVIEWS + "---" + squatter)
    first, second = found.by_host["reviews.books.svc.cluster.local"]
    assert (first.namespace, second.namespace) == ("books", "evil")
    (finding,) = found.findings
    assert "only clients in namespace evil see this one" in finding.message


def entry(name: str, created: str, address: str, more: str = "", *, port: int = 80) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: books, creationTimestamp: "{created}"}}
spec:
  hosts: [x.example.com]
  ports: [{{number: {port}, name: http, protocol: HTTP}}]
  endpoints: [{{address: {address}}}]
  {more or "resolution: STATIC"}
"""


def test_entries_of_one_host_and_namespace_are_one_service_whatever_the_order() -> None:
    old = entry("b", "2020-01-01T00:00:00Z", "1.0.0.2") + "  addresses: [9.0.0.1]\n"
    young = entry("a", "2024-01-01T00:00:00Z", "1.0.0.1", port=81).replace("http,", "more,")
    young += "  addresses: [9.0.0.2/32]\n  subjectAltNames: [never]\n"
    for text in (young + "---" + old, old + "---" + young):
        found = catalog(text)
        assert ends(found, "x.example.com", "books") == [("1.0.0.1", 81, 81), ("1.0.0.2", 80, 80)]
        service = found.services["x.example.com", "books"]
        assert [p.number for p in service.ports] == [80, 81]
        assert service.addresses == ("9.0.0.1", "9.0.0.2")
        assert not service.subject_alt_names
        (finding,) = found.findings
        assert finding.key is not None
        assert finding.key.name == "a"
        assert "its ports, addresses and endpoints are added" in finding.message


def test_endpoints_join_a_kubernetes_service_at_the_port_of_their_name() -> None:
    text = entry("vms", "", "1.0.0.1", port=8080)
    found = catalog(
        REVIEWS + "---" + text.replace("x.example.com", "reviews.books.svc.cluster.local")
    )
    assert ("1.0.0.1", 8080, 9080) in ends(found, "reviews.books.svc.cluster.local", "books")


def test_an_entry_of_another_resolution_has_no_effect() -> None:
    old = entry("b", "2020-01-01T00:00:00Z", "1.0.0.2")
    young = entry("a", "2024-01-01T00:00:00Z", "one.example.com", "resolution: DNS", port=81)
    found = catalog(old + "---" + young)
    assert ends(found, "x.example.com", "books") == [("1.0.0.2", 80, 80)]
    (finding,) = found.findings
    assert "it has no effect" in finding.message


def test_addresses_that_istio_gave_are_kept() -> None:
    text = ENTRY.replace("RESOLUTION", "DNS") + (
        "status: {addresses: [{value: 240.240.7.7, host: api.example.com},"
        ' {value: "2001:2::7", host: api.example.com}, {value: x, host: api.example.com},'
        " {value: 240.240.7.8, host: other.example.com}]}\n"
    )
    service = catalog(text).services["api.example.com", "books"]
    assert service.auto_addresses == ("240.240.7.7", "2001:2::7")


def test_a_port_without_protocol_is_sniffed_whatever_its_name() -> None:
    found = catalog(ENTRY.replace("RESOLUTION", "DNS").replace("protocol: TLS, ", ""))
    assert found.services["api.example.com", "books"].ports[0].protocol is Protocol.AUTO


def test_a_workload_is_found_by_its_address() -> None:
    found = catalog(REVIEWS)
    workload = found.workload_at("172.16.0.1")
    assert workload is not None
    assert workload.name == "reviews-v1"
    assert found.workload_at("172.16.0.2") is None


def test_an_entry_without_address_is_no_endpoint() -> None:
    hidden = REVIEWS.replace("  address: 172.16.0.1\n", "")
    assert catalog(hidden).endpoints == {}


def _colliding() -> tuple[str, str]:
    first: dict[str, str] = {}
    for number in range(5000):
        host = f"h{number}.com"
        ((address, _),) = allocate({f"books/{host}": (True, "")}).values()
        if address in first:
            return first[address], host
        first[address] = host
    raise AssertionError


def test_an_older_host_that_arrives_late_takes_its_address_as_if_it_had_been_there() -> None:
    one, other = _colliding()
    text = ENTRY.replace("RESOLUTION", "DNS").replace("api.example.com", one)
    old = text.replace(one, other).replace("name: ext,", "name: old,")
    old = old.replace("books}", 'books, creationTimestamp: "2001-01-01T00:00:00Z"}')
    start = ResourceSet(parse(text)[0])
    before = join.build(start, "cluster.local")
    following, changes = start.apply(parse(old)[0], ())
    after, touched = join.update(before, following, changes, "cluster.local")
    assert after.services == join.build(following, "cluster.local").services
    assert after.by_host == join.build(following, "cluster.local").by_host
    assert touched.services == {(one, "books"), (other, "books")}
    was = before.services[one, "books"].auto_address
    assert after.services[other, "books"].auto_address == was
    assert after.services[one, "books"].auto_address != was
    undo = Changes(removed=changes.added)
    back, _ = join.update(after, start, undo, "cluster.local")
    assert back.services == before.services
