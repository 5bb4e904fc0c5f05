"""ProxyConfig as a proxy brings it (metadata PROXY_CONFIG, from the annotation proxy.istio.io/config)."""

import functools
import json
from collections.abc import Mapping

from rhumb.model.decode import Decoder, Problem
from rhumb.model.kinds.proxy_config import ProxyConfig
from rhumb.model.not_yaml import YamlError
from rhumb.model.yaml_tree import trees

_SHAPING = ("connectionSettings", "gatewayTopology", "proxyHeaders")
"""Fields that shape what the proxy is sent; of the others views must know nothing."""


def shaping(metadata: Mapping[str, object]) -> str:
    """Return the part that counts as JSON, in one spelling; empty when the proxy brings none."""
    said = metadata.get("PROXY_CONFIG")
    try:
        found = json.loads(said) if isinstance(said, str) else said
    except ValueError:
        return ""
    if not isinstance(found, Mapping):
        return ""
    kept = {name: _whole(found[name]) for name in _SHAPING if name in found}
    return json.dumps(kept, sort_keys=True)


def _whole(value: object) -> object:
    """Write numbers as they were: metadata knows floating point alone."""
    if isinstance(value, Mapping):
        return {str(key): _whole(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@functools.lru_cache(maxsize=256)
def read(text: str) -> ProxyConfig | None:
    """Read what `shaping` wrote; None for what is no ProxyConfig."""
    problems: list[Problem] = []
    try:
        tree = next(trees(text)).root
    except (YamlError, StopIteration):
        return None
    found = Decoder().decode(ProxyConfig, tree, "", problems)
    return found if isinstance(found, ProxyConfig) else None
