"""Is this proxy ready to carry traffic? Envoy live, with its first clusters and listeners."""

from collections.abc import Awaitable, Callable

import msgspec

from rhumb.agent import http

QUERY = (
    "/stats?filter=^(server\\.state|listener_manager\\.workers_started|"
    "(cluster_manager\\.cds|listener_manager\\.lds)\\.update_(success|rejected))$"
)

Fetch = Callable[[str], Awaitable[http.Answer]]


class Readiness(msgspec.Struct, frozen=True):
    """`why` says what is missing; empty when ready."""

    why: str = ""

    def __bool__(self) -> bool:
        return not self.why


def judge(stats: str) -> Readiness:
    """Judge by the text of `/stats`, as Istio's agent does."""
    seen = dict(line.split(": ", 1) for line in stats.splitlines() if ": " in line)
    clusters = _count(seen, "cluster_manager.cds.update_success")
    listeners = _count(seen, "listener_manager.lds.update_success")
    if not clusters or not listeners:
        rejected = _count(seen, "cluster_manager.cds.update_rejected") + _count(
            seen, "listener_manager.lds.update_rejected"
        )
        asked = f"clusters {clusters} received, listeners {listeners} received, {rejected} rejected"
        return Readiness(f"no configuration from the control plane yet ({asked})")
    if seen.get("server.state") != "0":
        return Readiness(f"Envoy is not live (server.state {seen.get('server.state', 'unknown')})")
    if seen.get("listener_manager.workers_started") != "1":
        return Readiness("Envoy's workers have not started")
    return Readiness()


def _count(seen: dict[str, str], name: str) -> int:
    value = seen.get(name, "0")
    return int(value) if value.isdigit() else 0


class Gate:
    """Remembers a yes until Envoy ends or drains, so that a ready proxy is asked nothing."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._ready = False
        self._draining = False

    def forget(self) -> None:
        """Envoy has ended: what was known of it is void."""
        self._ready = False

    def drain(self) -> None:
        """Say no from now on: load balancers must look elsewhere."""
        self._draining = True

    async def check(self) -> Readiness:
        """Return whether traffic may come."""
        if self._draining:
            return Readiness("draining")
        if self._ready:
            return Readiness()
        try:
            answer = await self._fetch(QUERY)
        except (OSError, ValueError) as error:
            return Readiness(f"Envoy's admin interface does not answer: {error}")
        found = judge(answer.body.decode(errors="replace"))
        self._ready = bool(found)
        return found
