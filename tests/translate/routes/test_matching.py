from rhumb.ir.match import ClaimMatch, HeaderMatch, PathKind, PathMatch, TextKind, TextMatch
from rhumb.model.kinds.virtual_service import HttpMatchRequest, StringMatch
from rhumb.snapshot.snapshot import Snapshot
from rhumb.testing.world import proxy, world
from rhumb.translate.perspective import Perspective
from rhumb.translate.routes.matching import MESH, applies, request, text_match


def seen() -> Perspective:
    snapshot: Snapshot = world(())
    return Perspective(snapshot, snapshot.view(proxy(labels={"app": "a", "version": "v1"})))


def test_labels_namespace_and_port_are_decided_here() -> None:
    here = seen()

    def holds(match: HttpMatchRequest) -> bool:
        return applies(here, match, gateway=MESH, port=80)

    assert holds(HttpMatchRequest())
    assert holds(HttpMatchRequest(port=80, source_labels={"app": "a"}, source_namespace="default"))
    assert not holds(HttpMatchRequest(port=81))
    assert not holds(HttpMatchRequest(source_labels={"app": "b"}))
    assert not holds(HttpMatchRequest(source_namespace="other"))


def test_with_gateways_only_these_count() -> None:
    here = seen()
    match = HttpMatchRequest(gateways=("ns/gw",), source_labels={"app": "b"})
    assert applies(here, match, gateway="ns/gw", port=80)
    assert not applies(here, match, gateway=MESH, port=80)


def test_an_empty_condition_and_a_star_mean_presence() -> None:
    assert text_match(StringMatch()) is None
    assert text_match(StringMatch(regex="*")) is None
    assert text_match(StringMatch(exact="")) == TextMatch(TextKind.EXACT, "")


def test_a_header_that_must_not_match_counts_as_empty_when_missing() -> None:
    made = request(
        HttpMatchRequest(without_headers={"b": StringMatch(exact="1"), "a": StringMatch()})
    )
    assert made.headers == (
        HeaderMatch("a", None, invert=True),
        HeaderMatch("b", TextMatch(TextKind.EXACT, "1"), invert=True, missing_is_empty=True),
    )


def test_claims_are_no_headers() -> None:
    made = request(
        HttpMatchRequest(
            headers={
                "@request.auth.claims.group.id": StringMatch(exact="x"),
                "@request.auth.claims[a.b][c]": StringMatch(prefix="y"),
            }
        )
    )
    assert made.headers == ()
    assert made.claims == (
        ClaimMatch(("group", "id"), TextMatch(TextKind.EXACT, "x")),
        ClaimMatch(("a.b", "c"), TextMatch(TextKind.PREFIX, "y")),
    )


def test_case_is_ignored_for_texts_and_not_for_expressions() -> None:
    prefix = request(HttpMatchRequest(uri=StringMatch(prefix="/a"), ignore_uri_case=True))
    regex = request(HttpMatchRequest(uri=StringMatch(regex="/a"), ignore_uri_case=True))
    assert prefix.path == PathMatch(PathKind.PREFIX, "/a", ignore_case=True)
    assert regex.path == PathMatch(PathKind.REGEX, "/a")


def test_what_takes_every_request_is_known() -> None:
    assert request(None).is_catch_all
    assert request(HttpMatchRequest(uri=StringMatch(regex=".*"))).is_catch_all
    assert not request(HttpMatchRequest(headers={"a": StringMatch()})).is_catch_all
