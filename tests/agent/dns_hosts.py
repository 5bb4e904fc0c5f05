"""Hosts of a mesh, as a name table has them."""

from rhumb.agent.dns_names import Host, Names, expand


def service(name: str, namespace: str, *addresses: str) -> Host:
    """Return a host that has a short name in its namespace."""
    whole = f"{name}.{namespace}.svc.cluster.local"
    return Host(name=whole, addresses=addresses, short_name=name, namespace=namespace)


HOSTS = (
    service("reviews", "books", "10.0.0.1", "fd00::1"),
    service("reviews", "other", "10.0.0.2"),
    service("db", "books", "172.16.0.1", "172.16.0.2"),
    service("db-0.db", "books", "172.16.0.1"),
    Host(name="api.example.com", addresses=("240.240.0.9",)),
    Host(name="*.Example.com", addresses=("240.240.0.10",)),
    Host(name="*.deep.example.com", addresses=("240.240.0.11",)),
)


def table(namespace: str = "books") -> Names:
    return expand(HOSTS, namespace, "cluster.local")
