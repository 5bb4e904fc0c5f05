"""Durations as users write them ("1h30m", "0.5s", "10ms") and as exact integers.

Grammar: Go's time.ParseDuration, which Istio's CRDs and protobuf JSON accept.
"""

import re

_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(r"(\d+)(?:\.(\d*))?(ns|us|µs|ms|s|m|h)|\.(\d+)(ns|us|µs|ms|s|m|h)")


class Duration(int):
    """A length of time in whole nanoseconds, which prints as Istio writes it."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> "Duration":
        """Read "1.5s", "2m3s", "-1s" or "0".

        Raises ValueError with the reason when the text is no duration.
        """
        body = text.strip()
        sign = 1
        if body[:1] in ("+", "-"):
            sign = -1 if body[0] == "-" else 1
            body = body[1:]
        if body == "0":
            return cls(0)
        total, at = 0, 0
        while at < len(body):
            part = _PART.match(body, at)
            if part is None:
                break
            whole, fraction = part.group(1) or "0", part.group(2) or part.group(4) or ""
            unit = _UNITS_NS[part.group(3) or part.group(5)]
            total += int(whole) * unit
            if fraction:
                total += int(fraction) * unit // 10 ** len(fraction)
            at = part.end()
        if not body or at != len(body):
            raise ValueError(
                f'invalid duration "{text}": write a number and a unit, such as "1.5s", "300ms" or "1h"'
            )
        return cls(sign * total)

    @property
    def ms(self) -> int:
        """Return whole milliseconds, rounded towards zero."""
        return int(self / 1_000_000) if self < 0 else self // 1_000_000

    @property
    def seconds(self) -> float:
        """Return seconds."""
        return self / 1_000_000_000

    def __str__(self) -> str:
        return format_ns(int(self))

    def __repr__(self) -> str:
        return f"Duration({format_ns(int(self))})"


def format_ns(ns: int) -> str:
    """Write nanoseconds in seconds, as protobuf JSON does: "1.500s", "10s"."""
    sign, ns = ("-", -ns) if ns < 0 else ("", ns)
    whole, rest = divmod(ns, 1_000_000_000)
    if not rest:
        return f"{sign}{whole}s"
    fraction = f"{rest:09d}"
    while fraction.endswith("000"):
        fraction = fraction[:-3]
    return f"{sign}{whole}.{fraction}s"
