"""What a scenario found, and how it is printed."""

import json

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One figure, beside the peer or limit it is measured against in the same run."""

    what: str
    value: float
    unit: str = ""
    peer: str = ""
    """What `ratio` compares with."""
    ratio: float | None = None
    at_least: float | None = None
    """Goal for `ratio`, or for `value` where there is no ratio."""
    at_most: float | None = None

    @property
    def met(self) -> bool | None:
        """Return whether the goal is met; None without a goal."""
        if self.at_least is None and self.at_most is None:
            return None
        judged = self.value if self.ratio is None else self.ratio
        return (self.at_least is None or judged >= self.at_least) and (
            self.at_most is None or judged <= self.at_most
        )


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of one scenario."""

    scenario: str
    how: str
    rows: tuple[Row, ...]


def median(values: list[float]) -> float:
    """Return the middle value, the upper of two."""
    return sorted(values)[len(values) // 2]


def as_text(report: Report) -> str:
    """Return a table of at most 100 columns."""
    lines = [f"{report.scenario}: {report.how}"]
    for row in report.rows:
        ratio = f"{row.ratio:6.2f} x {row.peer}" if row.ratio is not None else ""
        goal = ""
        if row.at_least is not None:
            goal = f"goal >= {row.at_least:g}"
        elif row.at_most is not None:
            goal = f"goal <= {row.at_most:g}"
        verdict = {True: "met", False: "MISSED", None: ""}[row.met]
        lines.append(
            f"  {row.what:<34}{_number(row.value):>9} {row.unit:<6}{ratio:<26}{goal:<14}{verdict}".rstrip()
        )
    return "\n".join(lines)


def as_json(reports: list[Report]) -> str:
    """Return every figure for a program to read."""
    return json.dumps([msgspec.to_builtins(report) for report in reports], indent=2)


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}"
