"""Conversations with one type of an incremental stream: requests in, actions out."""

import msgspec

from rhumb.xds.delta import DeltaWatch
from rhumb.xds.events import Accepted, Answer, DeltaRequest, Rejected, Stale
from rhumb.xds.types import XdsType

CDS, EDS = XdsType.CDS, XdsType.EDS


def ask(kind: XdsType = CDS, *subscribe: str, **more: object) -> DeltaRequest:
    return msgspec.structs.replace(DeltaRequest(type=kind, subscribe=subscribe), **more)


def test_a_first_request_without_names_asks_for_everything() -> None:
    watch = DeltaWatch(CDS)
    assert watch.receive(ask()) == [Answer()]
    assert watch.wildcard


def test_a_first_request_without_names_asks_for_nothing_where_names_are_the_rule() -> None:
    watch = DeltaWatch(EDS)
    assert watch.receive(ask(EDS)) == []
    assert not watch.wildcard


def test_the_star_is_the_explicit_form_and_can_be_given_back() -> None:
    watch = DeltaWatch(EDS)
    assert watch.receive(ask(EDS, "*", "a")) == [Answer(frozenset({"a"}))]
    before = watch.wildcard
    assert watch.receive(DeltaRequest(type=EDS, unsubscribe=("*",))) == []
    assert (before, watch.wildcard) == (True, False)
    assert watch.names == {"a"}


def test_a_name_after_the_empty_first_request_keeps_everything() -> None:
    watch = DeltaWatch(CDS)
    watch.receive(ask())
    assert watch.receive(ask(CDS, "extra")) == [Answer(frozenset({"extra"}))]
    assert watch.wildcard


def test_a_request_that_only_unsubscribes_gets_no_response() -> None:
    watch = DeltaWatch(EDS)
    watch.receive(ask(EDS, "a", "b"))
    assert watch.receive(DeltaRequest(type=EDS, unsubscribe=("a", "never"))) == []
    assert watch.names == {"b"}


def test_a_name_that_is_subscribed_already_is_answered_again() -> None:
    watch = DeltaWatch(EDS)
    watch.receive(ask(EDS, "a"))
    assert watch.receive(ask(EDS, "a")) == [Answer(frozenset({"a"}))]


def test_a_name_that_comes_and_goes_in_one_request_needs_no_answer() -> None:
    watch = DeltaWatch(EDS)
    assert watch.receive(ask(EDS, "a", unsubscribe=("a",))) == []


def test_acks_nacks_and_stale_answers() -> None:
    watch = DeltaWatch(CDS)
    watch.receive(ask())
    watch.sent("1")
    assert watch.receive(ask(nonce="1")) == [Accepted("1")]
    assert watch.receive(ask(nonce="1")) == [Stale("1")]
    watch.sent("2")
    assert watch.receive(ask(nonce="1", error="late")) == [Stale("1")]
    assert watch.receive(ask(nonce="2", error="bad")) == [Rejected("2", "bad")]
    assert not watch.open


def test_a_rejection_without_words_is_a_rejection() -> None:
    watch = DeltaWatch(CDS)
    watch.receive(ask())
    watch.sent("1")
    assert watch.receive(ask(nonce="1", error="")) == [Rejected("1", "")]


def test_a_subscription_beside_a_stale_nonce_counts() -> None:
    watch = DeltaWatch(EDS)
    watch.receive(ask(EDS, "a"))
    watch.sent("1")
    watch.sent("2")
    assert watch.receive(ask(EDS, "b", nonce="1")) == [Stale("1"), Answer(frozenset({"b"}))]


def test_a_reconnecting_client_says_what_it_holds_and_its_old_nonce_means_nothing() -> None:
    watch = DeltaWatch(CDS)
    request = ask(nonce="from another life", initial={"a": "v1"})
    assert watch.receive(request) == [Answer(frozenset(), {"a": "v1"}, returns=True)]
    named = DeltaWatch(EDS)
    named.receive(ask(EDS, "b", initial={"a": "v1"}))
    assert named.names == {"a", "b"}
