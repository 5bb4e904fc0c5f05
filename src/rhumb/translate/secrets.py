"""Credentials that the control plane delivers: Secrets to proxies of their own namespace only.

Files on a proxy's disk are secrets too, whose content only the proxy reads: a file that is missing
then costs the one server that names it, not the listener.
"""

from rhumb.ir.origin import origin
from rhumb.ir.secret import Secret
from rhumb.snapshot.snapshot import SecretData, Snapshot
from rhumb.snapshot.view import View
from rhumb.translate import names


def secret(snapshot: Snapshot, view: View, name: str) -> Secret | None:
    """Return a secret by its xDS name; None when there is none, or the view may not have it.

    Without it the listener that needs it stays as it was, or waits: nothing is served in plain text.
    """
    parsed = names.parse_secret(name)
    if isinstance(parsed, names.KubernetesSecret):
        if parsed.namespace and parsed.namespace != view.namespace:
            return None
        found = snapshot.secret(view.namespace, parsed.name)
        return _spell(name, found, ca_only=parsed.is_ca) if found else None
    if isinstance(parsed, names.ConfigMapRoot):
        # Roots are public: clients anywhere may check the certificates of a namespace's servers.
        name_there = parsed.name.removesuffix(names.CA_SUFFIX)
        found = snapshot.config_map(parsed.namespace, name_there)
        return _spell(name, found, ca_only=True) if found else None
    if isinstance(parsed, names.FileCertificate):
        return Secret(name=name, certificate_file=parsed.certificate, private_key_file=parsed.key)
    if isinstance(parsed, names.FileRoot):
        return Secret(name=name, ca_file=parsed.path, crl_file=parsed.revoked)
    return None


def _spell(name: str, found: SecretData, *, ca_only: bool) -> Secret | None:
    cited = (origin(found.resource),)
    if ca_only:
        return Secret(name=name, ca=found.ca, crl=found.crl, origin=cited) if found.ca else None
    if not found.certificate or not found.private_key:
        return None
    return Secret(
        name=name, certificate=found.certificate, private_key=found.private_key, origin=cited
    )
