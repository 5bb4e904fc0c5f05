"""Keeps the CA current and tells everyone the trusted roots."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from rhumb.base.clock import Clock
from rhumb.ca.active import CertificateAuthority
from rhumb.ca.tokens import TokenBook
from rhumb.identity.trust import TrustBundle

_log = logging.getLogger(__name__)


async def keep_current(
    authority: CertificateAuthority,
    tokens: TokenBook,
    clock: Clock,
    *,
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Refresh the CA and drop expired tokens at bounded intervals, until cancelled.

    Listeners of `authority.on_bundle` are called from here when the roots change.
    """
    while True:
        await wait(authority.settings.check_interval.total_seconds())
        now = clock.now()
        authority.refresh(now)
        try:
            tokens.prune(now)
        except OSError as error:
            _log.error("expired join tokens not removed", extra={"error": error})


def bundle_pems(bundle: TrustBundle) -> list[str]:
    """Return the roots one by one, as the trust bundle resource (PCDS) carries them."""
    return [root.pem for root in bundle.roots]
