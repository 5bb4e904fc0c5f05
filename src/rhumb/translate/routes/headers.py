"""Header changes that rules ask for."""

from collections.abc import Mapping

from rhumb.ir.policy import HeaderChanges, HeaderValue
from rhumb.model.formats import refused_variable
from rhumb.model.kinds.virtual_service import HeaderOperations, Headers


def header_changes(headers: Headers | None) -> HeaderChanges:
    """Translate `headers`; the authority is no header to Envoy (see new_authority)."""
    if headers is None:
        return HeaderChanges()
    request = headers.request or HeaderOperations()
    response = headers.response or HeaderOperations()
    return HeaderChanges(
        request=_values(request),
        request_removed=tuple(n for n in request.remove if not _is_internal(n)),
        response=_values(response),
        response_removed=tuple(n for n in response.remove if not _is_internal(n)),
    )


def new_authority(headers: Headers | None) -> str:
    """Return the authority that `set` or `add` asks for, `set` first; empty for none."""
    if headers is None or headers.request is None:
        return ""
    return _authority(headers.request.set) or _authority(headers.request.add)


def _authority(values: Mapping[str, str]) -> str:
    found = [v for n, v in sorted(values.items()) if n.lower() in (":authority", "host")]
    return found[-1] if found else ""


def _values(operations: HeaderOperations) -> tuple[HeaderValue, ...]:
    return tuple(
        HeaderValue(name, value, append)
        for values, append in ((operations.set, False), (operations.add, True))
        for name, value in sorted(values.items())
        if not _is_internal(name) and refused_variable(value) is None
    )


def _is_internal(name: str) -> bool:
    return name.startswith(":") or name.lower() == "host"
