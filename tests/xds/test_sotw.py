"""Conversations with one type of a state-of-the-world stream."""

import msgspec

from rhumb.xds.events import Accepted, Answer, Rejected, SotwRequest, Stale
from rhumb.xds.sotw import SotwWatch
from rhumb.xds.types import XdsType

CDS, RDS = XdsType.CDS, XdsType.RDS


def ask(kind: XdsType, *names: str, **more: object) -> SotwRequest:
    return msgspec.structs.replace(SotwRequest(type=kind, names=names), **more)


def test_a_stream_from_subscribe_to_nack() -> None:
    watch = SotwWatch(CDS)
    assert watch.receive(ask(CDS)) == [Answer()]
    watch.sent("1")
    assert watch.receive(ask(CDS, nonce="1")) == [Accepted("1")]
    watch.sent("2")
    assert watch.receive(ask(CDS, nonce="1")) == [Stale("1")]
    assert watch.receive(ask(CDS, nonce="2", error="bad")) == [Rejected("2", "bad")]


def test_a_reconnecting_client_is_answered_whatever_its_nonce() -> None:
    watch = SotwWatch(CDS)
    request = ask(CDS, nonce="from another life", version="7")
    assert watch.receive(request) == [Answer(returns=True, version="7")]


def test_an_ack_that_asks_for_more_is_both() -> None:
    watch = SotwWatch(RDS)
    assert watch.receive(ask(RDS, "a")) == [Answer(frozenset({"a"}))]
    watch.sent("1")
    found = watch.receive(ask(RDS, "a", "b", nonce="1"))
    assert found == [Accepted("1"), Answer(frozenset({"b"}))]


def test_less_interest_needs_no_answer_and_no_names_are_no_wildcard_later() -> None:
    watch = SotwWatch(RDS)
    watch.receive(ask(RDS, "a", "b"))
    watch.sent("1")
    assert watch.receive(ask(RDS, "a", nonce="1")) == [Accepted("1")]
    watch.sent("2")
    assert watch.receive(ask(RDS, nonce="2")) == [Accepted("2")]
    assert not watch.wildcard
    assert not watch.names


def test_names_end_the_wildcard_of_an_empty_first_request_unless_the_star_is_among_them() -> None:
    watch = SotwWatch(CDS)
    watch.receive(ask(CDS))
    watch.receive(ask(CDS, "a"))
    assert not watch.wildcard
    kept = SotwWatch(CDS)
    kept.receive(ask(CDS))
    assert kept.receive(ask(CDS, "*", "a")) == [Answer(frozenset({"a"}))]
    assert kept.wildcard


def test_a_wildcard_that_was_given_up_does_not_come_back_by_an_empty_request() -> None:
    watch = SotwWatch(CDS)
    watch.receive(ask(CDS))
    watch.receive(ask(CDS, "a"))
    watch.receive(ask(CDS))
    assert not watch.wildcard
