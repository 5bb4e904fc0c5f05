"""What the CA can be told."""

from datetime import timedelta
from pathlib import Path

import msgspec

from rhumb.identity.trust import TrustDomains

SERVING_NAMES = (
    "istiod.istio-system.svc",
    "istiod.istio-system.svc.cluster.local",
    "istiod.istio-system",
    "localhost",
)


class CaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Owned by ca; app composes it, ca never looks elsewhere."""

    directory: Path
    """State of the CA: keys, rotation, join tokens. Readable by its owner only."""

    cacerts: Path | None = None
    """A given CA (Istio's `cacerts` layout, or tls.crt, tls.key, ca.crt); None makes a self-signed root.

    When its root differs from the one in force, the root is rotated to it."""

    trust: TrustDomains = TrustDomains()

    workload_ttl: timedelta = timedelta(hours=24)
    """Life of a certificate when the request does not say (Istio: DEFAULT_WORKLOAD_CERT_TTL)."""

    max_workload_ttl: timedelta = timedelta(days=90)
    """Requests for a longer life are refused (Istio: MAX_WORKLOAD_CERT_TTL)."""

    serving_ttl: timedelta = timedelta(hours=24)
    """Life of the control plane's own certificate; it is renewed at half of it."""

    root_ttl: timedelta = timedelta(days=3650)
    """Life of a self-signed root (Istio: CITADEL_SELF_SIGNED_CA_CERT_TTL)."""

    root_renewal_share: float = 0.2
    """A self-signed root is rotated when this part of its life is left."""

    trust_period: timedelta = timedelta(hours=24)
    """How long a new root is only distributed before it signs; at least the workload_ttl, so that even a
    proxy that learns roots from its renewals alone knows it."""

    check_interval: timedelta = timedelta(seconds=5)
    """How often the state directory is looked at for what `rhumb ca` changed, and rotation for its next step."""

    serving_names: tuple[str, ...] = SERVING_NAMES
    """DNS names of the control plane."""

    serving_addresses: tuple[str, ...] = ("127.0.0.1", "::1")
    """IP addresses of the control plane."""
