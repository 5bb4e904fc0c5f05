"""SPIFFE ids of mesh workloads: parse, format, compare (SPIFFE-ID standard; Istio's /ns/NS/sa/SA path)."""

import re

import msgspec

from rhumb.base.errors import RhumbError

SCHEME = "spiffe://"
_TRUST_DOMAIN = re.compile(r"[a-z0-9][a-z0-9._-]{0,254}\Z")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_SERVICE_ACCOUNT = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\Z")


class SpiffeId(msgspec.Struct, frozen=True, order=True):
    """Who a workload is. Values made with `of` or `parse` are well formed and compare exactly."""

    trust_domain: str
    namespace: str
    service_account: str

    @classmethod
    def of(cls, trust_domain: str, namespace: str, service_account: str) -> "SpiffeId":
        """Check the three parts and join them.

        Raises RhumbError naming the part that is not well formed.
        """
        check_trust_domain(trust_domain)
        if not _NAMESPACE.match(namespace):
            raise RhumbError(
                f'"{namespace}" is not a namespace', hint="use lower-case letters, digits and -"
            )
        if not _SERVICE_ACCOUNT.match(service_account):
            raise RhumbError(
                f'"{service_account}" is not a service account',
                hint="use lower-case letters, digits, - and .",
            )
        return cls(trust_domain, namespace, service_account)

    @classmethod
    def parse(cls, uri: str) -> "SpiffeId":
        """Read `spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT`, exactly; no escapes, no query.

        Raises RhumbError when the text has another shape.
        """
        parts = uri.removeprefix(SCHEME).split("/")
        if not uri.startswith(SCHEME) or len(parts) != 5 or parts[1] != "ns" or parts[3] != "sa":
            raise RhumbError(
                f'"{uri}" is not a workload identity',
                hint="expected spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT",
            )
        return cls.of(parts[0], parts[2], parts[4])

    def __str__(self) -> str:
        return f"{SCHEME}{self.trust_domain}/ns/{self.namespace}/sa/{self.service_account}"


def check_trust_domain(name: str) -> None:
    """Raise RhumbError unless the name may be a trust domain (SPIFFE-ID 2.1)."""
    if not _TRUST_DOMAIN.match(name):
        raise RhumbError(
            f'"{name}" is not a trust domain', hint="use lower-case letters, digits, -, _ and ."
        )
