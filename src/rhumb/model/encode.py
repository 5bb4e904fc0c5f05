"""Values as canonical bytes, for digests and comparisons."""

from collections.abc import Mapping

import msgspec

from rhumb.base.durations import Duration


def canonical(value: object) -> bytes:
    """Return bytes that are equal when the values are, whatever the order of their keys."""
    return msgspec.json.encode(value, enc_hook=plain, order="deterministic")


def plain(value: object) -> object:
    """Return what stands for a value in JSON (msgspec's `enc_hook`)."""
    if isinstance(value, Duration):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    raise NotImplementedError(type(value).__name__)
