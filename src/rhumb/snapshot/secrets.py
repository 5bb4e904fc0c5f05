"""TLS credentials in Secrets and ConfigMaps."""

from rhumb.model.kinds.kubernetes import ConfigMap, Secret
from rhumb.model.kinds.table import CORE
from rhumb.model.resource import Key, Resource, ResourceSet
from rhumb.snapshot.snapshot import SecretData

CA_SUFFIX = "-cacert"


def secret(resources: ResourceSet, namespace: str, name: str) -> SecretData | None:
    """Return a credential; `NAME-cacert` is the CA alone, from a Secret of that name or from NAME."""
    whole = _secret(resources, namespace, name)
    if not name.endswith(CA_SUFFIX):
        return whole
    if whole is None:
        whole = _secret(resources, namespace, name.removesuffix(CA_SUFFIX))
    return SecretData(ca=whole.ca, crl=whole.crl, resource=whole.resource) if whole else None


def config_map(resources: ResourceSet, namespace: str, name: str) -> SecretData | None:
    """Return the CA in a ConfigMap (key `ca.crt` or `cacert`, list of revoked ones `ca.crl` or `crl`)."""
    found = resources.get(Key(CORE, "ConfigMap", namespace, name))
    if found is None or not isinstance(found.spec, ConfigMap):
        return None
    data = found.spec.data
    ca = data.get("cacert") or data.get("ca.crt") or ""
    crl = data.get("crl") or data.get("ca.crl") or ""
    return SecretData(ca=ca.encode(), crl=crl.encode(), resource=found)


def _secret(resources: ResourceSet, namespace: str, name: str) -> SecretData | None:
    found = resources.get(Key(CORE, "Secret", namespace, name))
    if found is None or not isinstance(found.spec, Secret):
        return None
    return _read(found, found.spec)


def _read(resource: Resource, spec: Secret) -> SecretData:
    """Read a generic or a tls Secret; key and certificate are never taken from different forms."""
    generic = bool(spec.content("cert") and spec.content("key"))
    return SecretData(
        certificate=spec.content("cert" if generic else "tls.crt"),
        private_key=spec.content("key" if generic else "tls.key"),
        ca=spec.content("cacert") or spec.content("ca.crt"),
        crl=spec.content("crl") or spec.content("ca.crl"),
        resource=resource,
    )
