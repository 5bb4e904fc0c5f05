"""Hands key, chain and roots to Envoy: files in the form of SDS, replaced in one step.

`default.json` holds the Secret `default` (key and chain), `rootca.json` the Secret `ROOTCA`. Envoy
watches the directory, and reads both again when one is moved into place
(core.v3.PathConfigSource.watched_directory).
"""

from pathlib import Path

import msgspec

from rhumb.base.errors import RhumbError
from rhumb.base.files import write_atomic

CERTIFICATE = "default"
ROOTS = "ROOTCA"
CERTIFICATE_FILE = "default.json"
ROOTS_FILE = "rootca.json"

_TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
_PRIVATE = 0o600


class _Inline(msgspec.Struct):
    inline_string: str


class _TlsCertificate(msgspec.Struct):
    certificate_chain: _Inline
    private_key: _Inline


class _ValidationContext(msgspec.Struct):
    trusted_ca: _Inline


class _Secret(msgspec.Struct, omit_defaults=True):
    type_url: str = msgspec.field(name="@type")
    name: str
    tls_certificate: _TlsCertificate | None = None
    validation_context: _ValidationContext | None = None


class _Response(msgspec.Struct):
    resources: list[_Secret]


class KeyPair(msgspec.Struct, frozen=True):
    """A private key and its certificate chain, PEM."""

    key: str
    chain: str


def write_pair(directory: Path, pair: KeyPair) -> None:
    """Replace key and chain; OSError when the disk does not take them, and the old ones stay."""
    certificate = _TlsCertificate(_Inline(pair.chain), _Inline(pair.key))
    _write(directory / CERTIFICATE_FILE, _Secret(_TYPE, CERTIFICATE, tls_certificate=certificate))


def write_roots(directory: Path, pem: str) -> None:
    """Replace the trusted roots; OSError when the disk does not take them, and the old ones stay."""
    context = _ValidationContext(_Inline(pem))
    _write(directory / ROOTS_FILE, _Secret(_TYPE, ROOTS, validation_context=context))


def _write(path: Path, secret: _Secret) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomic(path, msgspec.json.encode(_Response([secret])), mode=_PRIVATE)


def read_pair(directory: Path) -> KeyPair | None:
    """Return what was written last; None when there is nothing.

    Raises RhumbError when the file is damaged.
    """
    secret = _read(directory / CERTIFICATE_FILE)
    if secret is None or secret.tls_certificate is None:
        return None
    found = secret.tls_certificate
    return KeyPair(found.private_key.inline_string, found.certificate_chain.inline_string)


def read_roots(directory: Path) -> str:
    """Return the roots that were written last, "" when there are none; RhumbError when damaged."""
    secret = _read(directory / ROOTS_FILE)
    return (
        secret.validation_context.trusted_ca.inline_string
        if secret and secret.validation_context
        else ""
    )


def _read(path: Path) -> _Secret | None:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Response)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise RhumbError(f"cannot read {path}: {error}") from error
    return found.resources[0] if found.resources else None
