"""What is wrong with a resource, as data."""

import enum

import msgspec

from rhumb.model.resource import Key, Location


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
        what = f"{self.key}: " if self.key else ""
        at = f"{self.field}: " if self.field else ""
        fix = f" ({self.fix})" if self.fix else ""
        return f"{where}{self.level}: {what}{at}{self.message}{fix}"
