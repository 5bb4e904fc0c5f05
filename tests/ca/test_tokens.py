import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rhumb.base.errors import RhumbError
from rhumb.ca.tokens import TokenBook
from rhumb.identity.authenticate import UnauthenticatedError

NOW = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def _made(directory: Path) -> str:
    return TokenBook(directory).create(namespace="shop", service_account="cart", now=NOW)


def test_a_token_grants_what_it_was_made_for_until_it_expires(tmp_path: Path) -> None:
    token = _made(tmp_path)
    grant = TokenBook(tmp_path).verify(token, NOW + HOUR - timedelta(seconds=1))
    assert (grant.namespace, grant.service_account) == ("shop", "cart")
    with pytest.raises(UnauthenticatedError, match="expired"):
        TokenBook(tmp_path).verify(token, NOW + HOUR)


def test_a_token_serves_one_key_for_good(tmp_path: Path) -> None:
    name = TokenBook(tmp_path).verify(_made(tmp_path), NOW).id
    TokenBook(tmp_path).spend(name, "key-1")
    TokenBook(tmp_path).spend(name, "key-1")  # the answer was lost on the way
    with pytest.raises(UnauthenticatedError, match="used already"):
        TokenBook(tmp_path).spend(name, "key-2")  # another process: it survives a restart


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t[:-1] + ("A" if t[-1] != "A" else "B"),
        lambda t: t + "x",
        lambda t: t[:-1],
        str.upper,
        lambda _: "",
    ],
)
def test_a_token_that_is_nearly_right_is_wrong(tmp_path: Path, change: object) -> None:
    assert callable(change)
    with pytest.raises(UnauthenticatedError):
        TokenBook(tmp_path).verify(change(_made(tmp_path)), NOW)


def test_no_path_can_be_smuggled_in(tmp_path: Path) -> None:
    token = _made(tmp_path / "tokens")
    name = token.split(".")[1]
    with pytest.raises(UnauthenticatedError, match="not a join token"):
        TokenBook(tmp_path / "other").verify(token.replace(name, f"../tokens/{name}"), NOW)


def test_the_secret_is_not_on_the_disk(tmp_path: Path) -> None:
    secret = _made(tmp_path).rsplit(".", 1)[1]
    files = list(tmp_path.iterdir())
    assert len(files) == 1
    assert secret not in files[0].read_text()
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o600


def test_expired_tokens_are_swept(tmp_path: Path) -> None:
    book = TokenBook(tmp_path)
    early = book.verify(_made(tmp_path), NOW).id
    book.spend(early, "key")
    late = book.create(namespace="shop", service_account="cart", now=NOW, ttl=9 * HOUR)
    assert book.prune(NOW + HOUR) == 1
    assert [p.stem for p in tmp_path.iterdir()] == [book.verify(late, NOW).id]


def test_a_token_must_be_for_someone_and_last(tmp_path: Path) -> None:
    with pytest.raises(RhumbError, match="namespace"):
        TokenBook(tmp_path).create(namespace="../x", service_account="cart", now=NOW)
    with pytest.raises(RhumbError, match="time to live"):
        TokenBook(tmp_path).create(namespace="x", service_account="cart", now=NOW, ttl=timedelta())
