"""The names that a workload may ask for, from the name table of its proxy. Pure."""

from collections.abc import Iterable, Mapping

import msgspec


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """One host of the name table."""

    name: str
    addresses: tuple[str, ...]
    short_name: str = ""
    namespace: str = ""


class Found(msgspec.Struct, frozen=True):
    """What a name stands for."""

    name: str
    """The canonical name; another one than was asked for when a search domain was cut off."""
    addresses: tuple[str, ...]


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """The name table of one workload, expanded to every name that an application may ask for."""

    exact: Mapping[str, tuple[str, ...]] = {}
    wildcards: Mapping[str, tuple[str, ...]] = {}
    """By suffix, with its leading dot."""
    search: tuple[str, ...] = ()
    """Domains that resolvers append to names with few dots, each with its leading dot."""

    def find(self, name: str) -> Found | None:
        """Return what a name (lower case, no trailing dot) stands for; None for an unknown one.

        `api.example.com.default.svc.cluster.local` is answered like `api.example.com`: resolvers try
        their search domains first, and would ask for each in vain.
        """
        addresses = self._at(name)
        if addresses is not None:
            return Found(name, addresses)
        for domain in self.search:
            bare = name.removesuffix(domain)
            # Short names have their one place below the domain: `db.svc.cluster.local` is nobody.
            if bare != name and "." in bare and not self._is_below(bare):
                addresses = self._at(bare)
                if addresses is not None:
                    return Found(bare, addresses)
        return None

    def _at(self, name: str) -> tuple[str, ...] | None:
        found = self.exact.get(name)
        at = name.find(".")
        while found is None and at >= 0:
            found = self.wildcards.get(name[at:])
            at = name.find(".", at + 1)
        return found

    def _is_below(self, name: str) -> bool:
        """Tell whether a name is a short form of a host of the mesh's own domain."""
        whole = self.exact.get(name)
        return whole is not None and any(f"{name}{domain}" in self.exact for domain in self.search)


def expand(hosts: Iterable[Host], namespace: str, domain: str) -> Names:
    """Return the table for a workload of a namespace: full names, and the short forms it may use.

    Kubernetes' rules: `NAME.NAMESPACE` and `NAME.NAMESPACE.svc` everywhere, `NAME` in its own namespace.
    A full name is never hidden by the short form of another.
    """
    exact: dict[str, tuple[str, ...]] = {}
    short: dict[str, tuple[str, ...]] = {}
    wildcards: dict[str, tuple[str, ...]] = {}
    for host in hosts:
        name = host.name.lower()
        if name.startswith("*."):
            wildcards[name[1:]] = host.addresses
            continue
        exact[name] = host.addresses
        if host.short_name:
            base = f"{host.short_name}.{host.namespace}".lower()
            forms = [base, f"{base}.svc"]
            if host.namespace == namespace:
                forms.append(host.short_name.lower())
            for form in forms:
                short.setdefault(form, host.addresses)
    search = tuple(f".{suffix}" for suffix in search_domains(namespace, domain))
    return Names(exact={**short, **exact}, wildcards=wildcards, search=search)


def search_domains(namespace: str, domain: str) -> tuple[str, ...]:
    """Return the domains that Kubernetes has resolvers of a namespace append to names."""
    return (f"{namespace}.svc.{domain}", f"svc.{domain}", domain)
