"""ProxyConfig (networking.istio.io): settings with which the proxies of some workloads start."""

from collections.abc import Mapping

from rhumb.model.kinds.proxy_config import ProxyImage
from rhumb.model.kinds.selector import LabelMatch
from rhumb.model.kinds.wire import NONE, Int32, Kind


class ProxyConfigResource(Kind, frozen=True, kw_only=True):
    """The kind ProxyConfig (istio-api networking/v1beta1/proxy_config.proto).

    MeshConfig's `defaultConfig` is another message of the same name.
    """

    selector: LabelMatch | None = None
    concurrency: Int32 | None = None
    """0: a worker thread on each CPU."""
    environment_variables: Mapping[str, str] = NONE
    image: ProxyImage | None = None
