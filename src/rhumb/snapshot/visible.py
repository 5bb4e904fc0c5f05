"""Who may see an object: exportTo."""

from collections.abc import Iterable, Sequence


def exported(export_to: Sequence[str], default: Sequence[str], home: str, viewer: str) -> bool:
    """Tell whether an object of namespace `home` may be seen from `viewer` (istio-api: exportTo).

    "*" beats everything else that is said, "~" everything but "*".
    """
    said = export_to or default
    if "*" in said:
        return True
    if "~" in said:
        return False
    return any(to == viewer or (to == "." and home == viewer) for to in said)


def named(export_to: Sequence[str], default: Sequence[str], home: str) -> Iterable[str]:
    """Return the namespaces that exportTo speaks of, each once; "*" and "~" stay as they are."""
    return dict.fromkeys(home if to == "." else to for to in export_to or default)


def is_public(export_to: Sequence[str], default: Sequence[str]) -> bool:
    """Tell whether everybody may see an object."""
    return "*" in (export_to or default)


def level(export_to: Sequence[str], default: Sequence[str], home: str, viewer: str) -> int:
    """Rank an object that is visible to the viewer: 0 its own private ones, 1 exported to it, 2 public."""
    if is_public(export_to, default):
        return 2
    return 0 if home == viewer else 1
