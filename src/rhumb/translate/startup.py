"""With what a proxy starts: ProxyConfigs, the mesh's defaultConfig, and patches of the bootstrap."""

from rhumb.ir.bundle import Startup
from rhumb.model.kinds.proxy_config import ProxyStatsMatcher
from rhumb.translate.patches import Patches
from rhumb.translate.perspective import Perspective
from rhumb.validation.regex import syntax_error


def startup(seen: Perspective) -> Startup:
    """Return what the agent of a view is told; what would keep Envoy from starting is left out."""
    settings = seen.snapshot.proxy_settings(seen.view)
    default = settings.default
    kept = default.proxy_stats_matcher or ProxyStatsMatcher()
    expressions = tuple(e for e in kept.inclusion_regexps if e and syntax_error(e) is None)
    drain = default.termination_drain_duration
    return Startup(
        concurrency=settings.concurrency,
        environment=settings.environment,
        runtime=tuple(sorted(default.runtime_values.items())),
        stats=(
            tuple(filter(None, kept.inclusion_prefixes)),
            tuple(filter(None, kept.inclusion_suffixes)),
            expressions,
        ),
        drain_ms=drain.ms if drain is not None else None,
        patches=Patches(seen.snapshot, seen.view).of_bootstrap(),
    )
