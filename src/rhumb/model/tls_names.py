"""Names that Envoy's TLS library reads: for one that it does not know it refuses a whole listener."""

import re
from collections.abc import Iterable

CIPHERS = frozenset(
    (
        "AES128-GCM-SHA256",
        "AES128-SHA",
        "AES256-GCM-SHA384",
        "AES256-SHA",
        "DES-CBC3-SHA",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-AES256-SHA",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-SHA",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-SHA",
        "ECDHE-RSA-CHACHA20-POLY1305",
    )
)
CURVES = frozenset(
    ("P-256", "P-384", "P-521", "X25519", "X25519MLKEM768", "MLKEM1024", "prime256v1", "x25519")
)
SPKI = re.compile(r"[A-Za-z0-9+/]{43}=")
"""The SHA-256 of a public key, in base64."""
HASH = re.compile(r"[0-9a-fA-F]{64}|(?:[0-9a-fA-F]{2}:){31}[0-9a-fA-F]{2}")
"""The SHA-256 of a certificate, in hex, with or without colons."""


def usable_ciphers(suites: Iterable[str]) -> tuple[str, ...]:
    """Return the suites that Envoy takes, each once: names, ALL, and groups of equals (`[A|B]`)."""
    return tuple(suite for suite in dict.fromkeys(suites) if is_usable_cipher(suite))


def is_usable_cipher(suite: str) -> bool:
    """Tell whether Envoy takes a suite or a group of them."""
    if suite.startswith("[") and suite.endswith("]"):
        return all(name in CIPHERS for name in suite[1:-1].split("|"))
    return suite == "ALL" or suite in CIPHERS


def usable_curves(curves: Iterable[str]) -> tuple[str, ...]:
    """Return the curves that Envoy takes, each once."""
    return tuple(curve for curve in dict.fromkeys(curves) if curve in CURVES)
