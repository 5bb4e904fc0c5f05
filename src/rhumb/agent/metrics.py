"""Merged metrics of one sidecar (15020): Envoy's under Istio's names, the application's, and ours."""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from rhumb.agent import http, netns
from rhumb.agent.labels import expand
from rhumb.agent.settings import VERSION, SidecarSettings
from rhumb.model.endpoint import Workload

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ENVOY = "envoy_istio_"
_TYPE = f"# TYPE {_ENVOY}"
_SAMPLE = re.compile(r'envoy_(istio_\w+)\{(.*?)(?:,?le="([^"]*)")?\} (\S+)\Z')
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")
_ACCEPT = {"accept": "text/plain;version=0.0.4;q=1,*/*;q=0.1"}
_EXACT = 2.0**53
_OK = 200

_log = logging.getLogger(__name__)


class Tally:
    """Counts the scrapes of one sidecar, and what could not be read, by part."""

    def __init__(self) -> None:
        self.scrapes = 0
        self.failures = Counter({"envoy": 0, "application": 0})


async def collect(
    settings: SidecarSettings,
    enter: netns.Enter,
    certificate_seconds: float | None,
    tally: Tally,
) -> bytes:
    """Return all metrics of a workload in Prometheus' text format.

    An application or Envoy that does not answer costs its own part alone, and counts as a failure.
    """
    tally.scrapes += 1
    envoy = http.Target(host=settings.loopback, port=settings.ports.admin, enter=enter)
    parts = ["", await _fetch(envoy, "/stats/prometheus", "envoy", tally)]
    parts[1] = "\n".join(rewrite(parts[1].split("\n"), settings.identity, settings.spiffe_id))
    if settings.application_metrics:
        parts.append(await _application(settings.application_metrics, enter, tally))
    parts[0] = "\n".join(_own(certificate_seconds, tally))
    return "\n".join((*(part.strip("\n") for part in parts if part), "")).encode()


async def _application(url: str, enter: netns.Enter, tally: Tally) -> str:
    try:
        at = urlsplit(url)
        is_tls = at.scheme == "https"
        target = http.Target(
            host=at.hostname or "127.0.0.1",
            port=at.port or (443 if is_tls else 80),
            enter=enter,
            tls=http.unverified() if is_tls else None,
        )
    except ValueError as error:
        _log.warning('address of the application\'s metrics "%s": %s', url, error)
        tally.failures["application"] += 1
        return ""
    path = at.path or "/metrics"
    text = await _fetch(target, f"{path}?{at.query}" if at.query else path, "application", tally)
    # The end mark of OpenMetrics would end everything.
    return "\n".join(line for line in text.split("\n") if line.rstrip() != "# EOF")


async def _fetch(target: http.Target, path: str, part: str, tally: Tally) -> str:
    try:
        answer = await http.request(target, path, headers=_ACCEPT)
    except (OSError, ValueError) as error:
        why = str(error) or type(error).__name__
    else:
        if answer.status == _OK:
            return answer.body.decode(errors="replace").replace("\r\n", "\n")
        why = f"status {answer.status} at {path}"
    _log.warning("metrics of %s not read: %s", part, why)
    tally.failures[part] += 1
    return ""


def rewrite(lines: Iterable[str], own: Workload, principal: str) -> Iterator[str]:
    """Yield Envoy's metrics with Istio's families under their names and with all their labels.

    Series that become equal are summed. One pass; all else goes through as it is.
    """
    merged: dict[tuple[str, str, str], float] = {}
    known: dict[str, str] = {}
    for line in lines:
        match = _SAMPLE.match(line) if line.startswith(_ENVOY) else None
        if match is None:
            # A family is over: its samples stand together.
            yield from _spell(merged)
            merged.clear()
            yield line.replace("envoy_", "", 1) if line.startswith(_TYPE) else line
            continue
        name, raw, bound, value = match.groups()
        # Every bucket and every family has the same few combinations of tags.
        if (labels := known.get(raw)) is None:
            labels = known[raw] = _labels(raw, own, principal)
        key = (name, labels, bound or "")
        merged[key] = merged.get(key, 0.0) + float(value)
    yield from _spell(merged)


def _labels(raw: str, own: Workload, principal: str) -> str:
    tags = {name: _unescape(value) for name, value in _LABEL.findall(raw)}
    found = expand(tags, own, principal)
    return ",".join(f'{name}="{_escape(value)}"' for name, value in found.items())


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _unescape(value: str) -> str:
    return _ESCAPE.sub(lambda m: "\n" if m[1] == "n" else m[1], value) if "\\" in value else value


def _spell(merged: dict[tuple[str, str, str], float]) -> Iterator[str]:
    for (name, labels, bound), value in merged.items():
        le = f',le="{bound}"' if bound else ""
        number = int(value) if value.is_integer() and abs(value) < _EXACT else value
        yield f"{name}{{{labels}{le}}} {number}"


def _own(certificate_seconds: float | None, tally: Tally) -> Iterator[str]:
    yield "# TYPE istio_build gauge"
    yield f'istio_build{{component="proxy",tag="{VERSION}"}} 1'
    if certificate_seconds is not None:
        yield "# TYPE istio_agent_cert_expiry_seconds gauge"
        yield f'istio_agent_cert_expiry_seconds{{resource_name="default"}} {certificate_seconds:.0f}'
    yield "# TYPE istio_agent_scrapes_total counter"
    yield f"istio_agent_scrapes_total {tally.scrapes}"
    yield "# TYPE istio_agent_scrape_failures_total counter"
    for part, count in tally.failures.items():
        yield f'istio_agent_scrape_failures_total{{type="{part}"}} {count}'
