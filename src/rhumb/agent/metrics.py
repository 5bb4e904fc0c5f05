"""Merged metrics of one sidecar (15020)."""

from rhumb.agent import http, netns
from rhumb.agent.settings import SidecarSettings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


async def collect(
    settings: SidecarSettings, enter: netns.Enter, certificate_seconds: float | None
) -> bytes:
    """Return Envoy's metrics."""
    target = http.Target(host=settings.loopback, port=settings.ports.admin, enter=enter)
    return (await http.request(target, "/stats/prometheus")).body
