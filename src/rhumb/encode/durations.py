"""Spell lengths of time."""

from google.protobuf.duration_pb2 import Duration


def set_ms(out: Duration, ms: int) -> None:
    """Write milliseconds; 0 is written too, where it means something else than nothing."""
    out.SetInParent()
    out.FromMilliseconds(ms)
