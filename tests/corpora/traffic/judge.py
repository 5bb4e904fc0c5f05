"""The corpus's own rules of what an answer must be (its README, `expect`)."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Json = dict[str, Any]


class CannotJudgeError(Exception):
    """The check needs something that is not here."""


def wrong(
    expected: Sequence[Json],
    answers: Sequence[Json],
    case: Mapping[str, Any],
    received: Mapping[str, int],
) -> str:
    """Return what does not hold of some answer, "" when everything holds.

    `received` counts the requests of each service's applications meanwhile.
    """
    for check in expected:
        kind = check["type"]
        if kind in _TOGETHER:
            found = _TOGETHER[kind](check, answers, received)
            if found:
                return found
            continue
        for answer in answers:
            found = _one(check, answer, case)
            if found:
                return found
    return ""


def _one(check: Json, answer: Json, case: Mapping[str, Any]) -> str:
    kind = check["type"]
    if kind == "or":
        tried = [wrong(each, [answer], case, {}) for each in check["alternatives"]]
        return "" if "" in tried else " and ".join(tried)
    if kind not in _CHECKS:
        raise CannotJudgeError(kind)
    if kind in ("error", "forbidden"):
        return _CHECKS[kind](check, answer, case)
    if "error" in answer and not (kind == "status" and "grpc" in answer and "not_equals" in check):
        return f"error: {answer['error']}"[:200]
    return _CHECKS[kind](check, answer, case)


def _seen(answer: Json) -> Json:
    """Return what the application saw."""
    try:
        found = json.loads(answer.get("body") or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _header(pairs: object, name: str) -> str:
    assert isinstance(pairs, list)
    values = [value for key, value in pairs if key.lower() == name.lower()]
    return ",".join(values)


def _status(check: Json, answer: Json, _: object) -> str:
    got = answer.get("status", 0)
    if "equals" in check and str(got) != str(check["equals"]):
        return f"status {got}, not {check['equals']}"
    if "not_equals" in check and str(got) == str(check["not_equals"]):
        return f"status {got}"
    return ""


def _error(_: Json, answer: Json, __: object) -> str:
    return "" if "error" in answer else f"an answer, status {answer['status']}"


def _no_error(_: Json, answer: Json, __: object) -> str:
    return f"error: {answer['error']}" if "error" in answer else ""


def _forbidden(check: Json, answer: Json, _: object) -> str:
    if "grpc_status" in str(check):
        return "" if answer.get("grpc") == 7 else f"not forbidden: {answer}"[:200]
    return "" if "error" in answer else "not forbidden"


def _pairs(check: Json) -> Mapping[str, str]:
    found = check.get("equals")
    if isinstance(found, dict):
        return found
    return {check.get("key") or check.get("name") or check.get("header", ""): str(found)}


def _request_headers(check: Json, answer: Json, _: object) -> str:
    return _differ(_pairs(check), _seen(answer).get("headers", []), "the server's")


def _response_headers(check: Json, answer: Json, _: object) -> str:
    return _differ(_pairs(check), answer["headers"], "the client's")


def _differ(wanted: Mapping[str, str], got: object, whose: str) -> str:
    for name, value in wanted.items():
        if _header(got, name) != value:
            return f"{whose} header {name} is {_header(got, name)!r}, not {value!r}"
    return ""


def _field(name: str) -> Callable[[Json, Json, object], str]:
    def check(said: Json, answer: Json, _: object) -> str:
        got = str(_seen(answer).get(name, ""))
        return "" if got == str(said["equals"]) else f"{name} {got!r}, not {said['equals']!r}"

    return check


def _protocol(said: Json, answer: Json, _: object) -> str:
    got = {"HTTP/2": "HTTP/2.0"}.get(
        _seen(answer).get("protocol", ""), _seen(answer).get("protocol")
    )
    return "" if got == said["equals"] else f"protocol {got}, not {said['equals']}"


def _host(said: Json, answer: Json, _: object) -> str:
    got = _header(_seen(answer).get("headers", []), "x-echo-host")
    return "" if got == said["equals"] else f"host {got!r}, not {said['equals']!r}"


def _mtls(said: Json, answer: Json, case: Mapping[str, Any]) -> str:
    if case["request"]["scheme"] not in ("http", "grpc", "ws"):
        return ""  # the application's own TLS hides it
    got = bool(_header(_seen(answer).get("headers", []), "x-forwarded-client-cert"))
    return "" if got == said["equals"] else f"mutual TLS {got}"


def _reached(_: Json, answer: Json, case: Mapping[str, Any]) -> str:
    target = case.get("to") or case.get("to_workload")
    name = str(_seen(answer).get("name", ""))
    if target and not name.startswith(f"{target['service']}-"):
        return f"{name} answered, not {target['service']}"
    return ""


def _sni(said: Json, answer: Json, _: object) -> str:
    got = _header(_seen(answer).get("headers", []), "x-echo-sni")
    return "" if got == said["equals"] else f"SNI {got!r}, not {said['equals']!r}"


def _alpn(said: Json, answer: Json, _: object) -> str:
    seen = _seen(answer)
    got = {"HTTP/2": "h2"}.get(str(seen.get("protocol")), "http/1.1")
    return "" if got == said["equals"] else f"ALPN {got}, not {said['equals']}"


def _dns(said: Json, answer: Json, _: object) -> str:
    got = json.loads(answer["body"])
    wanted = sorted(said["equals_set"])
    return "" if got == wanted else f"{got}, not {wanted}"


def _contains(said: Json, answer: Json, _: object) -> str:
    body = str(answer.get("body"))
    wanted = said.get("contains")
    unwanted = said.get("not_contains")
    if wanted and wanted not in body:
        return f"{wanted!r} is not in the body"
    return f"{unwanted!r} is in the body" if unwanted and unwanted in body else ""


def _single(_: Json, answers: Sequence[Json], __: object) -> str:
    names = {_seen(a).get("name") for a in answers if "error" not in a}
    return "" if len(names) == 1 else f"answered by {sorted(map(str, names))}"


def _multiple(_: Json, answers: Sequence[Json], __: object) -> str:
    names = {_seen(a).get("name") for a in answers if "error" not in a}
    return "" if len(names) > 1 else "answered by one alone"


def _distribution(said: Json, answers: Sequence[Json], _: object) -> str:
    counts = Counter(str(_seen(a).get("name")).rpartition("-")[0] for a in answers)
    for service, wanted in said["expected"].items():
        if abs(counts[service] - wanted) > said["tolerance"]:
            return f"answered by {dict(counts)}"
    return ""


def _mirrored(said: Json, _: object, received: Mapping[str, int]) -> str:
    primary, mirror = (received.get(said[key], 0) for key in ("primary", "mirror_destination"))
    share = 100 * mirror / primary if primary else 0.0
    if abs(share - said["percentage"]) > said["threshold"]:
        return f"{share:.0f} % mirrored"
    return ""


_TOGETHER: Mapping[str, Callable[[Json, Sequence[Json], Mapping[str, int]], str]] = {
    "single_responder": _single,
    "multiple_responders": _multiple,
    "distribution_by_service": _distribution,
    "mirrored": _mirrored,
}
_CHECKS: Mapping[str, Callable[[Json, Json, Mapping[str, Any]], str]] = {
    "status": _status,
    "error": _error,
    "no_error": _no_error,
    "forbidden": _forbidden,
    "request_header": _request_headers,
    "request_headers": _request_headers,
    "response_header": _response_headers,
    "response_headers": _response_headers,
    "request_host": _host,
    "url_path_at_server": _field("path"),
    "proxy_protocol_at_server": _field("proxy"),
    "protocol_at_server": _protocol,
    "mtls_for_http": _mtls,
    "reached_target": _reached,
    "sni_at_server": _sni,
    "alpn_at_server": _alpn,
    "dns_answers": _dns,
    "tcp_response": _contains,
    "body": _contains,
}
