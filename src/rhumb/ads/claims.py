"""Who a node says it is, against what its certificate proves."""

import msgspec

from rhumb.ads.stream import Caller
from rhumb.base.errors import RhumbError
from rhumb.model.proxy import Proxy, Role


class ClaimError(RhumbError):
    """A node claims to be somebody else."""


def claimed(proxy: Proxy, caller: Caller) -> Proxy:
    """Return the proxy with the account that was proved; it may claim no other, and no other namespace.

    Raises ClaimError.
    """
    said, account = proxy.service_account, caller.service_account
    if caller.namespace == proxy.namespace and said in ("", account):
        return msgspec.structs.replace(proxy, service_account=account)
    wanted = f"namespace {proxy.namespace}" + (f", service account {said}" if said else "")
    kind = "agent of " if proxy.role is Role.AGENT else ""
    raise ClaimError(
        f"{caller.identity} claims to be {kind}{wanted}",
        hint="NAMESPACE and SERVICE_ACCOUNT of the node must be those of its certificate",
    )
