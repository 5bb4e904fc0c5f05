"""Trust domains and their aliases; bundles of root certificates."""

import msgspec

from rhumb.identity.certificates import Certificate, join_pem, parse_chain
from rhumb.identity.spiffe import SpiffeId, check_trust_domain

DEFAULT_TRUST_DOMAIN = "cluster.local"


class TrustDomains(msgspec.Struct, frozen=True):
    """The mesh's own trust domain and the names it also answers to (MeshConfig trustDomainAliases)."""

    own: str = DEFAULT_TRUST_DOMAIN
    aliases: tuple[str, ...] = ()

    @classmethod
    def of(cls, own: str, *aliases: str) -> "TrustDomains":
        """Check the names; RhumbError for one that is not well formed."""
        for name in (own, *aliases):
            check_trust_domain(name)
        return cls(own, tuple(dict.fromkeys(a for a in aliases if a != own)))

    @property
    def names(self) -> tuple[str, ...]:
        """Return every name, the own one first."""
        return (self.own, *self.aliases)

    def trusts(self, identity: SpiffeId) -> bool:
        """Tell whether an identity is of this mesh, by its own name or an alias."""
        return identity.trust_domain in self.names

    def is_same(self, one: SpiffeId, other: SpiffeId) -> bool:
        """Tell whether two identities are one workload under this mesh's names."""
        return one == other or (
            self.trusts(one)
            and self.trusts(other)
            and self.under_own_name(one) == self.under_own_name(other)
        )

    def under_own_name(self, identity: SpiffeId) -> SpiffeId:
        """Return the identity with an alias replaced by the own trust domain."""
        return (
            msgspec.structs.replace(identity, trust_domain=self.own)
            if self.trusts(identity)
            else identity
        )


class TrustBundle(msgspec.Struct, frozen=True):
    """Root certificates that peers may be verified against: each once, in a stable order."""

    roots: tuple[Certificate, ...] = ()

    @classmethod
    def parse(cls, pem: bytes | str) -> "TrustBundle":
        """Read a PEM text; RhumbError when it holds no certificate."""
        return cls().plus(TrustBundle(parse_chain(pem)))

    def plus(self, other: "TrustBundle") -> "TrustBundle":
        """Return this bundle, then what only the other one has."""
        known = {root.fingerprint: root for root in (*other.roots, *self.roots)}
        order = dict.fromkeys(root.fingerprint for root in (*self.roots, *other.roots))
        return TrustBundle(tuple(known[fingerprint] for fingerprint in order))

    @property
    def pem(self) -> str:
        """Return all roots as one PEM text."""
        return join_pem(self.roots)

    def __contains__(self, root: Certificate) -> bool:
        return any(each.fingerprint == root.fingerprint for each in self.roots)
