"""Packed resources as protobuf JSON with original field names."""

import base64

from google.protobuf.any_pb2 import Any
from google.protobuf.json_format import MessageToDict

Json = dict[str, object]

REDACTED = base64.b64encode(b"[redacted]").decode()
"""What stands for a private key; Envoy's own config dump has the same."""


def as_json(packed: bytes) -> Json:
    """Return a serialized google.protobuf.Any with its `@type`; every Any inside is unpacked too.

    Raises TypeError for a type that is not loaded.
    """
    found: Json = MessageToDict(Any.FromString(packed), preserving_proto_field_name=True)
    return found


def bare(packed: bytes) -> Json:
    """Return the same without the outer `@type`: for where the type is known."""
    found = as_json(packed)
    found.pop("@type", None)
    return found


def redact(secret: Json) -> None:
    """Take the private key out of a secret."""
    certificate = secret.get("tls_certificate")
    if isinstance(certificate, dict) and "private_key" in certificate:
        certificate["private_key"] = {"inline_bytes": REDACTED}
