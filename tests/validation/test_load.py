"""Whatever is in a file: findings, never an exception."""

import random
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rhumb.model.codec import Document
from rhumb.model.finding import Level
from rhumb.model.resource import Location
from rhumb.validation.load import Loader

SEEDS = Path(__file__).with_name("seeds.yaml").read_text()
LOADER = Loader()
TOKENS = [
    "null", "true", "~", "[]", "{}", "- ", ": ", "\n", "\t", "*a", "&a ", "<<: ", "!!int ", "|", ">", "'", '"', "#", "---\n",
    "0", "-1", "65536", "1e999", ".inf", ".nan", "9" * 400, "5s", "-1h", "99999999999999h", "*", "~/*", "*/*", "a" * 300,
    "%", "%%", "%A(", "(?!", "[", "]", "{1001}", "\\", "unix://", "unix:///", "::1", "1.2.3.4/33", "://", "/", "é", "\x00",
    "\ud800", "\u2028", "\ufeff", "NONE", "STATIC", "DYNAMIC_DNS", "ISTIO_MUTUAL", "@request.auth.claims[a", "configmap://",
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Draw one of the seeds with some places overwritten, swapped, doubled or cut."""
    documents = SEEDS.split("---\n")
    text = draw(st.sampled_from(documents))
    dice = random.Random(draw(st.integers(0, 2**32)))
    for _ in range(draw(st.integers(1, 6))):
        lines = text.splitlines(keepends=True) or [""]
        at = dice.randrange(len(lines))
        match dice.randrange(6):
            case 0:
                lines[at] = ""
            case 1:
                lines.insert(at, dice.choice(lines))
            case 2:
                key, colon, _ = lines[at].partition(":")
                lines[at] = f"{key}{colon} {dice.choice(TOKENS)}\n"
            case 3:
                place = dice.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:place] + dice.choice(TOKENS) + lines[at][place:]
            case 4:
                lines[at] = " " * dice.randrange(8) + lines[at].lstrip()
            case _:
                lines[at] = lines[at].replace(dice.choice("aeiorst"), dice.choice(TOKENS), 1)
        text = "".join(lines)
    return text


def load(text: str | bytes) -> list[Document]:
    return list(LOADER.load(text, "f.yaml"))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
@example("a: 0o")
def test_mutated_resources_give_findings_never_exceptions(text: str) -> None:
    documents = load(text)
    findings = [f for document in documents for f in document.findings]
    if any(document.resource is None for document in documents):
        assert any(f.level is Level.ERROR or "ignored" in f.message for f in findings)
    assert all(f.location.file == "f.yaml" and f.location.line >= 1 for f in findings)


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.binary(), st.text()))
def test_any_bytes_give_findings_never_exceptions(text: str | bytes) -> None:
    load(text)


def test_the_seeds_are_valid() -> None:
    findings = [f for d in load(SEEDS) for f in d.findings if "has no effect" not in f.message]
    assert findings == []


def test_an_error_is_placed_on_the_line_of_its_field() -> None:
    text = SEEDS.split("---\n")[0].replace("weight: 75", "weight: -75")
    ((document),) = load(text)
    assert document.resource is None
    assert document.key is not None
    (finding,) = document.findings
    line = next(n for n, row in enumerate(text.splitlines(), 1) if "-75" in row)
    assert finding.location == Location("f.yaml", line)
    assert finding.field == "spec.http[0].route[0].weight"


def test_a_warning_refuses_nothing() -> None:
    text = SEEDS.split("---\n")[0].replace("timeout: 5s", "mirrorPercent: 5")
    (document,) = load(text)
    assert document.resource is not None
    assert [f.level for f in document.findings] == [Level.WARNING]
