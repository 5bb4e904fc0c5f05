"""Istio's own validation cases, where the corpus stands beside the checkout: accepted or refused, and why."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from rhumb.model.finding import Finding, Level
from rhumb.model.kinds.table import KINDS
from rhumb.validation.load import Loader

CORPUS = Path(__file__).parents[3] / "shared" / "corpora" / "validation"
SERVED = {info.kind for info in KINDS}
WANTED = 0.95


class Case(NamedTuple):
    id: str
    kind: str
    group: str
    text: str
    expect: dict[str, object]
    is_wrapped: bool


def cases() -> Iterator[Case]:
    index = json.loads((CORPUS / "cases.json").read_text())
    for group in ("semantic", "crd_cel", "dataset_valid", "gateway_api_invalid"):
        for entry in index[group]:
            text = (CORPUS / entry["file"]).read_text()
            if "doc_index" in entry:
                text = document(text, entry["doc_index"])
            yield Case(
                entry["id"],
                entry["kind"],
                group,
                text,
                entry["expect"],
                entry.get("wrapped", False),
            )


def document(text: str, index: int) -> str:
    """Return one document of a file; `_err` is the corpus's own note."""
    found = [d for d in yaml.safe_load_all(text) if d is not None][index]
    found.pop("_err", None)
    dumped: str = yaml.safe_dump(found)
    return dumped


def findings(case: Case) -> list[Finding]:
    return [f for d in Loader().load(case.text, case.id) for f in d.findings]


def verdict(case: Case, found: list[Finding]) -> str:
    """Return what differs from what the case expects; "" when nothing does."""
    errors = [f for f in found if f.level is Level.ERROR]
    if bool(errors) == case.expect["valid"]:
        return "refused: " + "; ".join(f.text() for f in errors) if errors else "accepted"
    return ""


def wording(case: Case, found: list[Finding]) -> str:
    """Return which text of Istio's is missing; secondary, so it is reported only."""
    for key, level in (("error_contains", Level.ERROR), ("warning_contains", Level.WARNING)):
        wanted = str(case.expect.get(key, ""))
        said = " ".join(f"{f.field} {f.message}" for f in found if f.level is level).lower()
        if wanted and wanted.lower() not in said:
            return f"no {level} says {wanted!r} but: {said}"
    if "warning" in case.expect and case.expect["valid"]:
        has_warning = any(f.level is Level.WARNING for f in found)
        if has_warning != case.expect["warning"]:
            return f"warning: {has_warning}"
    return ""


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpora do not stand beside the checkout")
def test_istio_and_rhumb_accept_and_refuse_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    score: Counter[str] = Counter()
    lines = []
    for case in cases():
        found = findings(case)
        is_ours = case.kind in SERVED and case.group != "gateway_api_invalid"
        if not is_ours:
            score["not run"] += 1
            lines.append(f"not run  {case.id}: {case.kind} of {case.group} is not served yet")
            continue
        wrong, words = verdict(case, found), wording(case, found)
        outcome = "failed" if wrong else "passed"
        score[outcome] += 1
        if wrong:
            lines.append(f"failed   {case.id} ({case.expect}): {wrong}")
        if words:
            score["other words"] += 1
            lines.append(f"words    {case.id}: {words}")
    with capsys.disabled():
        print("\n" + "\n".join(lines))
        print(dict(score))
    run = score["passed"] + score["failed"]
    assert score["passed"] >= WANTED * run
