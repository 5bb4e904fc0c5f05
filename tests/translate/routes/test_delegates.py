from typing import Any

import pytest

from rhumb.model.kinds.virtual_service import HttpMatchRequest, HttpRoute, StringMatch
from rhumb.translate.routes.delegates import compatible, merge


def uri(**text: str) -> HttpMatchRequest:
    return HttpMatchRequest(uri=StringMatch(**text))


@pytest.mark.parametrize(
    ("root", "child", "expected"),
    [
        (uri(prefix="/a"), uri(prefix="/a/b"), True),
        (uri(prefix="/a/b"), uri(prefix="/a"), False),
        (uri(prefix="/a"), uri(exact="/a/x"), True),
        (uri(exact="/a"), uri(prefix="/a"), False),
        (uri(exact="/a"), uri(exact="/a"), True),
        (uri(exact="/a"), uri(exact="/b"), False),
        (uri(regex=".*"), uri(prefix="/a"), False),
        (uri(prefix="/a"), uri(regex="/a.*"), False),
        (uri(prefix="/a"), HttpMatchRequest(), True),
        (HttpMatchRequest(), uri(regex="/a.*"), True),
    ],
)
def test_paths_of_a_delegate_stay_within_the_root(
    root: HttpMatchRequest, child: HttpMatchRequest, expected: bool
) -> None:
    assert compatible(root, child) is expected


@pytest.mark.parametrize(
    ("root", "child", "expected"),
    [
        ({"port": 80}, {"port": 81}, False),
        ({"port": 80}, {}, True),
        ({"ignore_uri_case": True}, {}, False),
        ({"source_namespace": "a"}, {"source_namespace": "b"}, False),
        ({"source_labels": {"app": "a"}}, {"source_labels": {"app": "b"}}, False),
        ({"source_labels": {"app": "a"}}, {"source_labels": {"version": "b"}}, True),
        ({"gateways": ("a", "b")}, {"gateways": ("a",)}, True),
        ({"gateways": ("a",)}, {"gateways": ("a", "b")}, False),
        (
            {"headers": {"x": StringMatch(exact="1")}},
            {"headers": {"x": StringMatch(exact="2")}},
            False,
        ),
        (
            {"headers": {"x": StringMatch(exact="1")}},
            {"headers": {"y": StringMatch(exact="2")}},
            True,
        ),
    ],
)
def test_other_conditions_of_a_delegate(
    root: dict[str, Any], child: dict[str, Any], expected: bool
) -> None:
    assert compatible(HttpMatchRequest(**root), HttpMatchRequest(**child)) is expected


def test_merged_rules_join_names_and_conditions() -> None:
    root = HttpRoute(
        name="root", match=(HttpMatchRequest(name="r", method=StringMatch(exact="GET")),)
    )
    child = HttpRoute(
        name="child", match=(HttpMatchRequest(name="c", uri=StringMatch(prefix="/x")),)
    )
    merged = merge(root, child)
    assert merged is not None
    assert merged.name == "root-child"
    assert merged.match == (
        HttpMatchRequest(
            name="r-c",
            method=StringMatch(exact="GET"),
            uri=StringMatch(prefix="/x"),
            headers={},
            without_headers={},
            query_params={},
            source_labels={},
        ),
    )


def test_a_rule_that_leaves_the_root_is_dropped() -> None:
    root = HttpRoute(match=(uri(prefix="/a"),))
    assert merge(root, HttpRoute(match=(uri(prefix="/a/x"), uri(prefix="/b")))) is None
