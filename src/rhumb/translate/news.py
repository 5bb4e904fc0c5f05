"""What differs from the snapshot that something was translated from."""

import msgspec


class News(msgspec.Struct, frozen=True, kw_only=True):
    """What to look at again; everything else is as it was."""

    hosts: frozenset[str] = frozenset()
    """Services that differ, came or went, also in their endpoints or DestinationRules."""
    rules: bool = False
    """Some VirtualService differs."""
    is_wide: bool = False
    """Anything may differ."""


EVERYTHING = News(is_wide=True)
