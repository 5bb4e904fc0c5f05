from hypothesis import given
from hypothesis import strategies as st

from rhumb.model.endpoint import Workload
from rhumb.model.peer import Peer, format_peer, parse_peer, peer

texts = st.text(min_size=1)


@given(st.builds(Peer, texts, texts, texts, texts, texts, texts, texts))
def test_parse_returns_what_format_wrote(value: Peer) -> None:
    text = format_peer(value)
    assert parse_peer(text) == value
    assert text.isascii()
    assert text.isprintable()


def test_a_workload_is_described_by_its_labels() -> None:
    reviews = Workload(
        name="reviews-v1",
        namespace="default",
        labels=(("app", "reviews"), ("version", "v1")),
        cluster="Kubernetes",
    )
    assert format_peer(peer(reviews)) == "reviews-v1;default;reviews;v1;reviews;v1;Kubernetes"


def test_what_no_label_says_is_unknown() -> None:
    assert peer(Workload(name="", namespace="default")) == Peer(namespace="default")


@given(st.text())
def test_any_header_can_be_read(text: str) -> None:
    assert isinstance(parse_peer(text), Peer)


def test_missing_fields_are_unknown_and_surplus_ones_ignored() -> None:
    assert parse_peer("a;b") == Peer("a", "b")
    assert parse_peer("a;b;c;d;e;f;g;h;i") == Peer("a", "b", "c", "d", "e", "f", "g")
    assert parse_peer("") == Peer()
