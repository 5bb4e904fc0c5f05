"""What is wrong with a resource, as data."""

import enum
from collections.abc import Sequence

import msgspec

from rhumb.model.resource import Key, Location

MAX_OF_ONE = 50
"""Findings of one object; more help nobody, and an object may be large."""
_MAX_TEXT = 1000


class Level(enum.StrEnum):
    """How bad it is: an error rejects the resource, a warning does not, info is advice."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell the user: what, where, why, and what to do next.

    `field` is the path as the user spells it (`spec.http[0].route[1].weight`); `code` is Istio's
    analyzer code where one exists; `fix` is the next step in one sentence.
    """

    level: Level
    message: str
    location: Location = Location()
    key: Key | None = None
    field: str = ""
    fix: str = ""
    code: str = ""

    def text(self) -> str:
        """Return the finding on one line: where, level, object, field: message. fix."""
        where = f"{self.location}: " if self.location.file else ""
        what = f"{shortened(str(self.key))}: " if self.key else ""
        at = f"{self.field}: " if self.field else ""
        fix = f" ({self.fix})" if self.fix else ""
        return f"{where}{self.level}: {what}{at}{self.message}{fix}"


def bounded(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return the findings of one object, errors before others where there are too many, none endless."""
    if len(findings) > MAX_OF_ONE:
        errors = [f for f in findings if f.level is Level.ERROR]
        others = [f for f in findings if f.level is not Level.ERROR]
        kept = (errors + others)[:MAX_OF_ONE]
        more = msgspec.structs.replace(
            kept[-1],
            field="",
            code="",
            message="there is more like this, which is not shown",
            fix="repair these first",
        )
        findings = [*kept, more]
    return tuple(map(_readable, findings))


def _readable(finding: Finding) -> Finding:
    if max(len(finding.message), len(finding.field), len(finding.fix)) <= _MAX_TEXT:
        return finding
    return msgspec.structs.replace(
        finding,
        message=shortened(finding.message),
        field=shortened(finding.field),
        fix=shortened(finding.fix),
    )


def shortened(text: str) -> str:
    """Return a text whose middle is left out where nobody would read it."""
    half = _MAX_TEXT // 2
    return text if len(text) <= _MAX_TEXT else f"{text[:half]} ... {text[-half:]}"
