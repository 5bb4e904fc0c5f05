"""Metrics of the CA, under the names of Istio's (citadel_server_*)."""

from collections.abc import Iterator
from datetime import datetime

from prometheus_client.core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from rhumb.base.clock import Clock
from rhumb.ca.active import CertificateAuthority

_COUNTERS = {
    "csr_count": "The number of CSRs received.",
    "authentication_failure_count": "The number of authentication failures.",
    "id_extraction_err_count": "The number of requests for an identity that is not the caller's.",
    "csr_parsing_err_count": "The number of errors when parsing the CSR.",
    "csr_sign_err_count": "The number of errors when signing the CSR.",
    "success_cert_issuance_count": "The number of certificates issued.",
}


class CaMetrics(Collector):
    """Counts what the CA does. Names have no `_total`, as in Istio's exposition."""

    def __init__(
        self, registry: CollectorRegistry, authority: CertificateAuthority, clock: Clock
    ) -> None:
        self._counts = dict.fromkeys(_COUNTERS, 0)
        self._authority = authority
        self._clock = clock
        registry.register(self)

    def count(self, name: str) -> None:
        """Add one to `citadel_server_NAME`."""
        self._counts[name] += 1

    def __getitem__(self, name: str) -> int:
        return self._counts[name]

    def collect(self) -> Iterator[Metric]:
        """Yield every metric, for the registry."""
        for name, value in self._counts.items():
            yield _metric(name, _COUNTERS[name], value)
        now = self._clock.now()
        root = min((root.not_after for root in self._authority.signing.roots.roots), default=now)
        chain = self._authority.signing.expires
        for name, expires in (("root_cert", root), ("cert_chain", chain)):
            yield _metric(
                f"{name}_expiry_timestamp", "Unix time of the expiry.", expires.timestamp()
            )
            yield _metric(
                f"{name}_expiry_seconds", "Seconds until the expiry.", _seconds(expires, now)
            )


def _seconds(expires: datetime, now: datetime) -> float:
    return (expires - now).total_seconds()


def _metric(name: str, text: str, value: float) -> Metric:
    # prometheus-client would append `_total` to a counter; Istio's dashboards ask for the bare name.
    metric = Metric(f"citadel_server_{name}", text, "gauge")
    metric.add_sample(f"citadel_server_{name}", {}, value)
    return metric
