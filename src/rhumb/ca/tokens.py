"""One-time join tokens: bound to a service account, stored as hashes, spent once, across restarts.

A token is bound to the first key that it certifies: the same key may ask again while the token
lives (the answer may have been lost on the way), any other key is refused.
"""

import hashlib
import hmac
import logging
import os
import re
import secrets
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from rhumb.base.errors import RhumbError
from rhumb.base.files import write_atomic
from rhumb.identity.authenticate import TokenGrant, UnauthenticatedError
from rhumb.identity.spiffe import SpiffeId

_log = logging.getLogger(__name__)

_PREFIX = "rhumb-join"
_FORM = re.compile(r"rhumb-join\.([0-9a-f]{16})\.([A-Za-z0-9_-]{43})\Z")
_HINT = "make a new one: rhumb ca token create --namespace NAMESPACE --service-account NAME"
_NO_SECRET = hashlib.sha256(b"").hexdigest()

DEFAULT_TTL = timedelta(hours=1)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a token."""

    secret_sha256: str
    """The secret is 256 random bits: one round of SHA-256 cannot be guessed backwards."""
    namespace: str
    service_account: str
    created: datetime
    expires: datetime


class TokenBook:
    """Join tokens in a directory: one file for each, and a second beside it once it is spent."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def create(
        self, *, namespace: str, service_account: str, now: datetime, ttl: timedelta = DEFAULT_TTL
    ) -> str:
        """Make a token and return it: the only time that it can be seen.

        Raises RhumbError for a name that is not well formed or a ttl that is not positive; OSError.
        """
        SpiffeId.of("any", namespace, service_account)
        if ttl <= timedelta():
            raise RhumbError("a join token needs a time to live", hint="e.g. --ttl 1h")
        name, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
        record = Record(
            secret_sha256=_digest(secret),
            namespace=namespace,
            service_account=service_account,
            created=now,
            expires=now + ttl,
        )
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomic(self._directory / f"{name}.json", msgspec.json.encode(record), mode=0o600)
        return f"{_PREFIX}.{name}.{secret}"

    def verify(self, token: str, now: datetime) -> TokenGrant:
        """Return what a token grants, without spending it.

        Raises UnauthenticatedError when it is unknown or expired. Whether it is spent shows when it
        meets a key: `spend`.
        """
        form = _FORM.match(token)
        if form is None:
            raise UnauthenticatedError("the token is not a join token", hint=_HINT)
        name, secret = form.groups()
        record = self._read(name)
        # Compared even when there is no such token, so that time tells nothing about ids.
        matches = hmac.compare_digest(
            _digest(secret), record.secret_sha256 if record else _NO_SECRET
        )
        if record is None or not matches:
            raise UnauthenticatedError(f"join token {name} is unknown or wrong", hint=_HINT)
        if now >= record.expires:
            raise UnauthenticatedError(
                f"join token {name} expired at {record.expires:%Y-%m-%d %H:%M:%S} UTC", hint=_HINT
            )
        return TokenGrant(
            id=name,
            namespace=record.namespace,
            service_account=record.service_account,
            expires=record.expires,
        )

    def spend(self, name: str, key_digest: str) -> None:
        """Bind a token to a public key, for good; the same key may come again.

        Raises UnauthenticatedError when another key has it (a token used twice, or stolen); OSError
        when that cannot be written, and nothing may be issued then.
        """
        mark = self._directory / f"{name}.spent"
        # Written whole beside its place, then linked: exactly one process wins, on a crash as well.
        draft = self._directory / f".{name}.{secrets.token_hex(4)}"
        try:
            write_atomic(draft, key_digest, mode=0o600)
            os.link(draft, mark)
        except FileExistsError:
            if not hmac.compare_digest(mark.read_text(), key_digest):
                raise UnauthenticatedError(
                    f"join token {name} has been used already, by another key",
                    hint=f"if that was not you, it was stolen; {_HINT}",
                ) from None
        finally:
            draft.unlink(missing_ok=True)

    def prune(self, now: datetime) -> int:
        """Remove tokens that have expired and return how many."""
        gone = 0
        for path in self._directory.glob("*.json"):
            record = self._read(path.stem)
            if record is not None and now >= record.expires:
                path.unlink(missing_ok=True)
                path.with_suffix(".spent").unlink(missing_ok=True)
                gone += 1
        return gone

    def _read(self, name: str) -> Record | None:
        try:
            return msgspec.json.decode((self._directory / f"{name}.json").read_bytes(), type=Record)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            _log.error("join token not readable", extra={"token": name, "error": error})
            return None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
