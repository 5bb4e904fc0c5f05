"""All settings of `rhumb serve`; the only reader of its environment."""

import os
from pathlib import Path

import msgspec

from rhumb.ads.settings import AdsSettings, DebounceSettings
from rhumb.ca.settings import CaSettings


class ServeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What one control plane is told."""

    config: tuple[Path, ...]
    """Directories and files of YAML."""
    state: Path
    """Directory of what must outlive a restart: the CA, join tokens, the health of workloads."""
    mesh_config: Path | None = None
    """File with MeshConfig; it may stand in a ConfigMap `istio` among the configuration as well."""
    namespace: str = "default"
    """Of objects that name none."""
    root_namespace: str = "istio-system"
    address: str = "0.0.0.0"  # noqa: S104 - proxies come from other hosts; TLS only
    """Of the secure port."""
    local_address: str = "127.0.0.1"
    """Of the plaintext xDS port and of the monitoring port; keep it a loopback address."""
    xds_port: int | None = 15010
    """Plaintext xDS for this machine; None: none. Whoever can connect is believed to be any proxy."""
    secure_port: int = 15012
    """xDS and CA over TLS. As with every port, 0 takes a free one."""
    monitoring_port: int = 15014
    """Metrics, debug pages, readiness."""
    ca: CaSettings
    ads: AdsSettings = AdsSettings()
    debounce: DebounceSettings = DebounceSettings()
    cluster_id: str = "Kubernetes"


def state_directory() -> Path:
    """Return where the control plane keeps its state unless told otherwise (XDG_STATE_HOME)."""
    base = os.environ.get("XDG_STATE_HOME")  # noqa: TID251 - the one place
    return (Path(base) if base else Path.home() / ".local" / "state") / "rhumb" / "control-plane"
