"""Spell retry policies."""

from envoy.config.route.v3.route_components_pb2 import RetryPolicy
from envoy.extensions.retry.host.previous_hosts.v3.previous_hosts_pb2 import PreviousHostsPredicate
from envoy.extensions.retry.priority.previous_priorities.v3.previous_priorities_config_pb2 import (
    PreviousPrioritiesConfig,
)

from rhumb.encode.durations import set_ms
from rhumb.encode.pack import pack
from rhumb.ir.policy import Retry

_PREVIOUS_HOSTS = "envoy.retry_host_predicates.previous_hosts"
_PREVIOUS_PRIORITIES = "envoy.retry_priorities.previous_priorities"
_PRIORITIES_UPDATE_FREQUENCY = 2


def retry(plan: Retry) -> RetryPolicy:
    """Spell a retry policy."""
    out = RetryPolicy(
        retry_on=plan.on,
        retriable_status_codes=plan.status_codes,
        host_selection_retry_max_attempts=plan.host_selection_attempts,
    )
    out.num_retries.value = plan.attempts
    if plan.per_try_timeout_ms:
        set_ms(out.per_try_timeout, plan.per_try_timeout_ms)
    if plan.backoff_ms:
        set_ms(out.retry_back_off.base_interval, plan.backoff_ms)
    if plan.avoids_previous_hosts:
        out.retry_host_predicate.add(
            name=_PREVIOUS_HOSTS, typed_config=pack(PreviousHostsPredicate())
        )
    if plan.remote_localities:
        out.retry_priority.name = _PREVIOUS_PRIORITIES
        wanted = PreviousPrioritiesConfig(update_frequency=_PRIORITIES_UPDATE_FREQUENCY)
        out.retry_priority.typed_config.CopyFrom(pack(wanted))
    return out
