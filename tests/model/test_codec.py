import pytest

from rhumb.model.codec import Reader, parse
from rhumb.model.finding import Finding, Level
from rhumb.model.kinds.kubernetes import ConfigMap
from rhumb.model.kinds.mesh_config import MeshConfig
from rhumb.model.resource import Key, Location

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  ports:\n  - port: 80\n"


def only(text: str | bytes) -> Finding:
    resources, (finding,) = parse(text, "f.yaml")
    assert resources == ()
    return finding


def test_an_object_knows_its_key_place_and_blocks() -> None:
    ((resource,), findings) = parse("# first\n---\n" + SERVICE, "f.yaml", namespace="shop")
    assert findings == ()
    assert resource.key == Key("", "Service", "shop", "a")
    assert resource.version == "v1"
    assert resource.location == Location("f.yaml", 3)
    assert resource.line_of("spec.ports[0].port") == Location("f.yaml", 8)
    assert resource.line_of("spec.type") == Location("f.yaml", 6)


def test_cluster_wide_kinds_have_no_namespace() -> None:
    ((resource,), _) = parse(
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n", namespace="shop"
    )
    assert resource.key == Key("", "Namespace", "", "a")


def test_the_digest_follows_the_content_and_nothing_else() -> None:
    def digest(text: str) -> bytes:
        ((resource,), _) = parse(text)
        return resource.digest

    base = digest(SERVICE)
    assert digest("\n\n" + SERVICE.replace("- port: 80", "- {port: '80'}")) == base
    assert digest(SERVICE + "status: {loadBalancer: {}}\n") == base
    assert digest(SERVICE.replace("80", "81")) != base
    assert digest(SERVICE.replace("{name: a}", "{name: a, labels: {x: z}}")) != base


def test_lists_are_opened() -> None:
    text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: a}}\n- 3\n"
    resources, findings = parse(text)
    assert [r.key.name for r in resources] == ["a"]
    assert [f.location.line for f in findings] == [5]
    text = "apiVersion: networking.istio.io/v1\nkind: GatewayList\nitems: []\n"
    assert parse(text) == ((), ())


def test_a_key_that_stands_twice_refuses_one_item_of_a_list_only() -> None:
    text = """\
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Service, metadata: {name: a}}
- apiVersion: v1
  kind: Service
  metadata:
    name: b
    name: c
- {apiVersion: v1, kind: Service, metadata: {name: d}}
"""
    documents = list(Reader().read(text))
    assert [d.resource is None for d in documents] == [False, True, False]
    assert documents[1].key == Key("", "Service", "default", "c")
    assert documents[1].findings[0].location.line == 9


def test_a_config_map_that_is_refused_takes_its_mesh_config_along() -> None:
    documents = list(Reader().read(MESH.replace("\ndata:", "\ndta:") % "REGISTRY_ONLY"))
    assert [(d.key and d.key.kind, d.resource) for d in documents] == [
        ("ConfigMap", None),
        ("MeshConfig", None),
    ]


def test_json_is_read_too() -> None:
    ((resource,), _) = parse(
        '{"apiVersion": "v1",\n\t"kind": "Service", "metadata": {"name": "a"}}'
    )
    assert resource.key.name == "a"


def test_one_bad_object_does_not_touch_the_others() -> None:
    documents = list(Reader().read(SERVICE.replace("port:", "prot:") + "---\n" + SERVICE))
    assert [d.resource is None for d in documents] == [True, False]
    assert documents[0].key == documents[1].key


def test_text_that_breaks_off_says_so() -> None:
    *_, last = Reader().read(SERVICE + "---\na: [")
    assert last.broken
    assert last.key is None


@pytest.mark.parametrize(
    ("text", "message", "fix"),
    [
        ("a: 1", "apiVersion is missing", "every object needs apiVersion and kind"),
        ("apiversion: v1\nkind: Service", "apiVersion is missing", "write apiVersion, not apiversion"),
        ("[1]", "must be an object with apiVersion, kind and metadata, not a list", ""),
        ("apiVersion: networking.istio.io/v1\nkind: VirtualServise", "unknown kind", 'did you mean "VirtualService"?'),
        ("apiVersion: networking.istio.oi/v1\nkind: VirtualService", "unknown API group", 'did you mean "networking.istio.io"?'),
        ("apiVersion: v1\nkind: VirtualService", "unknown kind", "VirtualService belongs to apiVersion networking.istio.io/v1"),
        ("apiVersion: networking.istio.io/v2\nkind: Gateway", "is not served", "write networking.istio.io/v1"),
        ("apiVersion: config.istio.io/v1alpha2\nkind: rule", "was removed from Istio", "use Telemetry"),
        ("apiVersion: v1\nkind: Service", "metadata.name is missing", "every object needs a name"),
        ("apiVersion: v1\nkind: Service\nmetadata: {generateName: a}", "metadata.name is missing", "generateName"),
        (SERVICE.replace("spec:", "sepc:"), 'unknown field "sepc"', 'did you mean "spec"?'),
        (SERVICE + "kind: Service\n", 'key "kind" is written twice', "keep one of them"),
        (b"a: \xff", "not UTF-8", "save the file as UTF-8 text"),
        ("a: 1".encode("utf-16"), "UTF-16", "save the file as UTF-8 text"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_an_error_with_a_way_out(
    text: str | bytes, message: str, fix: str
) -> None:
    finding = only(text)
    assert finding.level is Level.ERROR
    assert message in finding.message
    assert fix in finding.fix


@pytest.mark.parametrize(
    ("text", "level"),
    [
        (
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a}",
            Level.WARNING,
        ),
        ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}", Level.INFO),
        ("apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: a}", Level.INFO),
        ("apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: a}", Level.INFO),
        (
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a}",
            Level.INFO,
        ),
        ("apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}", Level.INFO),
    ],
)
def test_kinds_without_effect_are_named_and_harm_nothing(text: str, level: Level) -> None:
    finding = only(text)
    assert finding.level is level
    assert "ignored" in finding.message
    assert finding.key is not None


MESH = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    accessLogFile: /dev/stdout
    outboundTrafficPolicy:
      mode: %s
"""


def test_the_mesh_config_stands_in_a_config_map() -> None:
    (config_map, mesh), findings = parse(MESH % "REGISTRY_ONLY", "f.yaml")
    assert findings == ()
    assert isinstance(config_map.spec, ConfigMap)
    assert isinstance(mesh.spec, MeshConfig)
    assert mesh.key == Key("mesh.istio.io", "MeshConfig", "istio-system", "istio")
    assert mesh.line_of("outboundTrafficPolicy.mode") == Location("f.yaml", 7)


def test_an_error_in_the_mesh_config_is_found_on_its_own_line() -> None:
    resources, (finding,) = parse(MESH % "REGISTRY", "f.yaml")
    assert [r.key.kind for r in resources] == ["ConfigMap"]
    assert finding.location == Location("f.yaml", 8)
    assert finding.field == "outboundTrafficPolicy.mode"
    assert finding.fix == 'did you mean "REGISTRY_ONLY"?'


@pytest.mark.parametrize("text", ["trustDomain: a", "meshConfig: {trustDomain: a}", "---\n"])
def test_a_mesh_config_file_may_be_bare(text: str) -> None:
    for document in Reader().read_mesh_config(text):
        assert document.resource is not None
        assert document.resource.key.kind == "MeshConfig"


@pytest.mark.parametrize(
    ("text", "field", "fix"),
    [
        (
            "metadata: {name: a}\nspec: {http: [{match: [{uri: /x}]}]}",
            "spec.http[0].match[0].uri",
            "indent below it: exact, prefix, regex",
        ),
        (
            "metadata: {name: a}\nspec: {http: [{match: [{uri: {path: /x}}]}]}",
            "spec.http[0].match[0].uri.path",
            "there are: exact, prefix, regex",
        ),
        ("metadata: {}\nname: a\nspec: {hosts: [a]}", "name", "indent it below metadata"),
    ],
    ids=["flat", "other", "beside"],
)
def test_the_next_step_names_what_can_be_written(text: str, field: str, fix: str) -> None:
    head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
    (document,) = Reader().read(head + text)
    assert {f.field: f.fix for f in document.findings}[field] == fix
