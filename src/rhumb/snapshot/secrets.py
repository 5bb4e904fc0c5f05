"""TLS credentials in Secrets and ConfigMaps (istio-api: Gateway secrets)."""

from rhumb.model.kinds.kubernetes import ConfigMap, Secret
from rhumb.model.kinds.table import CORE
from rhumb.model.resource import Key, Resource, ResourceSet
from rhumb.snapshot.snapshot import SecretData

CA_SUFFIX = "-cacert"


def secret(resources: ResourceSet, namespace: str, name: str) -> SecretData | None:
    """Return a credential of a namespace; `NAME-cacert` is the CA half of NAME when it stands alone."""
    found = resources.get(Key(CORE, "Secret", namespace, name))
    if found is None and name.endswith(CA_SUFFIX):
        found = resources.get(Key(CORE, "Secret", namespace, name.removesuffix(CA_SUFFIX)))
    if found is None or not isinstance(found.spec, Secret):
        return None
    return _read(found, found.spec)


def config_map(resources: ResourceSet, namespace: str, name: str) -> SecretData | None:
    """Return the CA in a ConfigMap (key `ca.crt` or `cacert`)."""
    found = resources.get(Key(CORE, "ConfigMap", namespace, name))
    if found is None or not isinstance(found.spec, ConfigMap):
        return None
    data = found.spec.data
    ca = data.get("ca.crt") or data.get("cacert") or ""
    return SecretData(ca=ca.encode(), resource=found)


def _read(resource: Resource, spec: Secret) -> SecretData:
    return SecretData(
        certificate=spec.content("tls.crt") or spec.content("cert"),
        private_key=spec.content("tls.key") or spec.content("key"),
        ca=spec.content("ca.crt") or spec.content("cacert"),
        crl=spec.content("ca.crl") or spec.content("crl"),
        resource=resource,
    )
