"""Who may see an object: exportTo."""

from collections.abc import Iterable, Sequence


def exported(export_to: Sequence[str], default: Sequence[str], home: str, viewer: str) -> bool:
    """Tell whether an object of namespace `home` may be seen from `viewer` (istio-api: exportTo)."""
    for to in export_to or default:
        if to == "*" or (to == "." and home == viewer) or to == viewer:
            return True
    return False


def privacy(export_to: Sequence[str], default: Sequence[str], home: str) -> int:
    """Return 0 for namespace-private, 1 for exported to some namespaces, 2 for public objects."""
    said: Iterable[str] = export_to or default
    if "*" in said:
        return 2
    return 0 if all(to in (".", home) for to in said) else 1
