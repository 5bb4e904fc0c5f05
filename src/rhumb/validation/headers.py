"""Header names and values that a proxy may be told to match, set or remove."""

import re

from rhumb.model.formats import refused_variable
from rhumb.model.kinds.virtual_service import Headers, HttpRewrite
from rhumb.validation.rules import Report

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~A-Za-z0-9]+")
_PROBE_NAME = re.compile(r"[-A-Za-z0-9]+")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_MAX_VALUE = 16 * 1024
"""What Envoy takes, in bytes."""
_BREAK = re.compile(r"[\x00\r\n]")
_ARGUMENT = r'(?:[^\\)"]|\\.)*'
_VARIABLE = re.compile(
    rf"""
    [^%] | %%                                  # a literal character, an escaped percent sign
    | %(?!%)[^%(]*%                            # %VARIABLE%
    | %(?!%)[^%(]*\(\ *(?:\[\ *"|[^\ \[])      # %VARIABLE(argument)%, %VARIABLE(["a", "b"])%
      {_ARGUMENT}(?:"\ *,\ *"{_ARGUMENT})*
      (?:\)|"\ *\]\ *\))\ *%
    """,
    re.VERBOSE | re.DOTALL,
)
_PSEUDO = frozenset((":method", ":scheme", ":authority", ":path", ":status"))
_CLAIM = "@request.auth.claims"


def is_claim(name: str) -> bool:
    """Tell whether a header match is about a claim of the request's token (`@request.auth.claims.a`, `...[a][b]`)."""
    if not name.lower().startswith(_CLAIM):
        return False
    rest = name[len(_CLAIM) :]
    return (rest.startswith(".") and len(rest) > 1) or (
        rest.startswith("[") and rest.endswith("]") and len(rest) > 2
    )


def match_name(name: str) -> str | None:
    """Check the name of a header that is matched."""
    if is_claim(name) or name in _PSEUDO:
        return None
    return _plain_name(name)


def cors_name(name: str) -> str | None:
    """Check a header name of a CORS policy."""
    return None if name == "*" else _plain_name(name)


def probe_name(name: str) -> str | None:
    """Check the name of a header that a probe sends."""
    if not name:
        return "header name cannot be empty"
    return None if _PROBE_NAME.fullmatch(name) else f"header name {name} is not a valid header name"


def _plain_name(name: str) -> str | None:
    if not name:
        return "header name cannot be empty"
    return None if _NAME.fullmatch(name) else f"header name {name} is not a valid header name"


def one_line(text: str) -> str | None:
    """Check a text that becomes part of a header: Envoy refuses a whole route table for a line break."""
    return "must be one line, without control characters" if _BREAK.search(text) else None


def _is_authority(name: str) -> bool:
    return name.lower() in (":authority", "host")


def _request_name(name: str) -> str | None:
    if not name:
        return "header name cannot be empty"
    if name.startswith(":") and not _is_authority(name):
        return f'invalid header "{name}": header cannot have ":" prefix'
    return one_line(name)


def _other_name(name: str) -> str | None:
    if not name:
        return "header name cannot be empty"
    if name.lower() == "host":
        return f'invalid header "{name}": cannot set Host header'
    if name.startswith(":"):
        return f'invalid header "{name}": header cannot have ":" prefix'
    return one_line(name)


def value(text: str) -> str | None:
    """Check a value that is set or added: no control characters, variables are closed (`%VAR%`, `%%`)."""
    if not _VALUE.fullmatch(text):
        return f"header value configuration {text} is invalid"
    if len(text.encode("utf-8", "replace")) > _MAX_VALUE:
        return f"header value is longer than {_MAX_VALUE} bytes"
    if "%" not in text:
        return None
    at = 0
    while at < len(text):
        part = _VARIABLE.match(text, at)
        if part is None:
            wrong = (
                "Un-escaped %"
                if text[at:] == "%"
                else f"Un-terminated variable expression '{text}'"
            )
            return f"header value configuration: invalid header configuration. {wrong}"
        at = part.end()
    return None


def check_headers(report: Report, at: str, headers: Headers | None) -> None:
    """Check the operations on request and response headers of a block."""
    if headers is None:
        return
    for side, operations, name_rule in (
        ("request", headers.request, _request_name),
        ("response", headers.response, _other_name),
    ):
        if operations is None:
            continue
        for verb, pairs in (("add", operations.add), ("set", operations.set)):
            for name, text in pairs.items():
                report.error(f"{at}.{side}.{verb}[{name}]", name_rule(name))
                wrong = value(text)
                report.error(f"{at}.{side}.{verb}[{name}]", wrong)
                if wrong is None and (refused := refused_variable(text)) is not None:
                    report.warn(
                        f"{at}.{side}.{verb}[{name}]",
                        f"{refused}: the header is left as it is",
                        "write a percent sign as %%",
                    )
        for index, name in enumerate(operations.remove):
            report.error(f"{at}.{side}.remove[{index}]", _other_name(name))


def check_one_authority(
    report: Report, at: str, rewrite: HttpRewrite | None, headers: Headers | None
) -> None:
    """Check that the authority is rewritten at one place at most."""
    current = rewrite.authority if rewrite is not None else ""
    request = headers.request if headers is not None else None
    if request is None:
        return
    for pairs in (request.set, request.add):
        for name, text in pairs.items():
            if not _is_authority(name):
                continue
            if current:
                report.error(
                    f"{at}.headers.request",
                    f'authority header cannot be set multiple times: have "{current}", attempting to set "{text}"',
                )
                return
            current = text
