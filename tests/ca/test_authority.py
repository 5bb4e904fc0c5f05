from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from rhumb.base.errors import RhumbError
from rhumb.ca.authority import Authority, load_directory, make_root

NOW = datetime(2030, 1, 1, tzinfo=UTC)
YEAR = timedelta(days=365)


def _root() -> Authority:
    return make_root(organization="test", now=NOW, life=YEAR)


def intermediate(root: Authority, *, is_authority: bool = True) -> tuple[str, str]:
    """Return key and certificate of an intermediate, PEM."""
    key = ec.generate_private_key(ec.SECP384R1())
    parent = x509.load_pem_x509_certificate(root.certificate.pem.encode())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "intermediate")]))
        .issuer_name(parent.subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW)
        .not_valid_after(NOW + YEAR / 2)
        .add_extension(
            x509.BasicConstraints(ca=is_authority, path_length=0 if is_authority else None),
            critical=True,
        )
        .sign(root.key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return secret.decode(), certificate.public_bytes(Encoding.PEM).decode()


def _write(directory: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (directory / name).write_text(text)
    return directory


def test_a_root_comes_back_from_its_files(tmp_path: Path) -> None:
    root = _root()
    loaded = load_directory(_write(tmp_path, root.files()))
    assert loaded.id == root.id
    assert loaded.is_root
    assert loaded.intermediates == ()


@pytest.mark.parametrize("with_root", [False, True])
def test_an_intermediate_in_the_cacerts_layout(tmp_path: Path, with_root: bool) -> None:
    root = _root()
    key, certificate = intermediate(root)
    chain = certificate + (root.certificate.pem if with_root else "")
    files = {
        "ca-cert.pem": certificate,
        "ca-key.pem": key,
        "root-cert.pem": root.roots.pem,
        "cert-chain.pem": chain,
    }
    loaded = load_directory(_write(tmp_path, files))
    assert [c.pem for c in loaded.intermediates] == [certificate]
    assert not loaded.is_root
    assert loaded.expires == NOW + YEAR / 2


def test_an_intermediate_in_the_layout_of_a_tls_secret(tmp_path: Path) -> None:
    root = _root()
    key, certificate = intermediate(root)
    loaded = load_directory(
        _write(tmp_path, {"tls.crt": certificate, "tls.key": key, "ca.crt": root.roots.pem})
    )
    assert [c.pem for c in loaded.intermediates] == [certificate]


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    root, other = _root(), _root()
    key, certificate = intermediate(root)
    _, leaf = intermediate(root, is_authority=False)
    good = root.files()
    cases = [
        ({}, "neither ca-cert.pem nor tls.crt"),
        ({k: v for k, v in good.items() if k != "ca-key.pem"}, "ca-key.pem is missing"),
        (good | {"ca-key.pem": "x"}, "key does not load"),
        (good | {"ca-key.pem": key}, "key is not the one"),
        (good | {"root-cert.pem": "x"}, "no PEM"),
        (
            {**good, "ca-cert.pem": leaf, "cert-chain.pem": "", "ca-key.pem": key},
            "key is not the one",
        ),
        (
            {"ca-cert.pem": certificate, "ca-key.pem": key, "root-cert.pem": other.roots.pem},
            "no root has signed",
        ),
        (
            {
                "ca-cert.pem": certificate,
                "ca-key.pem": key,
                "root-cert.pem": root.roots.pem,
                "cert-chain.pem": certificate + other.certificate.pem,
            },
            "not signed by the next",
        ),
    ]
    for number, (files, reason) in enumerate(cases):
        home = tmp_path / str(number)
        home.mkdir()
        with pytest.raises(RhumbError, match=reason):
            load_directory(_write(home, files))


def test_a_certificate_that_may_not_sign(tmp_path: Path) -> None:
    root = _root()
    key, certificate = intermediate(root, is_authority=False)
    files = {"ca-cert.pem": certificate, "ca-key.pem": key, "root-cert.pem": root.roots.pem}
    with pytest.raises(RhumbError, match="may not sign others"):
        load_directory(_write(tmp_path, files))


def test_two_roots_of_one_mesh_differ_in_name() -> None:
    assert _root().certificate.subject != _root().certificate.subject
