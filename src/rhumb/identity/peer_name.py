"""A workload's peer text (`rhumb.model.peer`) as a name in its certificate, so that servers know who calls.

It stands as an `otherName` (RFC 5280 4.2.1.6) beside the SPIFFE id, which stays the only URI: verifiers
that do not know it pass over it, and Envoy gives it to access logs as %DOWNSTREAM_PEER_OTHERNAME_SAN%.
"""

from cryptography import x509

OID = x509.ObjectIdentifier("2.25.17536192693252245952945259921349625583")
"""Under the arc for UUIDs (ITU-T X.667), where nobody assigns numbers."""
MAX_LENGTH = 1024
_UTF8_STRING = 0x0C
_LONG_FORM = 0x80


def other_name(text: str) -> x509.OtherName:
    """Spell the text as DER UTF8String. Raises ValueError when it is longer than MAX_LENGTH bytes."""
    content = text.encode()
    if len(content) > MAX_LENGTH:
        raise ValueError(f"the name of the workload is longer than {MAX_LENGTH} bytes")
    return x509.OtherName(OID, bytes([_UTF8_STRING]) + _length(len(content)) + content)


def read(names: x509.SubjectAlternativeName) -> str:
    """Return the text among the names of a certificate or a request, "" for none.

    Raises ValueError when there are several, or one that does not parse.
    """
    found = [
        name.value for name in names.get_values_for_type(x509.OtherName) if name.type_id == OID
    ]
    if not found:
        return ""
    content = found[0][2 if found[0][1:2] < bytes([_LONG_FORM]) else 2 + (found[0][1] & 0x7F) :]
    text = content.decode()
    if len(found) > 1 or found[0] != other_name(text).value:
        raise ValueError("the name of the workload is no single UTF8String")
    return text


def _length(size: int) -> bytes:
    if size < _LONG_FORM:
        return bytes([size])
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([_LONG_FORM | len(digits)]) + digits
