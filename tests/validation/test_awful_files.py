"""Files that nobody should have: each gets a clear finding, or is read; never much time or memory."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rhumb.model.codec import MAX_STRAYS, Document
from rhumb.model.finding import MAX_OF_ONE, Level
from rhumb.model.resource import Location
from rhumb.validation.load import Loader

OBJECT = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v%d}
spec:
  hosts: [h%d.example.com]
  http:
  - route:
    - destination: {host: web}
"""
MEMORY = 900 * 2**20
CPU_S = 60
READ = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))
resource.setrlimit(resource.RLIMIT_CPU, ({CPU_S}, {CPU_S}))
from pathlib import Path
from rhumb.validation.load import Loader
accepted = 0
for document in Loader().load(Path(sys.argv[1]).read_bytes(), "f.yaml"):
    accepted += document.resource is not None
    for finding in document.findings:
        print(finding.text())
print(accepted, "accepted")
"""


def load(text: str | bytes) -> list[Document]:
    return list(Loader().load(text, "f.yaml"))


def errors(text: str | bytes) -> list[str]:
    return [f.text() for d in load(text) for f in d.findings if f.level is Level.ERROR]


def rules(count: int) -> str:
    rule = "  - match: [{uri: {prefix: /%d}}]\n    route: [{destination: {host: web}}]\n"
    text = OBJECT.replace("  - route:\n    - destination: {host: web}\n", "") % (0, 0)
    return text + "".join(rule % number for number in range(count))


def nested(depth: int) -> str:
    return "".join(f"{' ' * level}a:\n" for level in range(depth))


def laughs(depth: int) -> str:
    lines = ["a0: &a0 {x: y}"]
    for number in range(1, depth):
        tens = ", ".join([f"*a{number - 1}"] * 10)
        lines.append(f"a{number}: &a{number} {{<<: [{tens}], k{number}: [{tens}]}}")
    return "\n".join(lines)


HUGE: dict[str, tuple[Callable[[], str], str]] = {
    "100,000 lines of objects": (
        lambda: "---\n".join(OBJECT % (n, n) for n in range(11_200)),
        "11200 accepted",
    ),
    "100,000 lines of one object": (lambda: rules(50_000), "1 accepted"),
    "10,000 levels": (lambda: nested(10_000), "f.yaml:101: error: nested deeper than 100 levels"),
    "10,000 brackets": (lambda: "a: " + "[" * 10_000 + "]" * 10_000, "nested deeper than"),
    "50 MB in a value": (
        lambda: OBJECT.replace("web", "w" * (50 << 20)) % (0, 0),
        "f.yaml:8: error: VirtualService default/v0: spec.http[0].route[0].destination.host: domain name",
    ),
    "50 MB in a key": (lambda: "a" * (50 << 20) + ": 1", "mapping values are not allowed"),
    "50 MB without a space": (lambda: "a" * (50 << 20), "must be an object with apiVersion"),
    "65 MB": (lambda: "a: " + "x" * (65 << 20), "the file is larger than 64 MiB"),
    "aliases": (lambda: laughs(12), "aliases expand to more than"),
    "5,000,000 items": (
        lambda: "a: [" + "1," * 5_000_000 + "]",
        "the document has more than 2000000 values",
    ),
    "5,000,000 documents": (
        lambda: "--- a\n" * 5_000_000,
        "objects here have no apiVersion, kind or name",
    ),
    "100,000 unknown fields": (
        lambda: OBJECT % (0, 0) + "".join(f"  k{n}: 1\n" for n in range(100_000)),
        'spec.k0: unknown field "k0"',
    ),
    "100,000 duplicates": (
        lambda: OBJECT % (0, 0) + "  k: 1\n" * 100_000,
        "more than 1000 keys are written twice",
    ),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", HUGE)
def test_a_huge_file_costs_no_huge_memory(name: str, tmp_path: Path) -> None:
    """The limits hold in the process that reads: it would die of them."""
    text, says = HUGE[name]
    path = tmp_path / "f.yaml"
    path.write_text(text())
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert says in done.stdout
    assert len(done.stdout) < 30_000


@pytest.mark.parametrize(
    "text",
    [
        (OBJECT % (0, 0)).replace("\n", "\r\n"),
        "\ufeff" + OBJECT % (0, 0),
        (OBJECT % (0, 0)).encode("utf-8-sig"),
        "# only\n---\n---\n" + OBJECT % (0, 0) + "---\n---\n# comments\n",
    ],
    ids=["crlf", "mark", "mark of bytes", "empty documents"],
)
def test_an_odd_file_is_read_all_the_same(text: str | bytes) -> None:
    (document,) = load(text)
    assert document.resource is not None
    assert document.findings == ()


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        ((OBJECT % (0, 0)).replace("h0", "hé").encode("latin-1"), 5, "byte 0xe9 is not UTF-8"),
        ((OBJECT % (0, 0)).encode("utf-16"), 1, "UTF-16"),
        ((OBJECT % (0, 0)).encode("utf-32"), 1, "UTF-32"),
        (b"\x7fELF\x02\x01\x01\x00\x80", 1, "byte 0x80 is not UTF-8"),
        (b"\x1f\x8b\x08\x00\x00", 1, "not UTF-8"),
        (b"hello\n", 1, "must be an object with apiVersion"),
        (b"- a\n- b\n", 1, "must be an object with apiVersion"),
    ],
    ids=["latin-1", "utf-16", "utf-32", "program", "archive", "prose", "list"],
)
def test_what_is_no_configuration_is_told_where_and_what_next(
    content: bytes, line: int, says: str
) -> None:
    ((document),) = load(content)
    (finding,) = document.findings
    assert (finding.level, finding.location) == (Level.ERROR, Location("f.yaml", line))
    assert says in finding.message
    assert finding.fix


def test_lists_are_taken_apart_however_deep() -> None:
    item = '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n%d"}}'
    text = f"[{item % 1}, {{kind: NamespaceList, items: [{item % 2}]}}, {item % 3}]"
    found = load(f"apiVersion: v1\nkind: List\nitems: {text}\n")
    assert [d.key.name for d in found if d.key] == ["n1", "n2", "n3"]
    assert load("{kind: List, items: [" * 49 + "]}" * 49) == []


@pytest.mark.parametrize("items", ["", "items: 3", "items: {}"])
def test_a_list_without_items_is_told(items: str) -> None:
    (said,) = errors(f"apiVersion: v1\nkind: List\n{items}\n")
    assert "items must be a list" in said


def test_a_huge_object_has_few_findings_and_its_errors_first() -> None:
    bad = rules(200) + "  - route: [{destination: {host: web}, weight: -1}]\n"
    text = bad.replace("prefix: /", "prefix: /a")
    ((document),) = load(text)
    assert document.resource is None
    assert len(document.findings) <= MAX_OF_ONE + 1
    assert document.findings[0].level is Level.ERROR


def test_the_rest_of_a_file_that_is_no_configuration_is_not_read() -> None:
    documents = load("--- a\n" * 1000)
    assert len(documents) == MAX_STRAYS + 2
    assert documents[-1].broken
    ignored = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n---\n" * 200
    assert len(load(ignored)) == 200
