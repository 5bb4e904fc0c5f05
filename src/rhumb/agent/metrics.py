"""Merged metrics of one sidecar (15020): Envoy's under Istio's names, the application's, and ours."""

import logging
import re
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from rhumb.agent import http, netns
from rhumb.agent.labels import expand
from rhumb.agent.settings import VERSION, SidecarSettings
from rhumb.model.endpoint import Workload

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ENVOY = "envoy_istio_"
_TYPE = f"# TYPE {_ENVOY}"
_SAMPLE = re.compile(r"envoy_(istio_\w+)\{(.*)\} (\S+)\Z")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

_log = logging.getLogger(__name__)


async def collect(
    settings: SidecarSettings, enter: netns.Enter, certificate_seconds: float | None
) -> bytes:
    """Return all metrics of a workload in Prometheus' text format.

    An application or Envoy that does not answer costs its own part alone.
    """
    failures: list[str] = []
    envoy = http.Target(host=settings.loopback, port=settings.ports.admin, enter=enter)
    parts = [await _fetch(envoy, "/stats/prometheus", "envoy", failures)]
    if settings.application_metrics:
        url = urlsplit(settings.application_metrics)
        target = http.Target(host=url.hostname or "127.0.0.1", port=url.port or 80, enter=enter)
        application = await _fetch(target, url.path or "/metrics", "application", failures)
        parts.append(application)
    body = "\n".join(rewrite(parts[0].splitlines(), settings.identity, settings.spiffe_id))
    own = "\n".join(_own(certificate_seconds, failures))
    return "\n".join((body, own, *parts[1:], "")).encode()


async def _fetch(target: http.Target, path: str, kind: str, failures: list[str]) -> str:
    try:
        answer = await http.request(target, path)
    except (OSError, ValueError) as error:
        _log.warning("metrics of %s not read: %s", kind, error)
        failures.append(kind)
        return ""
    return answer.body.decode(errors="replace")


def rewrite(lines: Iterable[str], own: Workload, principal: str) -> Iterator[str]:
    """Yield Envoy's metrics with Istio's families under their names and with all their labels.

    Series that become equal are summed. One pass; all else goes through as it is.
    """
    merged: dict[str, float] = {}
    for line in lines:
        if line.startswith(_TYPE):
            yield from _spell(merged)
            merged = {}
            yield line.replace("envoy_", "", 1)
            continue
        match = _SAMPLE.match(line) if line.startswith(_ENVOY) else None
        if match is None:
            yield from _spell(merged)
            merged = {}
            yield line
            continue
        tags = dict(_LABEL.findall(match.group(2)))
        labels = expand(tags, own, principal)
        if "le" in tags:
            labels["le"] = tags["le"]
        series = ",".join(f'{name}="{value}"' for name, value in labels.items())
        key = f"{match.group(1)}{{{series}}}"
        merged[key] = merged.get(key, 0.0) + float(match.group(3))
    yield from _spell(merged)


def _spell(merged: dict[str, float]) -> Iterator[str]:
    for key, value in merged.items():
        yield f"{key} {value:g}" if value < 1e6 else f"{key} {value:.17g}"


def _own(certificate_seconds: float | None, failures: list[str]) -> Iterator[str]:
    yield "# TYPE istio_build gauge"
    yield f'istio_build{{component="proxy",tag="{VERSION}"}} 1'
    if certificate_seconds is not None:
        yield "# TYPE istio_agent_cert_expiry_seconds gauge"
        yield f'istio_agent_cert_expiry_seconds{{resource_name="default"}} {certificate_seconds:.0f}'
    yield "# TYPE istio_agent_scrape_failures gauge"
    for kind in ("envoy", "application"):
        yield f'istio_agent_scrape_failures{{type="{kind}"}} {failures.count(kind)}'
